"""When each frame of a recording is shown, and where its bytes begin to be decodable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframe:
    """A frame that decoding can begin at.

    `time` is when it is shown, `decoded` its place in decoding order, both in ticks. `position`
    is the byte where its cluster or fragment begins, in files that can be read from there.
    """

    time: int
    decoded: int
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLine:
    """All frames of the shown stream in the order in which they are shown.

    `times` are ticks, `last_ticks` is how long the last frame stays. `head` is the byte where the
    first cluster or fragment begins, `form` the muxer that takes the packets. `reason` says why
    the picture cannot be cut, if it cannot.
    """

    time_base: Fraction
    times: Sequence[int]
    keyframes: Sequence[Keyframe]
    last_ticks: int = 0
    head: int | None = None
    form: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLine:
    """The heard stream, counted in its decoded samples.

    `first_packet` and `first_heard` are ticks. `skipped` samples at the beginning are decoded but
    not heard, `samples` are heard. A packet holds `packet_samples`; None where the ticks count
    samples themselves. `trimmed` says that the last packet holds more than is heard, `form` which
    muxer takes the packets. `reason` says why the sound cannot be cut, if it cannot.
    """

    time_base: Fraction
    sample_rate: int
    first_packet: int
    first_heard: int
    skipped: int
    samples: int
    packet_samples: int | None = None
    trimmed: bool = False
    form: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What a scan of all packets found; `start_us` is the file's first moment in microseconds."""

    start_us: int
    picture: PictureLine | None
    sound: SoundLine | None
