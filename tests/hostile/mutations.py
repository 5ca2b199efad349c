"""Real recordings, cut short and then damaged, each from one seed and one number."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Final

SOURCES: Final = {
    "bbb_480p_51audio.mp4": 0.6,
    "cam_montage_1080p30.mp4": 0.2,
    "cockatoo_720p20_noaudio.mp4": 0.4,
    "guitar.wav": 1.0,
    "hdr10_pq_av1_720x1280.mp4": 0.3,
    "lec_slides_1080p30.mp4": 0.5,
    "mpeg4_960x400.avi": 0.5,
    "no_duration_annexb.mkv": 0.5,
    "phone_hlg10_1080p_rot_editlist.mp4": 0.2,
    "phone_rot270_720p.mp4": 0.3,
    "sar2x1_640x360.mp4": 0.5,
    "screencast_term_1080p15_444.mp4": 0.5,
    "vfr_360p.mp4": 0.5,
}
"""Real recordings, and the seconds of each that are kept: a mutation must be cheap to make."""
_MIXED: Final = (".mkv", ".avi")
"""Of the MP4s some are also put into these."""
_MP4: Final = (b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stts", b"stsz", b"stco", b"stsc")
_EDGES: Final = (0, 1, 0x7F, 0x80, 0xFF)
_HEAD_BYTES: Final = 2048
"""Where most of what a demuxer believes stands, in files whose index comes first."""


def shortened(folder: Path, media: Path, ffmpeg: Path) -> list[Path]:
    """Cut each recording to its first frames, index in front, and return what there is of them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, seconds in SOURCES.items():
        if not (media / name).is_file():
            continue
        endings = {Path(name).suffix, *(_MIXED if "bbb" in name or "vfr" in name else ())}
        for ending in sorted(endings):
            path = folder / f"{Path(name).stem}{ending}"
            if not path.exists():
                _cut(media / name, path, seconds, ffmpeg)
            made.append(path)
    return sorted(made)


def _cut(source: Path, path: Path, seconds: float, ffmpeg: Path) -> None:
    argv = [str(ffmpeg), "-v", "error", "-y", "-i", str(source), "-t", str(seconds)]
    streams = [] if path.suffix == ".wav" else ["-map", "0:v:0", "-map", "0:a:0?"]
    front = ["-movflags", "+faststart"] if path.suffix == ".mp4" else []
    subprocess.run([*argv, *streams, "-c", "copy", *front, str(path)], check=True, timeout=60)


def mutated(data: bytes, others: list[bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Return the kind of the damage and the damaged bytes; the same for the same numbers."""
    chance = random.Random(f"{seed}:{number}")  # noqa: S311 - the same damage in each run
    kind = chance.choice(sorted(_KINDS))
    return kind, _KINDS[kind](chance, bytearray(data), others)


def _bits(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    for _turn in range(chance.choice((1, 3, 30, 300))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _head(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Damage what is believed: the beginning."""
    for _turn in range(chance.choice((1, 4, 16))):
        data[chance.randrange(min(_HEAD_BYTES, len(data)))] = chance.choice(_EDGES)
    return bytes(data)


def _numbers(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Put extremes where numbers of 32 bits stand."""
    for _turn in range(chance.choice((1, 2, 8))):
        at = chance.randrange(0, max(min(_HEAD_BYTES, len(data) - 4), 1)) & ~3
        value = chance.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 2, len(data)))
        data[at : at + 4] = value.to_bytes(4, chance.choice(("big", "little")))
    return bytes(data)


def _tables(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Damage what stands right behind the name of a box."""
    named = [at for name in _MP4 for at in (data.find(name), data.rfind(name)) if at >= 0]
    for at in chance.sample(named, min(2, len(named))):
        place = at + chance.randrange(-4, 24)
        data[place : place + 2] = chance.choice((b"\xff\xff", b"\0\0", b"\x7f\xff", b"\x80\0"))
    return bytes(data)


def _cut_off(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    return bytes(data[: len(data) * chance.randrange(1, 100) // 100])


def _hole(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Leave a part out, or fill it with nothing."""
    at = chance.randrange(len(data))
    count = chance.randrange(1, max(len(data) // 4, 2))
    rest = chance.choice((b"", bytes(min(count, len(data) - at))))
    return bytes(data[:at]) + rest + bytes(data[at + count :])


def _twice(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Repeat a part, or all."""
    at, end = sorted(chance.randrange(len(data)) for _ in range(2))
    return bytes(data[:end] + data[at:end] * chance.choice((1, 3)) + data[end:])


def _mixed(chance: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """Go on as another file, of the same container or not."""
    other = chance.choice(others)
    share = chance.random()
    return bytes(data[: int(len(data) * share)]) + other[int(len(other) * share) :]


def _noise(chance: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    at = chance.randrange(len(data))
    count = chance.randrange(1, 4096)
    return bytes(data[:at]) + chance.randbytes(count) + bytes(data[at + count :])


_KINDS: Final = {
    "bits": _bits,
    "head": _head,
    "numbers": _numbers,
    "tables": _tables,
    "cut": _cut_off,
    "hole": _hole,
    "twice": _twice,
    "mixed": _mixed,
    "noise": _noise,
}
