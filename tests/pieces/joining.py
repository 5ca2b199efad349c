"""Make a recording whole and in pieces, and hold both against each other."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

import av

from core.media import MediaInfo
from core.pieces import PiecePlan, cut
from core.plan import Plan, VideoEncode, plans
from core.presets import DEFAULT
from core.sniffing import sniff
from infra import ffmpeg
from transcoder.encoder import Encoder, EncoderProgress
from transcoder.pieces.assemble import assemble
from transcoder.pieces.encode import MadePiece, encode_piece
from transcoder.pieces.ranged import FileRanges
from transcoder.pieces.timeline import take_timeline
from transcoder.pieces.workshop import Workshop
from transcoder.probe import Probe

BUDGET_S = 60.0


def make(folder: Path, name: str, *args: str) -> Path:
    """Return a file that FFmpeg has made of `args`."""
    path = folder / name
    words = [str(ffmpeg.find()), "-v", "error", "-y", *args, str(path)]
    subprocess.run(words, check=True, timeout=60, cwd=folder)
    return path


def workshop(folder: Path) -> Workshop:
    """Return a workshop in `folder`."""
    return Workshop(
        ffmpeg=ffmpeg.find(),
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + BUDGET_S,
        stop=lambda: False,
    )


def probed(path: Path) -> MediaInfo:
    """Return what the probe finds."""
    container = sniff(path.read_bytes()[:64])
    assert container is not None
    probe = Probe(
        python=sys.executable,
        folder=path.parent,
        deadline=time.monotonic() + BUDGET_S,
        stop=lambda: False,
    )
    return probe(path.name, container)


def planned(info: MediaInfo) -> Plan:
    """Return the first plan, quick and without a bound on its size."""
    plan = next(p for p in plans(info, DEFAULT) if isinstance(p.video, VideoEncode))
    assert isinstance(plan.video, VideoEncode)
    return replace(plan, size_max=2**40, video=replace(plan.video, speed="veryfast"))


def in_pieces(path: Path, plan: Plan, info: MediaInfo, piece_s: float, sound_s: float) -> PiecePlan:
    """Return the pieces of `path`, as another worker would read them."""
    timeline = take_timeline(FileRanges(path), plan, workshop(path.parent))
    pieces = cut(info, plan, timeline, piece_s=piece_s, sound_s=sound_s)
    return PiecePlan.from_document(json.loads(json.dumps(pieces.to_document())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The same recording made in both ways."""

    plan: PiecePlan
    made: tuple[MadePiece, ...]
    whole: Path
    joined: Path


def both_ways(source: Path, folder: Path, *, piece_s: float, sound_s: float) -> Joined:
    """Encode `source` whole and in pieces."""
    info = probed(source)
    plan = planned(info)
    shutil.copyfile(source, folder / "source")
    shop = workshop(folder)
    encoder = Encoder(
        ffmpeg=shop.ffmpeg,
        python=shop.python,
        folder=folder,
        deadline=shop.deadline,
        stop=shop.stop,
    )
    heard = EncoderProgress(duration_s=1.0, report=lambda _: None)
    encoder(plan, "source", "whole.mp4", progress=heard)
    pieces = in_pieces(source, plan, info, piece_s, sound_s)
    assert pieces.whole_because is None
    made = tuple(encode_piece(pieces, p, FileRanges(source), shop) for p in pieces.pieces)
    result = assemble(pieces, [piece.path for piece in made], shop, "joined.mp4")
    assert result.frames == pieces.frames == heard.frames
    return Joined(plan=pieces, made=made, whole=folder / "whole.mp4", joined=result.path)


def times(path: Path, kind: str) -> tuple[list[int], list[int], list[int]]:
    """Return display times in order, decoding times and durations of all packets, in ticks."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        packets = [p for p in container.demux(streams) if p.size] if streams else []
        return (
            sorted(p.pts or 0 for p in packets),
            [p.dts or 0 for p in packets],
            [p.duration or 0 for p in packets],
        )


def edits(path: Path) -> list[str]:
    """Return the edit lists: for each track when and where its media begins, and for how long."""
    data, found, at = path.read_bytes(), [], 0
    while (at := data.find(b"elst", at + 1)) > 0:
        size = int.from_bytes(data[at - 4 : at], "big")
        found.append(data[at + 4 : at - 4 + size].hex())
    return found


def luma(path: Path) -> list[bytes]:
    """Return a small grey picture of each frame."""
    with av.open(str(path)) as container:
        return [
            bytes(frame.reformat(64, 36, "gray").planes[0]) for frame in container.decode(video=0)
        ]


def difference(one: bytes, other: bytes) -> float:
    """Return the mean difference of two grey pictures, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def samples(path: Path) -> list[array[float]]:
    """Return the decoded sound, channel by channel, as numbers from -1 to 1."""
    channels: list[array[float]] = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp")
        for frame in container.decode(audio=0) if container.streams.audio else ():
            for part in resampler.resample(frame):
                channels = channels or [array("f") for _ in part.planes]
                for channel, plane in zip(channels, part.planes, strict=True):
                    channel.frombytes(bytes(plane)[: 4 * part.samples])
    return channels


def distances(sound: array[float], given: array[float], block: int = 256) -> list[float]:
    """Return how far two sounds are apart in each block of samples (root mean square)."""
    return [
        math.dist(sound[at : at + block], given[at : at + block]) / math.sqrt(block)
        for at in range(0, min(len(sound), len(given)) - block, block)
    ]
