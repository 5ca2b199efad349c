"""Join finished pieces into one MP4 without encoding anything. Runs as a program, sandboxed.

It is told `{"pictures": [{"file", "first", "last", "frames"}], "time_base": …,
"last_ticks": …, "sounds": [{"file", "skip", "frames"}], "sound_first": …, "output": …}`. It
answers with the number of frames, or why the pieces do not fit together, in JSON.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.stream import Disposition

RECENT = 64
"""Frames among which the last ones shown of a piece are; coders reorder no more than 16."""
TIMESCALE_MAX = 2**31 - 1
JOINT_FRAMES = 3
"""Frames among which a joint is looked for; a piece encodes one more than that after its end."""
SINGLE, PAIR = 0, 1
HEAD_BYTES = 4
"""AAC: elements of one and of two channels, and the bytes that tell of their windows."""

Facts = dict[str, Any]


class MisfitError(Exception):
    """The pieces do not belong together."""


def open_piece(name: str) -> Any:
    """Open one of our own pieces."""
    options = {"protocol_whitelist": "file", "format_whitelist": "mov"}
    return av.open(f"file:{name}", format="mov", options=options)


class Pictures:
    """All frames of the picture pieces, in decoding order, with their times in the output.

    An encoder lags `delay` frames behind: a frame is decoded when the one `delay` places before
    it is shown, and the first ones earlier still. Where pieces join, the last frames shown of
    the piece before give those times, as they would in one encode.
    """

    def __init__(self, wish: Facts) -> None:
        self.pieces = wish["pictures"]
        self.time_base = Fraction(*wish["time_base"])
        self.last_ticks = wish["last_ticks"]
        self.parameters: bytes | None = None
        self.delay: int | None = None
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        for number, piece in enumerate(self.pieces):
            with open_piece(piece["file"]) as container:
                stream = container.streams.video[0]
                self._check_parameters(stream)
                before = sorted(self.recent)
                count = 0
                for packet in self._placed(stream, container, piece):
                    if packet.dts < piece["first"]:
                        self._delayed(packet, count, before, number)
                    elif self.delay is None:
                        self.delay = count
                    elif packet.dts == piece["first"] and count != self.delay:
                        raise MisfitError("pieces are reordered differently")
                    self.recent.append(packet.pts)
                    count += 1
                    yield packet
                self._check_frames(piece, count)

    def _delayed(self, packet: Any, count: int, before: list[int], number: int) -> None:
        """Give one of a piece's first packets the decoding time that it has in one encode."""
        if number:
            packet.dts = before[count - (self.delay or 0)]

    def _placed(self, stream: Any, container: Any, piece: Facts) -> Iterator[Any]:
        ticks = stream.time_base / self.time_base
        offset: int | None = None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            pts, dts = round(packet.pts * ticks), round(packet.dts * ticks)
            duration = round((packet.duration or 0) * ticks)
            offset = piece["first"] - pts if offset is None else offset
            packet.time_base = self.time_base
            packet.pts, packet.dts, packet.duration = pts + offset, dts + offset, duration
            if packet.pts == self.pieces[-1]["last"] and self.last_ticks:
                packet.duration = self.last_ticks
            yield packet

    def _check_parameters(self, stream: Any) -> None:
        context = stream.codec_context
        parameters = bytes(context.extradata or b"") + b"%dx%d" % (context.width, context.height)
        if self.parameters is None:
            self.parameters = parameters
        if parameters != self.parameters:
            raise MisfitError("pieces were encoded with different parameters")

    def _check_frames(self, piece: Facts, count: int) -> None:
        if count != piece["frames"]:
            raise MisfitError(f"a piece has {count} frames, not {piece['frames']}")
        if max(self.recent) != piece["last"]:
            raise MisfitError("a piece does not end where the next one begins")
        self.count += count


# --- sound ------------------------------------------------------------------------------------
def sound_packets(name: str) -> Iterator[Any]:
    """Yield the packets of one of our own sound pieces."""
    with open_piece(name) as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.size:
                yield packet


def window(packet: bytes) -> tuple[int, int] | None:
    """Return the shape and sequence of an AAC frame's windows, where it begins with a channel.

    ISO/IEC 14496-3, tables 4.4 to 4.6: an element's type has 3 bits and its number 4; a pair of
    channels says in one bit whether they share windows; else a gain of 8 bits comes before.
    """
    head = int.from_bytes(packet[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), "big")
    kind = head >> 29
    if kind not in {SINGLE, PAIR}:
        return None
    shared = kind == PAIR and head >> 24 & 1
    at = kind + (7 if shared else 15)
    return head >> (29 - at) & 3, head >> (28 - at) & 1


def joints(pieces: list[Facts]) -> list[int]:
    """Return how many frames later than planned each piece gives over to the next.

    Both have encoded the frames around a joint. It lies where both have chosen the same windows,
    so that what overlaps cancels out.
    """
    late = []
    windows = [[window(bytes(p)) for p in sound_packets(piece["file"])] for piece in pieces]
    for number, piece in enumerate(pieces[:-1]):
        end, begin = piece["skip"] + piece["frames"], pieces[number + 1]["skip"]
        if len(windows[number]) < end + JOINT_FRAMES:
            raise MisfitError("a piece of sound is too short")
        before, after = windows[number][end - 1 :], windows[number + 1][begin - 1 :]
        same = (n for n in range(JOINT_FRAMES) if before[n : n + 2] == after[n : n + 2])
        late.append(next(same, 0))
    return late


def sounds(wish: Facts, rate: int) -> Iterator[Any]:
    """Yield the sound's packets one after the other, without those that only led up to a piece."""
    at: int = wish["sound_first"]
    pieces = wish["sounds"]
    late = joints(pieces)
    for piece, begins, ends in zip(pieces, [0, *late], [*late, None], strict=True):
        first = piece["skip"] + begins
        end = None if ends is None else piece["skip"] + piece["frames"] + ends
        for packet in itertools.islice(sound_packets(piece["file"]), first, end):
            packet.time_base = Fraction(1, rate)
            packet.pts = packet.dts = at
            at += packet.duration
            yield packet


def assemble(wish: Facts) -> int:
    """Write the output; return its frames."""
    pictures = Pictures(wish)
    base = pictures.time_base
    with open_piece(wish["pictures"][0]["file"]) as picture:
        rate, scale = 0, base.denominator
        if wish["sounds"]:
            with open_piece(wish["sounds"][0]["file"]) as sound:
                rate = sound.streams.audio[0].codec_context.sample_rate
                scale = math.lcm(scale, rate)
                output = create(wish["output"], scale)
                tracks = [track(output, picture.streams.video[0], base)]
                tracks.append(track(output, sound.streams.audio[0], Fraction(1, rate)))
        else:
            output = create(wish["output"], scale)
            tracks = [track(output, picture.streams.video[0], base)]
    kinds = [pictures, sounds(wish, rate)] if rate else [pictures]
    with output:
        for packet in heapq.merge(*kinds, key=lambda p: p.dts * p.time_base):
            packet.stream = tracks[0 if packet.stream.type == "video" else 1]
            output.mux_one(packet)
    return pictures.count


def create(name: str, scale: int) -> Any:
    """Open the output; its clock is the one on which both tracks have whole ticks, as FFmpeg's."""
    options = {"movflags": "+faststart", "fflags": "+bitexact", "write_tmcd": "0"}
    if scale <= TIMESCALE_MAX:
        options["movie_timescale"] = str(scale)
    return av.open(f"file:{name}", "w", format="mp4", options=options)


def track(output: Any, template: Any, time_base: Fraction) -> Any:
    """Add a track like `template`."""
    made = output.add_stream_from_template(template, opaque=True)
    made.time_base = time_base
    made.disposition = Disposition.default
    return made


def main(argument: str) -> int:
    """Print the number of frames, or why there is no output."""
    try:
        sys.stdout.write(json.dumps({"frames": assemble(json.loads(argument))}))
    except MisfitError as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
    except av.error.FFmpegError as error:
        sys.stdout.write(json.dumps({"error": error.strerror or "it cannot be written"}))
    return 0
