"""AVI, WAV, FLAC, Ogg and MP3 files whose chunks, blocks, pages and tags lie; rare codecs."""

from __future__ import annotations

import struct
from typing import Final

from tests.hostile.bases import Bases
from tests.hostile.crafted import Crafted, Make, refused, survived

_MAX: Final = 2**32 - 1
_RARE: Final = (
    b"IV31", b"IV50", b"SVQ3", b"tscc", b"TSC2", b"G2M4", b"FICV", b"VP6F", b"LOCO", b"KMVC",
    b"SNOW", b"WNV1", b"M8RG", b"M8Y0", b"AASC", b"CSCD"[::-1], b"RTV1", b"TM20", b"cvid"[::-1],
)  # fmt: skip
"""Four letters of codecs that are hardly met, and of some that are none."""


def _chunk(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    """Return a RIFF chunk, of another size than it claims if one is given."""
    claimed = len(body) if size is None else size
    return kind + struct.pack("<I", claimed) + body + bytes(len(body) % 2)


def _wave(
    form: tuple[int, int, int, int, int, int],
    data: bytes = bytes(16_000),
    *,
    size: int | None = None,
    sign: bytes = b"RIFF",
    more: bytes = b"",
) -> Make:
    """Return a WAV of (tag, channels, rate, bytes a second, bytes a frame, bits)."""

    def make(_: Bases) -> bytes:
        body = more + _chunk(b"fmt ", struct.pack("<HHIIHH", *form)) + _chunk(b"data", data, size)
        return sign + struct.pack("<I", 4 + len(body)) + b"WAVE" + body

    return make


def _waves() -> dict[str, Make]:
    ds64 = _chunk(b"ds64", struct.pack("<QQQI", 2**63, 2**63, 2**63, _MAX))
    return {
        "wav_of_65535_channels": _wave((1, 65_535, 8000, 8000, 65_535, 16)),
        "wav_of_64_channels": _wave((1, 64, 8000, 1_024_000, 128, 16)),
        "wav_without_channels": _wave((1, 0, 8000, 16_000, 2, 16)),
        "wav_of_one_hertz": _wave((1, 1, 1, 2, 2, 16)),
        "wav_of_4e9_hertz": _wave((1, 1, _MAX, _MAX, 2, 16)),
        "wav_without_hertz": _wave((1, 1, 0, 0, 2, 16)),
        "wav_of_no_bits": _wave((1, 1, 8000, 16_000, 0, 0)),
        "wav_of_65535_bits": _wave((1, 1, 8000, 16_000, 65_535, 65_535)),
        "wav_of_no_codec": _wave((0xFFFE, 1, 8000, 16_000, 2, 16)),
        "wav_of_rare_codec": _wave((0x0270, 1, 8000, 16_000, 2, 16)),
        "wav_of_mp3_that_is_none": _wave((0x55, 2, 44_100, 16_000, 1, 0)),
        "wav_that_claims_more": _wave((1, 1, 8000, 16_000, 2, 16), size=2**31),
        "wav_without_an_end": _wave((1, 1, 8000, 16_000, 2, 16), size=_MAX),
        "wav_of_a_billion_chunks": _wave(
            (1, 1, 8000, 16_000, 2, 16), more=_chunk(b"JUNK", b"") * 150_000
        ),
        "rf64_of_8_exabytes": _wave(
            (1, 1, 8000, 16_000, 2, 16), size=_MAX, sign=b"RF64", more=ds64
        ),
        "rf64_without_its_sizes": _wave((1, 1, 8000, 16_000, 2, 16), size=_MAX, sign=b"RF64"),
        "wav_of_silence_only": _wave((1, 1, 8000, 16_000, 2, 16), b""),
    }


def _patched(name: str, at: int, value: bytes) -> Make:
    def make(bases: Bases) -> bytes:
        data = bytearray(bases[name])
        data[at : at + len(value)] = value
        return bytes(data)

    return make


def _avi(find: bytes, behind: int, value: bytes) -> Make:
    """Overwrite what lies some bytes behind a chunk's name."""

    def make(bases: Bases) -> bytes:
        data = bytearray(bases["avi"])
        at = data.index(find) + behind
        data[at : at + len(value)] = value
        return bytes(data)

    return make


def _looped_index(bases: Bases) -> bytes:
    """Put in an index of indexes (OpenDML) that leads to itself a thousand times."""
    data = bases["avi"]
    entry = struct.pack("<QII", 0, 24, 1000)
    index = struct.pack("<HBBI4sIII", 4, 0, 0, 1000, b"00dc", 0, 0, 0) + entry * 1000
    at = data.index(b"strf") + 8 + struct.unpack_from("<I", data, data.index(b"strf") + 4)[0]
    return data[:at] + _chunk(b"indx", index) + data[at:]


def _deep_lists(bases: Bases) -> bytes:
    inner = b""
    for _ in range(3000):
        inner = b"LIST" + struct.pack("<I", len(inner) + 4) + b"rec " + inner
    return bases["avi"][:12] + inner + bases["avi"][12:]


def _films() -> dict[str, Make]:
    big = struct.pack("<I", _MAX)
    return {
        "avi_of_4e9_streams": _avi(b"avih", 32, big),
        "avi_of_4e9_frames": _avi(b"avih", 24, big),
        "avi_of_no_microseconds": _avi(b"avih", 8, bytes(4)),
        "avi_of_no_scale": _avi(b"strh", 28, bytes(4)),
        "avi_of_no_rate": _avi(b"strh", 32, bytes(4)),
        "avi_of_4e9_rate": _avi(b"strh", 32, big),
        "avi_of_4e9_scale": _avi(b"strh", 28, big),
        "avi_that_starts_late": _avi(b"strh", 36, big),
        "avi_of_huge_format": _avi(b"strf", 4, struct.pack("<I", 2**30)),
        "avi_of_huge_picture": _avi(b"strf", 12, struct.pack("<ii", 2**31 - 1, 2**31 - 1)),
        "avi_upside_down": _avi(b"strf", 16, struct.pack("<i", -(2**31))),
        "avi_of_no_size": _patched("avi", 4, bytes(4)),
        "avi_of_4_gigabytes": _patched("avi", 4, big),
        "avi_index_of_indexes": _looped_index,
        "avi_index_to_nowhere": _avi(b"idx1", 8, (b"00dc" + big * 3) * 10),
        "avi_index_of_4e9": _avi(b"idx1", 4, big),
        "avi_lists_three_thousand_deep": _deep_lists,
        "avi_after_avi": lambda b: b["avi"] * 50,
    }


def _flac_block(kind: int, body: bytes, size: int | None = None) -> bytes:
    return bytes([kind]) + (len(body) if size is None else size).to_bytes(3, "big") + body


def _flac(*blocks: bytes) -> Make:
    """Put metadata blocks behind the stream's description."""

    def make(bases: Bases) -> bytes:
        data = bases["flac"]
        return data[:4] + b"\0" + data[5:42] + b"".join(blocks) + b"\x81\0\0\0" + data[42:]

    return make


def _tag(body: bytes, size: int | None = None) -> bytes:
    """Return an ID3v2.4 tag; its size has seven bits a byte."""
    count = len(body) if size is None else size
    return b"ID3\x04\0\0" + bytes(count >> shift & 0x7F for shift in (21, 14, 7, 0)) + body


def _tag_frame(kind: bytes, body: bytes) -> bytes:
    count = len(body)
    return kind + bytes(count >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\0\0" + body


def _tags() -> dict[str, Make]:
    cover = (
        b"\0image/png\0\3\0\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06"
    )
    chapter = b"c\0" + struct.pack(">4I", 0, _MAX, _MAX, _MAX)
    return {
        "mp3_tag_of_256_megabytes": lambda b: _tag(b"", 2**28 - 1) + b["mp3"],
        "mp3_tags_by_the_thousand": lambda b: _tag(bytes(10)) * 5000 + b["mp3"],
        "mp3_covers_as_a_bomb": lambda b: (
            _tag(_tag_frame(b"APIC", cover + bytes(99_999)) * 70) + b["mp3"]
        ),
        "mp3_chapters_by_the_thousand": lambda b: (
            _tag(_tag_frame(b"CHAP", chapter) * 20_000) + b["mp3"]
        ),
        "mp3_frames_that_lie": lambda b: _tag(b"TIT2" + b"\x7f" * 6 + bytes(99)) + b["mp3"],
        "mp3_of_free_rate": lambda b: b["mp3"].replace(b"\xff\xf3", b"\xff\xf3\x00"),
        "mp3_within_mp3": lambda b: b["mp3"] + _tag(b["mp3"]) + b["mp3"],
        "flac_padded_ten_thousand_times": _flac(_flac_block(1, b"") * 10_000),
        "flac_picture_that_lies": _flac(_flac_block(6, struct.pack(">I", 3) + b"\xff" * 40)),
        "flac_block_of_16_megabytes": _flac(_flac_block(4, b"", 2**24 - 1)),
        "flac_comments_by_the_billion": _flac(_flac_block(4, struct.pack("<II", 0, _MAX))),
        "flac_seeks_to_nowhere": _flac(_flac_block(3, b"\xff" * 18 * 900)),
        "flac_cue_sheet_that_lies": _flac(_flac_block(5, bytes(395) + b"\xff" + b"\xff" * 36)),
        "flac_of_2_to_36_samples": _patched("flac", 21, b"\xff\xff\xff\xff\xff"),
        "flac_of_no_hertz": _patched("flac", 18, b"\0\0\0"),
        "ogg_chained_a_thousand_times": lambda b: b["ogg"] * 1000,
        "ogg_of_no_channels": _patched("ogg", 28 + 9, b"\0"),
        "ogg_of_255_channels": _patched("ogg", 28 + 9, b"\xff"),
        "ogg_that_skips_all": _patched("ogg", 28 + 10, b"\xff\xff"),
        "ogg_at_the_end_of_time": lambda b: b["ogg"][:-1000].replace(
            b"OggS\0\0", b"OggS\0\0\xff\xff\xff\x7f"[:6]
        ),
        "ogg_pages_of_nothing": lambda b: b["ogg"] + (b"OggS" + bytes(23)) * 50_000,
        "ogg_of_two_songs_at_once": lambda b: (
            b["ogg"][:47] + b["ogg"][:47].replace(b"OggS", b"OggS") + b["ogg"][47:]
        ),
    }


def _rare(letters: bytes) -> Make:
    """Give the picture of an AVI another codec."""

    def make(bases: Bases) -> bytes:
        return bases["avi"].replace(b"FMP4", letters)

    return make


def sounds() -> list[Crafted]:
    """Return all of them."""
    rare = {f"avi_of_codec_{letters.decode()}": _rare(letters) for letters in _RARE}
    return [
        *refused(
            magicyuv_picture=lambda bases: bases["magicyuv.avi"],
            snow_picture=lambda bases: bases["snow.avi"],
            asv1_picture=lambda bases: bases["asv1.avi"],
        ),
        *survived(**rare, **_waves(), **_films(), **_tags()),
    ]
