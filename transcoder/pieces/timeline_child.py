"""List the times of all frames of a source, and measure its sound. Runs as a program, sandboxed.

It is told `{"fd": …, "size": …, "demuxer": …, "decoders": …, "max_streams": …,
"max_pixels": …, "video": index, "audio": index or null}`. It answers with one line of JSON and
then, as 64-bit integers of this machine, the frames' times and the keyframes' three columns.
"""

from __future__ import annotations

import itertools
import json
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from typing import Any

import av
import av.error

from transcoder.pieces.asking import Asked
from transcoder.pieces.copying import PICTURE_FORMATS, SOUND_FORMATS, form_for
from transcoder.pieces.opening import open_source

SAMPLE_PACKETS = 16
"""Packets that are decoded, and copied on trial."""
KEYFRAMES_APART_S = Fraction(1, 2)
"""Keyframes that come sooner are left out: in some recordings each frame is one."""
SILENT_PACKETS_MAX = 600
"""Packets that may come before the first one that is heard."""
DRIFT = Fraction(1, 4)
"""Share of a packet by which its time may differ from its count; half would confuse two."""
DRIFT_MAX_S = Fraction(4, 1000)
"""The same in seconds: from 5 ms on, sound is stretched until it fits its times."""
BOXES_MAX = 200_000
BOX_HEADER = 8
NOWHERE = -1

Facts = dict[str, Any]


class Picture:
    """Collects a picture's packets."""

    def __init__(self, stream: Any, forms: tuple[str, ...]) -> None:
        self.stream = stream
        self.forms = forms
        self.left_out = array("q")
        self.apart = int(KEYFRAMES_APART_S / (stream.time_base or 1))
        self.times = array("q")
        self.keys: list[tuple[int, int, int]] = []
        self.last = (-(1 << 62), 0)
        self.reason: str | None = None
        self.first: list[Any] = []

    def add(self, packet: Any) -> None:
        """Take the next packet."""
        if len(self.first) < SAMPLE_PACKETS:
            self.first.append(packet)
        if packet.pts is None:
            self.reason = "its frames have no times"
            return
        if packet.is_keyframe and (not self.keys or packet.pts >= self.keys[-1][0] + self.apart):
            position = NOWHERE if packet.pos is None else packet.pos
            decoded = packet.pts if packet.dts is None else packet.dts
            self.keys.append((packet.pts, decoded, position))
        if packet.is_discard:
            self.left_out.append(packet.pts)
            return
        if self.times and packet.has_sidedata("new_extradata"):
            self.reason = "its coding changes on the way"
        self.times.append(packet.pts)
        if packet.pts > self.last[0]:
            self.last = (packet.pts, packet.duration or 0)

    def facts(self) -> Facts:
        """Return what its packets say."""
        base = self.stream.time_base
        form, trial = form_for(self.stream, self.forms, self.first, base)
        if trial and not self.reason:
            self.reason = f"its packets cannot be copied: {trial}"
        self.times = array("q", sorted(self.times))
        if self.times and any(self.times[0] <= t <= self.times[-1] for t in self.left_out):
            self.reason = "an edit list leaves frames out"
        return {
            "time_base": [base.numerator, base.denominator],
            "last_ticks": self.last[1],
            "form": form,
            "reason": self.reason,
            "frames": len(self.times),
            "keyframes": len(self.keys),
        }


class Sound:
    """Counts the samples of a sound, and looks for gaps."""

    def __init__(self, stream: Any, wish: Facts) -> None:
        self.stream = stream
        self.rate = stream.codec_context.sample_rate or 0
        self.frames: list[Any] = []
        self.first: list[Any] = []
        self.decoded: list[int] = []
        self.packets = 0
        self.start = 0
        self.end = 0
        self.dropped = 0
        self.contiguous = True
        self.times = array("q")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"codec_whitelist": wish["decoders"]}

    def add(self, packet: Any) -> None:
        """Take the next packet."""
        if packet.pts is None:
            self.contiguous = False
            return
        if len(self.frames) < SAMPLE_PACKETS and self.packets < SILENT_PACKETS_MAX:
            self.frames += packet.decode()
            self.decoded.append(packet.duration or 0)
        if len(self.first) < SAMPLE_PACKETS:
            self.first.append(packet)
        if not self.packets:
            self.start = self.end = packet.pts
        self.contiguous &= packet.pts == self.end
        self.end = packet.pts + (packet.duration or 0)
        self.dropped = _dropped(packet)
        self.packets += 1
        self.times.append(packet.pts)

    def facts(self) -> Facts:
        """Return what its packets say."""
        base = self.stream.time_base
        facts: Facts = {
            "time_base": [base.numerator, base.denominator],
            "sample_rate": self.rate,
            "first_packet": self.start,
            "first_heard": self.start,
            "skipped": 0,
            "samples": 0,
            "packet_samples": None,
            "trimmed": self.dropped > 0,
            "form": None,
            "reason": None,
        }
        if not self.frames or self.frames[0].pts is None or not self.rate:
            return facts | {"reason": "it cannot be decoded from its beginning"}
        facts["first_heard"] = self.frames[0].pts
        return facts | self._counted(base) | self._form()

    def _counted(self, base: Fraction) -> Facts:
        """Count in ticks where they are samples, else in packets of equal length."""
        rate = self.frames[0].sample_rate
        per_tick = base * rate
        if rate != self.rate:
            return {"reason": "its rate differs from what its container says"}
        skipped = int((self.frames[0].pts - self.start) * per_tick)
        if self.contiguous and per_tick.denominator == 1:
            stated = int(sum(self.decoded) * per_tick)
            if stated - skipped == sum(frame.samples for frame in self.frames):
                samples = int((self.end - self.start) * per_tick) - skipped - self.dropped
                return {"skipped": skipped, "samples": samples}
        ((length, _),) = Counter(frame.samples for frame in self.frames).most_common(1)
        if not self._even(base, Fraction(length, rate)):
            return {"reason": "its packets come irregularly"}
        heard = sum(frame.samples for frame in self.frames)
        skipped = len(self.decoded) * length - heard
        samples = self.packets * length - skipped - self.dropped
        return {"skipped": skipped, "samples": samples, "packet_samples": length}

    def _even(self, base: Fraction, length_s: Fraction) -> bool:
        if not self.times or len(self.frames) > len(self.decoded):
            return False
        step, allowed = length_s / base, min(DRIFT * length_s, DRIFT_MAX_S) / base
        first = self.times[0]
        return all(
            abs(time - first - number * step) <= allowed for number, time in enumerate(self.times)
        )

    def _form(self) -> Facts:
        form, trial = form_for(self.stream, SOUND_FORMATS, self.first, Fraction(1, self.rate))
        return {"form": form} if form else {"reason": f"its packets cannot be copied: {trial}"}


def _dropped(packet: Any) -> int:
    """Return how many samples at its end a packet says are padding."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    dropped: int = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))[1]
    return dropped


# --- where reading can begin ------------------------------------------------------------------
def clusters(container: Any) -> list[int]:
    """Return where the clusters begin that hold keyframes, as the demuxer has noted them."""
    entries = itertools.chain.from_iterable(stream.index_entries for stream in container.streams)
    return sorted({entry.pos for entry in entries})


def fragments(source: Asked) -> list[int]:
    """Return where the fragments of an MP4 begin; none in one that has a single index."""
    at, found = 0, []
    for _ in range(BOXES_MAX):
        head = source.fetch(at, 2 * BOX_HEADER) if at + BOX_HEADER <= source.size else b""
        length, kind = int.from_bytes(head[:4], "big"), head[4:BOX_HEADER]
        if length == 1:
            length = int.from_bytes(head[BOX_HEADER:], "big")
        if kind == b"moof":
            found.append(at)
        if length < BOX_HEADER:
            break
        at += length
    return found


def beginnings(keys: list[tuple[int, int, int]], starts: list[int]) -> list[tuple[int, int, int]]:
    """Replace each keyframe's position by where its cluster or fragment begins."""
    placed = []
    for time, decoded, position in keys:
        before = bisect_right(starts, position) - 1
        placed.append((time, decoded, starts[before] if before >= 0 else NOWHERE))
    return placed


def main(argument: str) -> int:
    """Print what was found, or one line with an error."""
    wish: Facts = json.loads(argument)
    try:
        scan(wish)
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        words = getattr(error, "strerror", None) or type(error).__name__
        sys.stdout.write(json.dumps({"error": str(words)[:100]}) + "\n")
    return 0


def scan(wish: Facts) -> None:
    """Read all packets and print."""
    with open_source(wish) as container:
        streams = container.streams
        picture = Picture(streams[wish["video"]], PICTURE_FORMATS[wish["demuxer"]])
        sound = Sound(streams[wish["audio"]], wish) if wish["audio"] is not None else None
        tracks: dict[int, Picture | Sound] = {wish["video"]: picture}
        if sound:
            tracks[wish["audio"]] = sound
        for packet in container.demux():
            if packet.size and packet.stream_index in tracks:
                tracks[packet.stream_index].add(packet)
        matroska = wish["demuxer"] == "matroska"
        starts = clusters(container) if matroska else fragments(Asked(wish["fd"], wish["size"]))
        facts = {
            "start_us": container.start_time or 0,
            "picture": picture.facts(),
            "sound": sound.facts() if sound else None,
            "head": starts[0] if starts else None,
        }
        columns = zip(*beginnings(picture.keys, starts), strict=True)
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        for column in (picture.times, *columns):
            sys.stdout.buffer.write(array("q", column).tobytes())
