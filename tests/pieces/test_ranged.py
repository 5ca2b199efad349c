"""What a piece reads of its source, and how a child gets it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core import limits
from core.errors import Unavailable
from core.pieces import PicturePiece, SoundPiece
from tests.fakes import FakeClock, MemoryObjectStore
from tests.pieces.joining import in_pieces, make, planned, probed, workshop
from transcoder.pieces.encode import encode_piece
from transcoder.pieces.ranged import ANSWER, QUESTION, Blocks, Desk, FileRanges
from transcoder.pieces.stored import StoredRanges


@dataclass(slots=True)
class Counting:
    """Ranges that keep what they were asked for."""

    data: bytes
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The bytes in all."""
        return len(self.data)

    def read(self, start: int, count: int) -> bytes:
        """Return the bytes and take note."""
        self.asked.append((start, count))
        return self.data[start : start + count]


NUMBERS = bytes(range(256)) * 16


def test_blocks_are_read_once_and_give_the_same_bytes() -> None:
    source = Counting(NUMBERS)
    blocks = Blocks(source, block_bytes=100)
    assert blocks.read(150, 200) == NUMBERS[150:350]
    assert blocks.read(199, 2) == NUMBERS[199:201]
    assert blocks.read(4000, 999) == NUMBERS[4000:]
    assert blocks.read(9999, 5) == b""
    assert source.asked == [(100, 100), (200, 100), (300, 100), (4000, 100)]
    assert blocks.fetched == 396


def test_a_stored_object_is_read_from_the_middle() -> None:
    store = MemoryObjectStore(FakeClock())
    with store.create("uploads/a/source") as writer:
        writer.write(NUMBERS)
        writer.commit()
    with StoredRanges(store, "uploads/a/source") as ranges:
        assert ranges.size == len(NUMBERS)
        assert ranges.read(1000, 50) == NUMBERS[1000:1050]
        assert ranges.read(len(NUMBERS) - 3, 50) == NUMBERS[-3:]
        assert ranges.read(len(NUMBERS), 50) == b""


def test_a_desk_answers_questions_that_come_in_parts() -> None:
    desk = Desk(Counting(NUMBERS))
    with desk, socket.socket(fileno=os.dup(desk.inherited)) as theirs:
        desk.started()
        question = QUESTION.pack(10, 20) + QUESTION.pack(0, 1)
        desk.feed(question[:5])
        desk.feed(question[5:])
        answer = theirs.recv(1000)
    assert answer == ANSWER.pack(20) + NUMBERS[10:30] + ANSWER.pack(1) + NUMBERS[:1]


def test_a_piece_reads_its_own_bytes_and_the_index(tmp_path: Path) -> None:
    """Of a source of 3 MB in 8 GOPs, a picture piece of one GOP reads a small part."""
    noise = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=8,noise=alls=60:allf=t"]
    tone = ["-f", "lavfi", "-i", "sine=r=48000:d=8", "-c:a", "pcm_s16le"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-g", "25"]
    source = make(tmp_path, "a.mov", *noise, *tone, *coded, "-pix_fmt", "yuv420p")
    info = probed(source)
    plan = in_pieces(source, planned(info), info, 1.0, 2.5)
    file = Blocks(FileRanges(source), block_bytes=16 * limits.KIB)
    picture = next(p for p in plan.pieces if isinstance(p, PicturePiece) and p.number == 4)
    made = encode_piece(plan, picture, file, workshop(tmp_path))
    assert made.frames == picture.frames == 25
    assert made.fetched < file.size / 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mov", "piece-4.mp4"]
    sound = next(p for p in plan.pieces if isinstance(p, SoundPiece) and p.start > 0)
    assert encode_piece(plan, sound, file, workshop(tmp_path)).fetched < file.size * 0.7


def test_what_the_store_raises_ends_the_piece(tmp_path: Path) -> None:
    """A store that does not answer is no fault of the recording."""
    clip = ["-f", "lavfi", "-i", "testsrc2=s=192x144:r=25:d=3", "-c:v", "libx264", "-g", "25"]
    source = make(tmp_path, "a.mp4", *clip, "-pix_fmt", "yuv420p", "-preset", "ultrafast")
    info = probed(source)
    plan = in_pieces(source, planned(info), info, 1.0, 2.5)

    class Gone(FileRanges):
        def read(self, start: int, count: int) -> bytes:
            raise Unavailable(f"no answer for {count} bytes at {start}")

    with pytest.raises(Unavailable):
        encode_piece(plan, plan.pieces[1], Gone(source), workshop(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]
