"""What is run to sample a recording: FFmpeg's arguments, and what it writes down. Pure.

A sample is one file without losses, at the output's size: what the filters of the plan make of
the windows. A probe encodes it, decodes the result in the same process, and compares the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.media import Container
from core.plan import VideoEncode
from core.smart import Heard, Probe
from core.windows import Window
from transcoder.command import encoding, filters, reading

SAMPLE: Final = "sample.h264"
SCORES: Final = "sample.json"
SIZES: Final = "sample.sizes"
WINDOW_FRAMES_MAX: Final = 64
"""Frames that are kept of a window: 2 s at 30 a second."""
_MEASURED_EVERY: Final = 5
"""One frame in so many is scored: neighbours score alike, and a score costs as much as an encode
of the frame."""
_MODEL: Final = "version=vmaf_v0.6.1"
_SOUND_HZ: Final = 24_000
PIECES_A_SECOND: Final = 40
"""Pieces of sound whose levels are told, as `core.loudness.is_speech` wants them."""
_LEVELS: Final = {
    b"lavfi.astats.1.RMS_level": 0,
    b"lavfi.astats.2.RMS_level": 1,
}
_SILENT_DB: Final = -120.0
_MAKER: Final = re.compile(rb"x264 - core (\d{1,4}) ")


def greeting(ffmpeg: Path, container: Container, source: str, video: VideoEncode) -> list[str]:
    """Return the argument list that copies the first frame to standard output.

    In it x264 tells its version, and only there.
    """
    return [
        *_beginning(ffmpeg),
        *reading(container, source),
        *("-map", f"0:{video.index}", "-c", "copy", "-frames:v", "1", "-f", "h264", "pipe:1"),
    ]


def maker_of(frame: bytes) -> int | None:
    """Return the version of x264 that a recording's first frame tells of."""
    found = _MAKER.search(frame)
    return int(found[1]) if found else None


def taking(
    ffmpeg: Path,
    container: Container,
    source: str,
    video: VideoEncode,
    window: Window,
    to: str,
    *,
    maker: int | None = None,
) -> list[str]:
    """Return the argument list that writes the frames of `window` to `to`, without losses.

    It is a bare H.264 stream: several of them in a row are one. `maker` is the version of x264 that
    made the source: before 151 it coded 4:4:4 in its own way, which FFmpeg's decoder follows only
    where it has been told, and the first frame is not in the window.
    """
    return [
        *_beginning(ffmpeg),
        *_within(window),
        *(() if maker is None else ("-x264_build", str(maker))),
        *reading(container, source),
        *("-map", f"0:{video.index}", "-an", "-sn", "-dn"),
        *("-vf", filters(video), "-fps_mode", "passthrough"),
        *("-frames:v", str(WINDOW_FRAMES_MAX)),
        *("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-f", "h264", f"file:{to}"),
    ]


def measuring(ffmpeg: Path, video: VideoEncode) -> list[str]:
    """Return the argument list that encodes the sample as `video` says, and measures the result.

    FFmpeg decodes what it encodes (`-dec`): nothing but scores and sizes is written. Frames are
    paired by their number.
    """
    counted = "settb=1/1000,setpts=N*40"
    compare = (
        f"[0:v]{counted}[given];[dec:0]{counted}[made];"
        f"[made][given]libvmaf=model={_MODEL}:n_threads=1:n_subsample={_MEASURED_EVERY}"
        f":log_fmt=json:log_path={SCORES}[scored]"
    )
    rate = f"{video.frame_rate.numerator}/{video.frame_rate.denominator}"
    return [
        *_beginning(ffmpeg),
        *("-framerate", rate, "-f", "h264", "-protocol_whitelist", "file", "-i", f"file:{SAMPLE}"),
        *("-map", "0:v", "-fps_mode", "passthrough", *encoding(video)),
        *("-stats_enc_post:v", SIZES, "-stats_enc_post_fmt:v", "{size}", "-f", "null", "pipe:2"),
        *("-dec", "0:0", "-filter_complex", compare, "-map", "[scored]", "-f", "null", "pipe:2"),
    ]


def listening(
    ffmpeg: Path, container: Container, source: str, index: int, window: Window
) -> list[str]:
    """Return the argument list that tells the levels of `window` on standard output."""
    shared = "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1"
    chain = (
        f"aresample={_SOUND_HZ}:out_chlayout=stereo,{shared},"
        f"asetnsamples={_SOUND_HZ // PIECES_A_SECOND}:p=0,"
        "astats=metadata=1:reset=1:measure_perchannel=RMS_level:measure_overall=none,"
        "ametadata=mode=print:file='pipe\\:1'"
    )
    return [
        *_beginning(ffmpeg),
        *_within(window),
        *reading(container, source),
        *("-map", f"0:{index}", "-vn", "-sn", "-dn", "-af", chain, "-f", "null", "pipe:2"),
    ]


def probe_of(video: VideoEncode, scores: str, sizes: str) -> Probe:
    """Return what `measuring` wrote; raises ValueError where that is nothing."""
    frames = json.loads(scores)["frames"]
    probe = Probe(
        crf=video.crf,
        vmaf=tuple(float(frame["metrics"]["vmaf"]) for frame in frames),
        sizes=tuple(int(line) for line in sizes.split()),
        pixels=video.width * video.height,
        codec=video.codec,
    )
    if not probe.vmaf or not probe.sizes:
        raise ValueError("no frame was measured")
    return probe


def heard_of(printed: Sequence[bytes]) -> Heard:
    """Return what `listening` printed for each window."""
    levels: tuple[list[float], list[float]] = ([], [])
    for part in printed:
        for line in part.splitlines():
            name, _, value = line.partition(b"=")
            if name in _LEVELS:
                levels[_LEVELS[name]].append(_decibels(value))
    return Heard(mid=tuple(levels[0]), side=tuple(levels[1]), a_second=PIECES_A_SECOND)


def _decibels(word: bytes) -> float:
    try:
        return max(float(word), _SILENT_DB)
    except ValueError:
        return _SILENT_DB


def _beginning(ffmpeg: Path) -> list[str]:
    return [str(ffmpeg), "-hide_banner", "-nostdin", "-y", "-v", "repeat+level+error", "-nostats"]


def _within(window: Window) -> list[str]:
    exact = [] if window.exact else ["-noaccurate_seek"]
    return [*exact, "-ss", f"{window.start_s:.3f}", "-t", f"{window.length_s:.3f}"]
