"""Small good recordings, of which the harmful ones are made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PICTURE: Final = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1")
_SOUND: Final = ("-f", "lavfi", "-i", "sine=f=440:r=16000:d=1")
_H264: Final = (
    *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-g", "5"),
    *("-pix_fmt", "yuv420p", "-threads", "1"),
)
_MADE: Final = {
    "mp4": (*_PICTURE, *_SOUND, *_H264, "-c:a", "aac"),
    "fast.mp4": (*_PICTURE, *_SOUND, *_H264, "-c:a", "aac", "-movflags", "+faststart"),
    "frag.mp4": (
        *(*_PICTURE, *_SOUND, *_H264, "-c:a", "aac"),
        *("-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    ),
    "mkv": (*_PICTURE, *_SOUND, *_H264, "-c:a", "aac"),
    "webm": (*_PICTURE, *_SOUND, "-c:v", "libvpx", "-crf", "40", "-c:a", "libopus"),
    "avi": (*_PICTURE, *_SOUND, "-c:v", "mpeg4", "-q:v", "2", "-c:a", "mp3"),
    "magicyuv.avi": (*_PICTURE, "-c:v", "magicyuv", "-pix_fmt", "yuv420p"),
    "snow.avi": (*_PICTURE, "-c:v", "snow", "-strict", "-2"),
    "flv.mkv": (*_PICTURE, "-c:v", "flv1"),
    "svq1.mov": (*_PICTURE, "-c:v", "svq1"),
    "asv1.avi": (*_PICTURE, "-c:v", "asv1"),
    "ra.mkv": (*_SOUND, "-c:a", "real_144", "-ar", "8000"),
    "wav": (*_SOUND,),
    "flac": (*_SOUND,),
    "ogg": (*_SOUND, "-c:a", "libopus"),
    "mp3": (*_SOUND,),
    "m4a": (*_SOUND, "-c:a", "aac"),
    "subtitles.mkv": ("-i", "words.srt", "-c:s", "ass"),
    "subtitles.mp4": ("-i", "words.srt", "-c:s", "mov_text"),
    "jpg": (*_PICTURE, "-frames:v", "1", "-f", "image2"),
    "png": (*_PICTURE, "-frames:v", "1", "-f", "image2"),
    "h264": (*_PICTURE, *_H264, "-f", "h264"),
}
_WORDS: Final = "1\n00:00:00,000 --> 00:00:01,000\n{\\p1}m 0 0 l 9e9 9e9{\\p0} <font size=9e9>x\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """Gives the bytes of each good file, by the ending of its name."""

    folder: Path

    def __getitem__(self, name: str) -> bytes:
        """Return one file's bytes."""
        return (self.folder / f"base.{name}").read_bytes()

    def path(self, name: str) -> Path:
        """Return where it lies."""
        return self.folder / f"base.{name}"


def make_bases(folder: Path, ffmpeg: Path) -> Bases:
    """Make all of them in `folder`; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.srt").write_text(_WORDS)
    for name, words in _MADE.items():
        if not (folder / f"base.{name}").exists():
            argv = [str(ffmpeg), "-v", "error", "-y", *words, "-fflags", "+bitexact"]
            subprocess.run([*argv, f"base.{name}"], check=True, timeout=60, cwd=folder)
    return Bases(folder=folder)


def changing_sizes(folder: Path, ffmpeg: Path, count: int = 12) -> bytes:
    """Return a Matroska file whose picture has another size in each frame."""
    path = folder / "changing.mkv"
    if not path.exists():
        parts = []
        for at in range(count):
            size = f"{32 + 16 * (at % 7)}x{32 + 16 * (at % 5)}"
            part = folder / f"part-{at}.h264"
            words = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=10:d=0.1", *_H264, "-f", "h264"]
            subprocess.run([str(ffmpeg), "-v", "error", "-y", *words, str(part)], check=True)
            parts.append(part.read_bytes())
        (folder / "changing.h264").write_bytes(b"".join(parts))
        words = ["-r", "10", "-f", "h264", "-i", str(folder / "changing.h264"), "-c", "copy"]
        argv = [str(ffmpeg), "-v", "error", "-y", "-fflags", "+genpts", *words, str(path)]
        subprocess.run(argv, check=True, timeout=60)
    return path.read_bytes()
