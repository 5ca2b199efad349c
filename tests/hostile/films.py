"""Matroska files whose elements lie, and such as point elsewhere."""

from __future__ import annotations

import math
import zlib

from tests.hostile import ebml
from tests.hostile.bases import Bases
from tests.hostile.crafted import Crafted, Make, refused, survived
from tests.hostile.disguises import NEIGHBOUR, SOCKET
from tests.hostile.ebml import (
    cluster,
    element,
    file,
    film,
    info,
    lying,
    number,
    picture_track,
    real,
    sound_track,
)

_STEP = 100
_ASS = b"[Script Info]\nScriptType: v4.00+\n[Fonts]\nfontname: ../../x.ttf\n[Events]\n"


def _film(*tracks: bytes, more: tuple[bytes, ...] = (), about: bytes | None = None) -> Make:
    """Return a film of ten JPEG pictures behind these tracks."""

    def make(bases: Bases) -> bytes:
        index = element(ebml.TRACKS, *(tracks or (picture_track(),)))
        return file(about or info(), index, *more, film([bases["jpg"]] * 10, _STEP))

    return make


def _attached(name: bytes, kind: bytes, data: bytes) -> bytes:
    one = element(
        b"\x61\xa7", element(b"\x46\x6e", name), element(b"\x46\x60", kind),
        number(b"\x46\xae", 7), element(b"\x46\x5c", data),
    )  # fmt: skip
    return element(ebml.ATTACHMENTS, one)


def _nested(kind: bytes, depth: int) -> bytes:
    """Return an element within itself, with sizes of eight bytes each."""
    data = b""
    for _ in range(depth):
        data = element(kind, data)
    return data


def _coding(body: bytes, *, private: bytes) -> bytes:
    """Return a track whose private data and frames are packed (RFC 9559, 5.1.4.1.31)."""
    one = element(b"\x62\x40", number(b"\x50\x32", 3), body)
    return picture_track(element(b"\x6d\x80", one), element(b"\x63\xa2", private))


def _overlapping(_: Bases) -> bytes:
    """Thousands of indexes whose only track claims all that follows: each walk would be long."""
    one = lying(ebml.TRACKS, 9, lying(ebml.TRACK, 2**32))
    return file(info(), one * 60_000)


def _text_track(codec: bytes, private: bytes = b"") -> bytes:
    return element(
        ebml.TRACK, number(b"\xd7", 3), number(b"\x73\xc5", 3), number(b"\x83", 17),
        element(b"\x86", codec), element(b"\x63\xa2", private),
    )  # fmt: skip


def _loop_of_seeks(bases: Bases) -> bytes:
    """A table of contents that leads to itself, twice."""
    seek = element(b"\x4d\xbb", element(b"\x53\xab", ebml.SEEK_HEAD), number(b"\x53\xac", 0))
    return file(
        element(ebml.SEEK_HEAD, seek, seek), info(), element(ebml.TRACKS, picture_track()),
        film([bases["jpg"]] * 10),
    )  # fmt: skip


def _cues(bases: Bases) -> bytes:
    point = element(
        b"\xbb", number(b"\xb3", 0), element(b"\xb7", number(b"\xf7", 1), number(b"\xf1", 0))
    )
    many = element(ebml.CUES, point * 20_000)
    return file(info(), element(ebml.TRACKS, picture_track()), many, film([bases["jpg"]] * 10))


def _references() -> dict[str, Make]:
    """What the format may point at: other segments, by number and by name, and attachments."""
    elsewhere = (
        element(b"\x3c\xb9\x23", bytes(16)), element(b"\x3e\xb9\x23", bytes(16)),
        element(b"\x3c\x83\xab", NEIGHBOUR), element(b"\x3e\x83\xbb", SOCKET),
        element(b"\x44\x44", bytes(16)),
    )  # fmt: skip
    atom = element(
        b"\xb6", number(b"\x73\xc4", 1), number(b"\x91", 0), element(b"\x6e\x67", bytes(16))
    )
    chapters = element(ebml.CHAPTERS, element(b"\x45\xb9", number(b"\x45\xdd", 1), atom * 500))
    return {
        "segments_before_and_after": _film(about=info(1000.0, 1_000_000, *elsewhere)),
        "chapters_in_other_files": _film(more=(chapters,)),
        "font_attached": _film(more=(_attached(b"../../x.ttf", b"font/ttf", b"\0" * 9999),)),
        "film_attached": _film(more=(_attached(NEIGHBOUR, b"video/mp4", b"\0" * 9999),)),
        "cover_attached": _film(more=(_attached(b"cover.png", b"image/png", b"\x89PNG" * 99),)),
        "program_attached": _film(more=(_attached(b"/etc/cron.d/x", b"text/x-sh", b"#!/bin/sh"),)),
        "subtitles_with_fonts": _film(picture_track(), _text_track(b"S_TEXT/ASS", _ASS)),
        "subtitles_of_nowhere": _film(picture_track(), _text_track(b"S_NOTHING", b"\xff" * 999)),
    }


def _numbers() -> dict[str, Make]:
    return {
        "duration_nan": _film(about=info(math.nan)),
        "duration_endless": _film(about=info(math.inf)),
        "duration_negative": _film(about=info(-1e300)),
        "duration_1e300": _film(about=info(1e300)),
        "scale_0": _film(about=info(10.0, 0)),
        "scale_1": _film(about=info(10.0, 1)),
        "scale_2_to_63": _film(about=info(10.0, 2**63)),
        "a_billion_frames_a_second": _film(picture_track(number(b"\x23\xe3\x83", 1))),
        "a_frame_in_500_years": _film(picture_track(number(b"\x23\xe3\x83", 2**63))),
        "picture_of_4e9_pixels_a_side": _film(picture_track(width=2**32 - 1, height=2**32 - 1)),
        "picture_without_a_size": _film(picture_track(width=0, height=0)),
        "picture_of_nowhere": _film(picture_track(codec=b"V_" + b"X" * 60_000)),
        "track_number_0": _film(picture_track(at=0)),
        "tracks_of_one_number": _film(*[picture_track()] * 9),
        "a_thousand_tracks": _film(*(picture_track(at=at) for at in range(1, 1000))),
        "sixty_four_tracks": _film(*(picture_track(at=at) for at in range(1, 65))),
        "sound_of_nan_hertz": _film(picture_track(), sound_track(hertz=math.nan)),
        "sound_of_endless_hertz": _film(picture_track(), sound_track(hertz=math.inf)),
        "sound_of_one_hertz": _film(picture_track(), sound_track(hertz=1.0)),
        "sound_of_4e9_hertz": _film(picture_track(), sound_track(hertz=4e9)),
        "sound_of_negative_hertz": _film(picture_track(), sound_track(hertz=-8000.0)),
        "sound_of_65535_channels": _film(picture_track(), sound_track(channels=65_535)),
        "sound_without_channels": _film(picture_track(), sound_track(channels=0)),
        "crop_of_everything": _film(
            picture_track(
                element(
                    ebml.VIDEO,
                    number(b"\xb0", 64),
                    number(b"\xba", 48),
                    *(
                        number(c, 2**31)
                        for c in (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")
                    ),
                )
            )
        ),
        "shape_0_to_0": _film(
            picture_track(
                element(
                    ebml.VIDEO,
                    number(b"\xb0", 64),
                    number(b"\xba", 48),
                    number(b"\x54\xb0", 0),
                    number(b"\x54\xba", 0),
                )
            )
        ),
        "version_of_the_future": lambda b: b["mkv"].replace(b"\x42\x85\x81", b"\x42\x85\xfe"),
        "gain_by_seeking_far": _film(
            picture_track(number(b"\x56\xaa", 2**63), number(b"\x56\xbb", 2**63))
        ),
    }


def _structure() -> dict[str, Make]:
    bomb = zlib.compress(bytes(64 << 20), 9)
    zip_coding = element(b"\x50\x34", number(b"\x42\x54", 0))
    strip = element(b"\x50\x34", number(b"\x42\x54", 3), element(b"\x42\x55", b"\xff" * 50_000))
    crypt = element(b"\x50\x35", number(b"\x47\xe1", 5), element(b"\x47\xe2", bytes(16)))
    laces = ebml.block(b"\xff\xff" + b"\xff" * 300, 0, flags=0x86)
    return {
        "private_data_as_a_bomb": _film(_coding(zip_coding, private=bomb)),
        "frames_stripped_of_much": _film(_coding(strip, private=b"")),
        "frames_encrypted": _film(_coding(crypt, private=b"")),
        "chapters_five_thousand_deep": _film(
            more=(element(ebml.CHAPTERS, element(b"\x45\xb9", _nested(b"\xb6", 5000))),)
        ),
        "tags_five_thousand_deep": _film(
            more=(element(ebml.TAGS, element(b"\x73\x73", _nested(b"\x67\xc8", 5000))),)
        ),
        "segments_two_thousand_deep": lambda _: ebml.head() + _nested(ebml.SEGMENT, 2000),
        "tracks_that_overlap": _overlapping,
        "contents_in_a_loop": _loop_of_seeks,
        "cues_to_nowhere": _cues,
        "sizes_unknown_everywhere": lambda b: (
            ebml.head()
            + ebml.SEGMENT
            + ebml.UNKNOWN
            + ebml.TRACKS
            + ebml.UNKNOWN
            + picture_track()
            + ebml.CLUSTER
            + ebml.UNKNOWN
            + number(b"\xe7", 0)
            + ebml.block(b["jpg"], 0)
        ),
        "size_of_72_petabytes": lambda _: (
            ebml.head() + lying(ebml.SEGMENT, 2**56 - 2, info() + lying(ebml.TRACKS, 2**55))
        ),
        "void_as_far_as_it_goes": _film(more=(lying(b"\xec", 2**40),)),
        "laces_that_lie": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            cluster(0, laces, ebml.block(b["jpg"], 0)),
        ),
        "blocks_of_nothing": lambda _: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            cluster(0, *[ebml.block(b"", 0)] * 50_000),
        ),
        "blocks_of_one_byte": lambda _: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            cluster(0, *[ebml.block(b"\xff", at % 999) for at in range(50_000)]),
        ),
        "blocks_of_no_track": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            cluster(0, ebml.block(b["jpg"], 0, track=99)),
        ),
        "time_runs_backwards": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            *(cluster(at * 1000, ebml.block(b["jpg"], 0)) for at in range(20, 0, -1)),
        ),
        "time_jumps_by_years": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            *(cluster(at * 10**11, ebml.block(b["jpg"], 0)) for at in range(3)),
        ),
        "time_jumps_by_half_minutes": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track(), sound_track()),
            *(
                cluster(at * 30_000, ebml.block(b["jpg"], 0), ebml.block(bytes(1600), 0, track=2))
                for at in range(20)
            ),
        ),
        "time_beyond_all_numbers": lambda b: file(
            info(),
            element(ebml.TRACKS, picture_track()),
            cluster(2**63 - 1, ebml.block(b["jpg"], 32_767)),
        ),
        "all_at_the_same_time": lambda b: file(
            info(), element(ebml.TRACKS, picture_track()), film([b["jpg"]] * 300, 0)
        ),
        "clusters_of_nothing": lambda b: file(
            info(), element(ebml.TRACKS, picture_track()), cluster(0) * 50_000, film([b["jpg"]] * 3)
        ),
        "tags_by_the_thousand": _film(
            more=(
                element(
                    ebml.TAGS,
                    *[
                        element(
                            b"\x73\x73",
                            element(
                                b"\x67\xc8",
                                element(b"\x45\xa3", b"N" * 99),
                                element(b"\x44\x87", b"V" * 999),
                            ),
                        )
                    ]
                    * 2000,
                ),
            )
        ),
        "duration_by_tag_a_lie": _film(
            picture_track(),
            more=(
                element(
                    ebml.TAGS,
                    element(
                        b"\x73\x73",
                        element(
                            b"\x67\xc8",
                            element(b"\x45\xa3", b"DURATION"),
                            element(b"\x44\x87", b"99:99:99.999999999"),
                        ),
                    ),
                ),
            ),
        ),
        "colours_of_nowhere": _film(
            picture_track(
                element(
                    ebml.VIDEO,
                    number(b"\xb0", 64),
                    number(b"\xba", 48),
                    element(
                        b"\x55\xb0",
                        number(b"\x55\xb1", 255),
                        number(b"\x55\xb9", 99),
                        number(b"\x55\xba", 77),
                        number(b"\x55\xbb", 88),
                        element(b"\x55\xd0", real(b"\x55\xd9", math.nan)),
                    ),
                )
            )
        ),
        "rotated_by_nan": _film(
            picture_track(
                element(
                    ebml.VIDEO,
                    number(b"\xb0", 64),
                    number(b"\xba", 48),
                    element(b"\x76\x70", number(b"\x76\x71", 0), real(b"\x76\x75", math.nan)),
                )
            )
        ),
    }


def films() -> list[Crafted]:
    """Return all of them."""
    return [
        *refused(
            matroska_of_subtitles_only=lambda bases: bases["subtitles.mkv"],
            matroska_of_an_old_flash_codec=lambda bases: bases["flv.mkv"],
            matroska_of_realaudio=lambda bases: bases["ra.mkv"],
            matroska_without_tracks=lambda bases: file(info(), film([bases["jpg"]])),
        ),
        *(
            Crafted(name=f"matroska_{one.name}", make=one.make)
            for one in survived(**_references(), **_numbers(), **_structure())
        ),
    ]
