"""MP4 and MOV files whose boxes lie, and MOVs that point elsewhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tests.hostile.bases import Bases
from tests.hostile.boxes import MAX, SAMPLES, Box, box, changed, lying, patched, read, table, whole
from tests.hostile.crafted import Crafted, Make, refused, survived
from tests.hostile.disguises import NEIGHBOUR, SOCKET

_TRACK_HEAD = (b"trak", b"tkhd")
_MEDIA_HEAD = (b"trak", b"mdia", b"mdhd")
_STSD = (b"trak", *SAMPLES, b"stsd")
_VIDE = b"vide"


def _mp4(change: Callable[[Box], None]) -> Make:
    return lambda bases: changed(bases["mp4"], change)


def _table(kind: bytes, *numbers: int, more: bytes = b"", handler: bytes | None = None) -> Make:
    body = bytes(4) + struct.pack(f">{len(numbers)}I", *numbers) + more
    return _mp4(table(*SAMPLES, kind, body=body, handler=handler))


def _edits(*edits: tuple[int, int, int]) -> Make:
    """Give each track edits of (duration, media time, rate), 64 bits wide."""
    body = struct.pack(">II", 1 << 24, len(edits))
    body += b"".join(struct.pack(">QqI", *edit) for edit in edits)

    def change(moov: Box) -> None:
        for track in moov.all(b"trak"):
            track.inner = [part for part in track.inner if part.kind != b"edts"]
            track.inner.insert(1, Box(b"edts", inner=[Box(b"elst", body)]))

    return _mp4(change)


def _reference(kind: bytes, body: bytes) -> Make:
    """Let the media lie in another file (ISO/IEC 14496-12, 8.7.2; QuickTime's alias)."""
    entry = box(kind, bytes(4), body)
    return _mp4(table(b"mdia", b"minf", b"dinf", b"dref", body=struct.pack(">II", 0, 1) + entry))


def _alias(path: bytes) -> bytes:
    """Return an alias record that names a file by its absolute path (type 18) and its volume."""
    head = bytearray(150)
    head[6:8] = struct.pack(">H", 2)
    head[10:12] = b"\x01/"
    head[50:54] = b"\x08name"[:4]
    tail = struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2)
    tail += struct.pack(">hH", 18, len(path)) + path + bytes(len(path) % 2)
    return bytes(head) + tail + struct.pack(">hH", -1, 0)


def _reference_movie(_: Bases) -> bytes:
    data = box(b"rdrf", bytes(4), b"url ", struct.pack(">I", len(SOCKET) + 1), SOCKET, b"\0")
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", data)))


def _many_tracks(count: int) -> Make:
    def change(moov: Box) -> None:
        track = moov.first(b"trak")
        moov.inner += [track] * count

    return _mp4(change)


def _extra(*parts: bytes, inside: tuple[bytes, ...] = ()) -> Make:
    """Put more boxes into the movie."""

    def change(moov: Box) -> None:
        for found in moov.all(*inside):
            found.inner += [Box(part[4:8], part[8:]) for part in parts]

    return _mp4(change)


def _nested(kind: bytes, depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = struct.pack(">I4s", 8 + len(data), kind) + data
    return data


def _overlapping(bases: Bases) -> bytes:
    """Thousands of tracks whose only child claims all that follows: each walk would be long."""
    track = lying(b"trak", 16, lying(b"mdia", 2**31))
    index = box(b"moov", bytes(read(bases["mp4"]).first(b"moov", b"mvhd")), track * 60_000)
    return bases["mp4"][:32] + index


def _compressed(bases: Bases) -> bytes:
    """Pack the index as QuickTime may, with what unpacks to 512 MB behind it."""
    file = read(bases["mp4"])
    packer = zlib.compressobj(9)
    data = packer.compress(bytes(file.first(b"moov")))
    data += b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    cmvd = box(b"cmvd", struct.pack(">I", 1 << 29), data)
    file.inner[-1] = Box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), cmvd))
    return whole(file)


def _encrypted(bases: Bases) -> bytes:
    """Mark the picture as encrypted (ISO/IEC 23001-7), and its samples as split at odd places."""

    def change(moov: Box) -> None:
        for track in moov.all(b"trak"):
            stsd = track.first(*SAMPLES, b"stsd")
            entry = bytearray(stsd.body[8:])
            kind = bytes(entry[4:8])
            entry[4:8] = b"encv" if kind == b"avc1" else b"enca"
            tenc = box(b"tenc", bytes(6), b"\1\x08", bytes(16))
            scheme = box(b"schm", bytes(4), b"cenc", b"\0\1\0\0")
            entry += box(b"sinf", box(b"frma", kind), scheme, box(b"schi", tenc))
            entry[:4] = struct.pack(">I", len(entry))
            stsd.body = stsd.body[:8] + bytes(entry)
            senc = struct.pack(">II", 2, 10) + (bytes(8) + b"\0\2\xff\xff" + b"\xff" * 8) * 10
            track.inner.append(Box(b"senc", senc))

    return changed(bases["mp4"], change)


def _swapped(head: str, body: str) -> Make:
    return lambda bases: bases[head][: len(bases[head]) // 3] + bases[body][200:]


def _fragment(at: int, value: bytes, *path: bytes) -> Make:
    def make(bases: Bases) -> bytes:
        file = read(bases["frag.mp4"])
        for found in file.all(*path):
            found.body = found.body[:at] + value + found.body[at + len(value) :]
        return whole(file)

    return make


def _tables() -> dict[str, Make]:
    every = struct.pack(">II", MAX, 1)
    return {
        "stts_of_4e9_frames": _table(b"stts", 1, more=every),
        "stts_of_4e9_entries": _table(b"stts", MAX, more=every),
        "stts_of_no_time": _table(b"stts", 1, 10, 0),
        "stts_of_long_frames": _table(b"stts", 1, 10, MAX),
        "stts_negative": _table(b"stts", 2, 1, 100, 9, 2**31 + 5),
        "stts_of_a_million_entries": _table(
            b"stts", 1_000_000, more=struct.pack(">II", 1, 1) * 10**6
        ),
        "ctts_of_4e9_frames": _extra(
            box(b"ctts", struct.pack(">IIII", 0, 1, MAX, MAX)), inside=(b"trak", *SAMPLES)
        ),
        "ctts_far_back": _extra(
            box(b"ctts", struct.pack(">IIIi", 1 << 24, 1, 10, -(2**31))), inside=(b"trak", *SAMPLES)
        ),
        "stsz_of_4e9_bytes_each": _table(b"stsz", 1, MAX),
        "stsz_of_4e9_entries": _table(b"stsz", 0, MAX),
        "stsz_of_huge_samples": _table(b"stsz", 2**31 - 1, 10),
        "stsz_of_empty_samples": _table(b"stsz", 0, 10, *[0] * 10),
        "stsz_of_no_samples": _table(b"stsz", 0, 0),
        "stco_of_4e9_entries": _table(b"stco", MAX, 0),
        "stco_all_at_the_same_place": _table(b"stco", 1000, *[48] * 1000),
        "stco_past_the_end": _table(b"stco", 1, MAX),
        "stsc_of_4e9_entries": _table(b"stsc", MAX, 1, MAX, 1),
        "stsc_of_4e9_samples": _table(b"stsc", 1, 1, MAX, 1),
        "stsc_of_nothing": _table(b"stsc", 1, 0, 0, 0),
        "stss_of_4e9_entries": _extra(
            box(b"stss", struct.pack(">III", 0, MAX, 1)), inside=(b"trak", *SAMPLES)
        ),
        "stsd_of_nothing": _table(b"stsd", 0),
        "stsd_of_4e9_entries": _table(b"stsd", MAX),
    }


def _times() -> dict[str, Make]:
    huge = struct.pack(">I", MAX)
    return {
        "edits_by_the_thousand": _edits(*[(10, at % 900, 1 << 16) for at in range(5_000)]),
        "edits_before_the_beginning": _edits((1000, -(2**62), 1 << 16)),
        "edits_far_behind_the_end": _edits((2**62, 2**62, 1 << 16)),
        "edits_of_an_empty_day": _edits((86_400_000, -1, 1 << 16), (1000, 0, 1 << 16)),
        "edits_of_no_rate": _edits((1000, 0, 0)),
        "edits_backwards": _edits((1000, 900, (1 << 32) - (1 << 16))),
        "edits_that_repeat": _edits(*[(1000, 0, 1 << 16)] * 100),
        "timescale_0": _mp4(patched(*_MEDIA_HEAD, at=12, value=bytes(4))),
        "timescale_1": _mp4(patched(*_MEDIA_HEAD, at=12, value=b"\0\0\0\1")),
        "timescale_4e9": _mp4(patched(*_MEDIA_HEAD, at=12, value=huge)),
        "duration_4e9": _mp4(patched(*_MEDIA_HEAD, at=16, value=huge)),
        "movie_timescale_0": _mp4(patched(b"mvhd", at=12, value=bytes(4))),
        "movie_duration_4e9": _mp4(patched(b"mvhd", at=16, value=huge)),
        "frames_a_day_apart": _table(b"stts", 1, 10, 10_240 * 86_400),
        "frames_a_microsecond_apart": _mp4(
            patched(*_MEDIA_HEAD, at=12, value=struct.pack(">I", 10_240_000))
        ),
    }


def _shapes() -> dict[str, Make]:
    def entry(at: int, value: bytes) -> Make:
        return _mp4(patched(*_STSD, at=8 + at, value=value))

    return {
        "track_65535_wide": _mp4(patched(*_TRACK_HEAD, at=76, value=b"\xff\xff\0\0\xff\xff\0\0")),
        "entry_65535_wide": entry(32, b"\xff\xff\xff\xff"),
        "entry_without_a_size": entry(32, bytes(4)),
        "entry_of_another_codec": entry(4, b"hvc1"),
        "entry_of_no_codec": entry(4, b"\0\xff\n\x1b"),
        "sound_of_no_codec": _mp4(_unknown_sound),
        "matrix_of_zeros": _mp4(patched(*_TRACK_HEAD, at=40, value=bytes(36))),
        "matrix_of_ones": _mp4(patched(*_TRACK_HEAD, at=40, value=b"\xff" * 36)),
        "matrix_by_31_degrees": _mp4(
            patched(
                *_TRACK_HEAD,
                at=40,
                value=struct.pack(">9i", 56175, 33754, 0, -33754, 56175, 0, 0, 0, 1 << 30),
            )
        ),
        "clap_of_nothing": _extra_entry(box(b"clap", bytes(32))),
        "clap_of_4e9": _extra_entry(box(b"clap", b"\xff" * 32)),
        "pasp_0_to_0": _extra_entry(box(b"pasp", bytes(8))),
        "pasp_4e9_to_1": _extra_entry(box(b"pasp", struct.pack(">II", MAX, 1))),
        "colr_of_nowhere": _extra_entry(box(b"colr", b"nclx", b"\xff" * 7)),
        "dolby_vision_of_nowhere": _extra_entry(box(b"dvcC", b"\xff" * 24)),
    }


def _unknown_sound(moov: Box) -> None:
    """Let the sound be of a kind that nobody knows; its padding is told all the same."""
    sound = list(moov.all(b"trak"))[-1].first(*SAMPLES, b"stsd")
    sound.body = sound.body[:12] + b"\0\xff\n\x1b" + sound.body[16:].replace(b"esds", b"free")


def _extra_entry(part: bytes) -> Make:
    """Put a box into the description of the picture."""

    def change(moov: Box) -> None:
        stsd = moov.first(*_STSD)
        entry = stsd.body[8:] + part
        stsd.body = stsd.body[:8] + struct.pack(">I", len(entry)) + entry[4:]

    return _mp4(change)


def _structure() -> dict[str, Make]:
    cover = box(b"data", struct.pack(">II", 14, 0), b"\x89PNG\r\n\x1a\n", bytes(3_000_000))
    covers = box(b"meta", bytes(4), box(b"ilst", *[box(b"covr", cover)] * 8))
    return {
        "a_thousand_tracks": _many_tracks(1000),
        "sixty_four_tracks": _many_tracks(62),
        "tracks_that_overlap": _overlapping,
        "index_ten_thousand_deep": lambda b: b["mp4"] + _nested(b"moov", 10_000),
        "user_data_ten_thousand_deep": _extra(_nested(b"udta", 10_000)),
        "handler_deep_in_tracks": _extra(_nested(b"trak", 3_000)),
        "index_twice": lambda b: b["mp4"] + bytes(read(b["mp4"]).first(b"moov")),
        "index_in_the_index": _extra(b"", inside=(b"nowhere",)),
        "index_packed_as_a_bomb": _compressed,
        "box_of_no_size": lambda b: b["mp4"][:-4] + lying(b"udta", 0),
        "box_of_size_one": lambda b: b["mp4"] + lying(b"free", 1),
        "box_of_8_exabytes": lambda b: b["mp4"] + lying(b"free", 2**63 - 1),
        "box_of_16_exabytes": lambda b: lying(b"free", 2**64 - 1) + b["mp4"],
        "boxes_by_the_hundred_thousand": lambda b: (
            b["mp4"][:32] + box(b"free") * 150_000 + b["mp4"][32:]
        ),
        "chapters_of_itself": _extra(
            box(b"tref", box(b"chap", struct.pack(">3I", 1, 2, 9))), inside=(b"trak",)
        ),
        "covers_as_a_bomb": _extra(box(b"udta", covers)),
        "handler_of_nowhere": _mp4(
            patched(b"trak", b"mdia", b"hdlr", at=8, value=b"\xff\xff\xff\xff")
        ),
        "all_handlers_text": _mp4(patched(b"trak", b"mdia", b"hdlr", at=8, value=b"text")),
        "sidx_in_a_loop": lambda b: (
            b["frag.mp4"]
            + box(b"sidx", struct.pack(">IIIIIHHIII", 0, 1, 1000, 0, 0, 0, 1, 0x80000000, 1000, 0))
        ),
        "fragment_of_4e9_samples": _fragment(4, b"\xff\xff\xff\xff", b"moof", b"traf", b"trun"),
        "fragment_at_the_end_of_time": _fragment(
            4, b"\x7f" + b"\xff" * 7, b"moof", b"traf", b"tfdt"
        ),
        "fragment_of_no_track": _fragment(4, b"\xff\xff\xff\xff", b"moof", b"traf", b"tfhd"),
        "fragments_swapped": lambda b: (
            b["frag.mp4"][:900] + b["frag.mp4"][4000:] + b["frag.mp4"][900:4000]
        ),
    }


def movies() -> list[Crafted]:
    """Return all of them."""
    url = SOCKET + b"x.mp4\0"
    return [
        *refused(
            a_movie_of_references=_reference_movie,
            subtitles_only=lambda bases: bases["subtitles.mp4"],
            svq1_picture=lambda bases: bases["svq1.mov"],
        ),
        *survived(
            **_tables(),
            **_times(),
            **_shapes(),
            **_structure(),
            media_in_another_file_by_url=_reference(b"url ", b"file://" + NEIGHBOUR + b"\0"),
            media_on_a_server_by_url=_reference(b"url ", url),
            media_in_another_file_by_name=_reference(b"urn ", b"x\0" + NEIGHBOUR + b"\0"),
            media_in_another_file_by_alias=_reference(b"alis", _alias(NEIGHBOUR)),
            media_on_a_server_by_alias=_reference(b"alis", _alias(SOCKET)),
            encrypted=_encrypted,
            mp4_head_on_matroska=_swapped("fast.mp4", "mkv"),
            matroska_head_on_mp4=_swapped("mkv", "fast.mp4"),
            avi_head_on_mp4=_swapped("avi", "fast.mp4"),
            mp4_head_on_avi=_swapped("fast.mp4", "avi"),
        ),
    ]
