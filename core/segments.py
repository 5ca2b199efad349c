"""What a rendition's segments hold, and whether a set of them may be handed out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from core.ladder import LadderPlan, Variant
from core.media import MediaInfo, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a set; `name` is relative to the set's folder."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment, measured on its samples; times in ticks of its track.

    `start` and `end` are those of what is shown or heard, `decode` and `duration` those of
    decoding. `sync` says that it begins with an IDR picture, `syncs` how many pictures it could
    be begun with, `whole` that its samples are all of its data.
    """

    file: File
    start: int
    end: int
    decode: int
    duration: int
    samples: int
    syncs: int
    sync: bool
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One rendition as it lies on the disk; `codecs` as RFC 6381 has it.

    `shift` are the ticks that its edit list takes off the times in its segments.
    """

    name: str
    kind: str
    codecs: str
    timescale: int
    width: int
    height: int
    channels: int
    sample_rate: int
    shift: int
    init: File
    segments: tuple[Segment, ...]

    @property
    def start_s(self) -> float:
        """Return when it begins, on the clock that all tracks of a set share."""
        return self.segments[0].start / self.timescale

    @property
    def end_s(self) -> float:
        """Return when it has ended."""
        return max(segment.end for segment in self.segments) / self.timescale

    @property
    def samples(self) -> int:
        """Return the number of pictures or of packets of sound."""
        return sum(segment.samples for segment in self.segments)

    @property
    def durations_s(self) -> tuple[float, ...]:
        """Return the seconds of each segment: from its start to that of the next."""
        starts = [segment.start for segment in self.segments]
        ends = [*starts[1:], max(segment.end for segment in self.segments)]
        return tuple((e - s) / self.timescale for s, e in zip(starts, ends, strict=True))

    @property
    def files(self) -> tuple[File, ...]:
        """Return all of its files."""
        return (self.init, *(segment.file for segment in self.segments))

    @property
    def average_rate(self) -> int:
        """Return bits a second over the whole track."""
        seconds = sum(self.durations_s)
        return round(8 * sum(segment.file.size for segment in self.segments) / seconds)

    def peak_rate(self, target_s: float) -> int:
        """Return the largest rate of neighbouring segments that together last long enough.

        RFC 8216, 4.1: their durations add up to between half of and one and a half times the
        target duration. A track shorter than that has its average.
        """
        sizes = [segment.file.size for segment in self.segments]
        rates = _rates(sizes, self.durations_s, target_s)
        return max((round(rate) for rate in rates), default=self.average_rate)


_WINDOW: Final = (0.5, 1.5)


def _rates(sizes: Sequence[int], seconds: Sequence[float], target_s: float) -> Iterator[float]:
    least, most = (share * target_s for share in _WINDOW)
    for first in range(len(sizes)):
        size, length = 0, 0.0
        for at in range(first, len(sizes)):
            size, length = size + sizes[at], length + seconds[at]
            if length > most:
                break
            if length >= least:
                yield 8 * size / length


# --- the verdict ------------------------------------------------------------------------------
_DURATION_S: Final = 0.1
_OFFSET_S: Final = 0.04
_ROUNDING_S: Final = 0.002
_LATE_S: Final = 1.0
"""Seconds by which tracks that are not used may begin before the others."""
_FRAME_S_MAX: Final = 1.0
_AAC_FRAME: Final = 1024
_SOUND_FRAMES: Final = 3
"""Packets by which sound may differ: the one it is begun with, and two of padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetEvidence:
    """What the verdict rests on; `frames` is what the encoder says that it wrote of each."""

    plan: LadderPlan
    source: MediaInfo
    videos: tuple[Track, ...]
    audio: Track | None
    frames: int | None


def set_verdict(evidence: SetEvidence) -> tuple[str, ...]:
    """Return the set's defects as short sentences; none means that it may be handed out."""
    tracks = [*evidence.videos, *([evidence.audio] if evidence.audio else [])]
    empty = [f"{track.name} has no segments" for track in tracks if not track.segments]
    if empty or not evidence.videos:
        return tuple(empty or ["there is no picture"])
    defects = [defect for track in tracks for defect in _track(track)]
    pairs = zip(evidence.videos, evidence.plan.variants, strict=False)
    defects += [defect for video, variant in pairs for defect in _video(video, variant, evidence)]
    defects += _together(evidence)
    defects += _times(evidence)
    return tuple(defects)


def _track(track: Track) -> Iterator[str]:
    name = track.name
    for number, segment in enumerate(track.segments):
        if not segment.whole:
            yield f"segment {number} of {name} holds other bytes than its samples"
        if not segment.sync:
            yield f"segment {number} of {name} cannot be decoded by itself"
        if segment.end <= segment.start:
            yield f"segment {number} of {name} lasts no time"
    for number, (one, other) in enumerate(pairwise(track.segments)):
        if one.decode + one.duration != other.decode:
            yield f"segments {number} and {number + 1} of {name} do not follow each other"
        if other.start <= one.start:
            yield f"segment {number + 1} of {name} begins before the one in front of it"


def _video(track: Track, variant: Variant, evidence: SetEvidence) -> Iterator[str]:
    video = variant.video
    if not track.codecs.startswith("avc1."):
        yield f"{track.name} is {track.codecs}"
    if (track.width, track.height) != (video.width, video.height):
        yield (
            f"{track.name} has {track.width}x{track.height} pixels, "
            f"not {video.width}x{video.height}"
        )
    if any(segment.syncs != 1 for segment in track.segments):
        yield f"{track.name} has IDR pictures inside of its segments"
    if track.samples != evidence.frames:
        yield f"{track.name} has {track.samples} frames, not {evidence.frames}"


def _together(evidence: SetEvidence) -> Iterator[str]:
    """Renditions are cut at the same moments, so that a player may change between any two."""
    first, *others = evidence.videos
    if len(evidence.videos) != len(evidence.plan.variants):
        yield f"there are {len(evidence.videos)} renditions, not {len(evidence.plan.variants)}"
    for other in others:
        if _cuts(other) != _cuts(first):
            yield f"{other.name} is not cut where {first.name} is"
    if (evidence.audio is None) != (evidence.plan.audio is None):
        yield "sound was planned and is missing, or the reverse"
    elif evidence.audio and evidence.audio.codecs != "mp4a.40.2":
        yield f"the sound is {evidence.audio.codecs}"


def _cuts(track: Track) -> tuple[Fraction, ...]:
    return tuple(Fraction(segment.start, track.timescale) for segment in track.segments)


def _times(evidence: SetEvidence) -> Iterator[str]:
    """Durations of picture and sound each, and where the sound begins against the picture."""
    source, frame_s = evidence.source, min(evidence.plan.frame_s, _FRAME_S_MAX)
    pairs = [(video, source.video, max(_DURATION_S, frame_s)) for video in evidence.videos]
    late_s = evidence.videos[0].start_s - (source.video.start_s if source.video else 0.0)
    if abs(late_s + source.start_s) > _LATE_S:
        yield f"the picture begins at {evidence.videos[0].start_s:.3f} s"
    audio = evidence.audio
    if audio:
        pairs.append((audio, source.audio, max(_DURATION_S, _padding_s(audio))))
    for track, given, allowed_s in pairs:
        defect = _duration(track, given, allowed_s)
        if defect:
            yield defect
    if audio and source.audio and source.video:
        given_s = source.audio.start_s - source.video.start_s
        moved_s = abs(audio.start_s - evidence.videos[0].start_s - given_s)
        if moved_s > max(_OFFSET_S, frame_s) + _ROUNDING_S:
            yield f"sound and picture moved against each other by {moved_s:.3f} s"


def _padding_s(audio: Track) -> float:
    return _SOUND_FRAMES * _AAC_FRAME / audio.timescale


def _duration(track: Track, given: Stream | None, allowed_s: float) -> str | None:
    made_s = track.end_s - track.start_s
    if given is None or abs(made_s - given.duration_s) <= allowed_s + _ROUNDING_S:
        return None
    return f"{track.name} lasts {made_s:.3f} s, its source {given.duration_s:.3f} s"
