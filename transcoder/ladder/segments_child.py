"""Measure one rendition's segments and print what was found as JSON. Runs in the sandbox.

`python -I segments_child.py '{"folder": …, "init": …, "segment": "%05d.m4s", "most": …}'`. Imports
nothing of Lectern. Reads every byte once: boxes (ISO/IEC 14496-12), the coded pictures' types
(ITU-T H.264, 7.3.1, in the length-prefixed form of ISO/IEC 14496-15), and the digest.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

Facts = dict[str, Any]
Boxes = list[tuple[str, bytes]]
Sample = tuple[int, int, int, int]
"""Duration, size, flags, composition offset."""

_BOXES_MAX: Final = 10_000
_HEAD: Final = 8
_LENGTHS: Final = 3
"""Bits of an `avcC` that tell of lengths of four bytes."""
_PARENTS: Final = frozenset(
    {"moov", "trak", "mdia", "minf", "stbl", "mvex", "moof", "traf", "edts"}
)
_IDR: Final = 5
_VCL: Final = frozenset(range(1, 6))
"""NAL unit types that hold a picture; 5 is an IDR picture's."""
_NON_SYNC: Final = 0x10000
"""`sample_is_non_sync_sample` of a sample's flags."""
_NORMAL_RATE: Final = 0x10000
_BASE_OFFSET, _DESCRIPTION, _DURATION, _SIZE, _FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
"""What a `tfhd` may hold, in this order."""
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_OF_SAMPLE: Final = (0x100, 0x200, 0x400, 0x800)
"""What a `trun` may hold for each sample: duration, size, flags, composition offset."""
_VISUAL_BYTES: Final = 78
_AUDIO_BYTES: Final = 28
"""Bytes of a sample entry before its boxes."""
_DECODER_CONFIG, _DECODER_SPECIFIC = 0x04, 0x05
"""Tags of an `esds` (ISO/IEC 14496-1, 7.2.2.1)."""


class Bad(Exception):
    """The bytes are not what they must be; the message says where."""


def main(argument: str) -> int:
    """Print the facts, or `{"error": …}`."""
    wish: Facts = json.loads(argument)
    try:
        facts = _track(wish)
    except (Bad, struct.error, IndexError, OSError) as error:
        facts = {"error": f"{type(error).__name__}: {error}"[:200]}
    sys.stdout.write(json.dumps(facts, separators=(",", ":")))
    return 0


def _track(wish: Facts) -> Facts:
    folder = Path(wish["folder"])
    init = (folder / wish["init"]).read_bytes()
    boxes = _tree(init)
    default = _default_sample(boxes)
    facts = {**_header(boxes), "init": _file(wish["init"], init), "segments": []}
    for number in range(wish["most"]):
        path = folder / (wish["segment"] % number)
        if not path.is_file():
            break
        facts["segments"].append(_segment(path, default, facts))
    return facts


def _file(name: str, data: bytes) -> Facts:
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


# --- boxes ------------------------------------------------------------------------------------
def _flat(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < _HEAD or at + size > len(data):
            raise Bad(f"a box of {size} bytes at {at} does not fit")
        yield kind.decode("latin-1"), data[at + _HEAD : at + size]
        at += size


def _tree(data: bytes) -> Boxes:
    """Return all boxes in order, those inside of others after them."""
    found: Boxes = []
    for kind, body in _flat(data):
        found.append((kind, body))
        if kind in _PARENTS:
            found += _tree(body)
        if len(found) > _BOXES_MAX:
            raise Bad("too many boxes")
    return found


def _one(boxes: Boxes, kind: str) -> bytes:
    bodies = [body for name, body in boxes if name == kind]
    if len(bodies) != 1:
        raise Bad(f"{len(bodies)} boxes `{kind}`, not one")
    return bodies[0]


# --- the header -------------------------------------------------------------------------------
def _header(boxes: Boxes) -> Facts:
    mdhd = _one(boxes, "mdhd")
    entries = _one(boxes, "stsd")[8:]
    (name, entry), *more = _flat(entries)
    if more or _one(boxes, "stts")[4:8] != bytes(4):
        raise Bad("it holds samples or several descriptions")
    codec = {"avc1": _avc, "mp4a": _aac}.get(name)
    if codec is None:
        raise Bad(f"its samples are {name}")
    return {
        **codec(entry),
        "timescale": struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)[0],
        "shift": _shift(boxes),
    }


def _shift(boxes: Boxes) -> int:
    """Return the ticks that an edit list takes off all times: what reordering pictures adds.

    Any other edit would move the track against the others.
    """
    lists = [body for kind, body in boxes if kind == "elst"]
    if not lists:
        return 0
    count, wide = struct.unpack_from(">I", lists[0], 4)[0], lists[0][0]
    media_time, rate = struct.unpack_from(">8xqI" if wide else ">4xiI", lists[0], 8)
    if len(lists) > 1 or count != 1 or media_time < 0 or rate != _NORMAL_RATE:
        raise Bad("its edit list does more than to begin with the first picture")
    return int(media_time)


def _avc(entry: bytes) -> Facts:
    width, height = struct.unpack_from(">HH", entry, 24)
    record = _one(list(_flat(entry[_VISUAL_BYTES:])), "avcC")
    if record[4] & _LENGTHS != _LENGTHS:
        raise Bad("its NAL units have no lengths of four bytes")
    codecs = f"avc1.{record[1:4].hex()}"
    return {"kind": "video", "codecs": codecs, "width": width, "height": height, "channels": 0}


def _aac(entry: bytes) -> Facts:
    channels, _, _, _, rate = struct.unpack_from(">HHHHH", entry, 16)
    esds = _one(list(_flat(entry[_AUDIO_BYTES:])), "esds")[4:]
    codecs = f"mp4a.{_object_type(esds)}"
    return {
        "kind": "audio", "codecs": codecs, "width": 0, "height": 0,
        "channels": channels, "sample_rate": rate,
    }  # fmt: skip


def _object_type(esds: bytes) -> str:
    """Return the two numbers of RFC 6381: the object type, and AAC's audio object type."""
    descriptors = dict(_descriptors(esds[3 + _size_bytes(esds) + 1 :]))
    config = descriptors[_DECODER_CONFIG]
    specific = dict(_descriptors(config[13:]))[_DECODER_SPECIFIC]
    return f"{config[0]:02x}.{specific[0] >> 3}"


def _size_bytes(data: bytes, at: int = 1) -> int:
    count = 1
    while data[at + count - 1] & 0x80:
        count += 1
    return count


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, count, size = data[at], _size_bytes(data, at + 1), 0
        for byte in data[at + 1 : at + 1 + count]:
            size = size << 7 | byte & 0x7F
        at += 1 + count
        yield tag, data[at : at + size]
        at += size


def _default_sample(boxes: Boxes) -> tuple[int, int, int]:
    """Return duration, size and flags of a sample that says nothing else."""
    duration, size, flags = struct.unpack_from(">III", _one(boxes, "trex"), 12)
    return duration, size, flags


# --- segments ---------------------------------------------------------------------------------
def _segment(path: Path, default: tuple[int, int, int], track: Facts) -> Facts:
    data = path.read_bytes()
    flat = list(_flat(data))
    if [kind for kind, _ in flat if kind not in {"styp", "sidx"}] != ["moof", "mdat"]:
        raise Bad(f"{path.name} is not one fragment")
    boxes = _tree(_box(flat, "moof"))
    samples = _samples(_one(boxes, "traf"), default)
    media = _box(flat, "mdat")
    decode = _decode_time(_one(boxes, "tfdt"))
    start, end = _presented(samples, decode - track["shift"])
    pictures = track["kind"] == "video"
    return {
        **_file(path.name, data),
        "start": start,
        "end": end,
        "decode": decode,
        "duration": sum(sample[0] for sample in samples),
        "samples": len(samples),
        "whole": sum(sample[1] for sample in samples) == len(media),
        "sync": not samples[0][2] & _NON_SYNC and (not pictures or _is_idr(media, samples[0][1])),
        "syncs": sum(not sample[2] & _NON_SYNC for sample in samples),
    }


def _box(flat: Boxes, kind: str) -> bytes:
    return next(body for name, body in flat if name == kind)


def _decode_time(tfdt: bytes) -> int:
    time: int = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0]
    return time


def _presented(samples: list[Sample], decode: int) -> tuple[int, int]:
    """Return the first tick that is shown, and the end of the last picture.

    Durations count decoding. The picture that is shown last is rarely the one decoded last, and
    gets the usual distance of pictures; one that is both has its own duration.
    """
    starts = []
    for duration, _, _, offset in samples:
        starts.append(decode + offset)
        decode += duration
    shown = sorted(starts)
    lasts = samples[-1][0] if shown[-1] == starts[-1] else 0
    gaps = [after - before for before, after in pairwise(shown)]
    return shown[0], shown[-1] + max(lasts, round(median(gaps)) if gaps else 0)


def _samples(traf: bytes, default: tuple[int, int, int]) -> list[Sample]:
    boxes = list(_flat(traf))
    default = _fragment_default(_one(boxes, "tfhd"), default)
    samples: list[Sample] = []
    for kind, body in boxes:
        if kind == "trun":
            samples += _run(body, default)
    if not samples:
        raise Bad("a fragment without samples")
    return samples


def _fragment_default(tfhd: bytes, default: tuple[int, int, int]) -> tuple[int, int, int]:
    flags = int.from_bytes(tfhd[1:4], "big")
    at = 8 + (8 if flags & _BASE_OFFSET else 0) + (4 if flags & _DESCRIPTION else 0)
    values = []
    for bit, value in zip((_DURATION, _SIZE, _FLAGS), default, strict=True):
        if flags & bit:
            value = struct.unpack_from(">I", tfhd, at)[0]  # noqa: PLW2901 - it replaces the default
            at += 4
        values.append(value)
    duration, size, sample_flags = values
    return duration, size, sample_flags


def _run(trun: bytes, default: tuple[int, int, int]) -> Iterator[Sample]:
    flags, count = int.from_bytes(trun[1:4], "big"), struct.unpack_from(">I", trun, 4)[0]
    at = 8 + (4 if flags & _DATA_OFFSET else 0)
    first_flags = None
    if flags & _FIRST_FLAGS:
        first_flags = struct.unpack_from(">I", trun, at)[0]
        at += 4
    present = [bool(flags & bit) for bit in _OF_SAMPLE]
    form = struct.Struct(
        ">" + "".join(kind for kind, has in zip("IIIi", present, strict=True) if has)
    )
    for number in range(count):
        given = iter(form.unpack_from(trun, at))
        at += form.size
        values = [next(given) if has else value
                  for has, value in zip(present, (*default, 0), strict=True)]  # fmt: skip
        if number == 0 and first_flags is not None:
            values[2] = first_flags
        duration, size, sample_flags, offset = values
        yield duration, size, sample_flags, offset


def _is_idr(media: bytes, size: int) -> bool:
    """Return whether the first sample's first coded picture is an IDR picture's."""
    at = 0
    while at + 4 < size:
        length, kind = struct.unpack_from(">IB", media, at)
        if kind & 0x1F in _VCL:
            return bool(kind & 0x1F == _IDR)
        at += 4 + length
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
