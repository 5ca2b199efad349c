"""How an output was made: what its receipt tells besides the record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """VMAF (v0.6.1, 0 to 100) of `sampled_s` seconds of the output against the scaled source.

    `low` is the 5th percentile over the frames.
    """

    mean: float
    low: float
    sampled_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """How alike an image and its source are: SSIM of luma, 1 for the same.

    `low` is what 99 of 100 blocks of 16 x 16 pixels reach.
    """

    mean: float
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Loudness of the sound (EBU R128): integrated LUFS of the source, and the gain given, dB."""

    source_lufs: float
    gain_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The programs, arguments and costs of an output.

    `ffmpeg` is its version, for an image that of libvips. `arguments` are FFmpeg's, names of
    files included, which say nothing of the caller's. `cpu_s` counts all processes of all tries
    that led to this output, `price_per_cpu_s` is the setting's.
    """

    preset: str
    ffmpeg: str
    arguments: tuple[str, ...]
    cpu_s: float
    price_per_cpu_s: float
    pieces: int = 1
    quality: Quality | None = None
    levels: Levels | None = None
    alike: Alike | None = None
