"""What a file is, by its first bytes."""

from __future__ import annotations

import struct

import pytest

from core import limits
from core.media import Container
from core.sniffing import sniff


def box(kind: bytes, size: int = 32, rest: bytes = b"") -> bytes:
    return (struct.pack(">I", size) + kind + rest).ljust(64, b"\0")


def ogg(packet: bytes, kind: int = 2) -> bytes:
    return (b"OggS\0" + bytes([kind]) + b"\0" * 20 + b"\1" + bytes([len(packet)])) + packet


def ebml(doctype: bytes) -> bytes:
    element = b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(element)]) + element


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (box(b"ftyp", 32, b"isom"), Container.MP4),
        (box(b"ftyp", 20, b"qt  "), Container.MP4),
        (box(b"ftyp", 28, b"3gp4"), Container.MP4),
        (box(b"ftyp", 28, b"M4A "), Container.MP4),
        (box(b"moov", 5000), Container.MP4),
        (box(b"wide", 8), Container.MP4),
        (box(b"mdat", 1), Container.MP4),
        (box(b"mdat", 0), Container.MP4),
        (box(b"free", 8), Container.MP4),
        (box(b"skip", 1024), Container.MP4),
        (box(b"pnot", 20), Container.MP4),
        (ebml(b"matroska"), Container.MATROSKA),
        (ebml(b"webm"), Container.MATROSKA),
        (b"RIFF\x10\x00\x00\x00AVI LIST", Container.AVI),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", Container.WAV),
        (b"RIFF\xff\xff\xff\xffWAVEbext", Container.WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", Container.WAV),
        (b"fLaC\x00\x00\x00\x22\x10\x00", Container.FLAC),
        (b"fLaC\x80\x00\x00\x22\x10\x00", Container.FLAC),
        (ogg(b"OpusHead\x01"), Container.OGG),
        (ogg(b"\x01vorbis\0"), Container.OGG),
        (b"ID3\x04\x00\x00\x00\x00\x0f\x7f", Container.MP3),
        (b"ID3\x03\x00\x40\x00\x00\x0f\x7f", Container.MP3),
        (b"\xff\xfb\x90\x64" + b"\0" * 12, Container.MP3),
        (b"\xff\xf3\x40\xc0" + b"\0" * 12, Container.MP3),
    ],
)
def test_a_recordings_first_bytes_name_its_container(head: bytes, container: Container) -> None:
    assert sniff(head) is container


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0" * 64,
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\x00\x00\x00WAVEslnt",
        b"RIFF\x10\x00\x00\x00WAVE",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"ID3\x04\x00\x00",
        b"G" + b"\0" * 63,
        b"FLV\x01\x05",
        b"OggS",
        ogg(b"\x80theora"),
        ogg(b"OpusHead\x01", kind=0),
        b"fLaC\x04\x00\x00\x22",
        b"fLaC\x00\x00\x00\x23",
        b"ID3\xff\xfe\x00\x00\x00\x0f\x7f",
        b"ID3\x04\x00\x00\x00\x00\x0f\x80",
        b"ID3 is a letter and two more",
        "a text".encode("utf-16"),
        "a text".encode("utf-16-be"),
        b"\xff\xfb\xf0\x64" + b"\0" * 12,
        b"\xff\xfb\x9c\x64" + b"\0" * 12,
        b"\xff\xfd\x90\x64" + b"\0" * 12,
        b"\xff\xeb\x90\x64" + b"\0" * 12,
        b"\xff" * 64,
        b"<?xml version='1.0'?><MPD>",
        ebml(b"other"),
        b"\x1a\x45\xdf\xa3",
        box(b"ftyp", 32, b"heic"),
        box(b"ftyp", 32, b"avif"),
        box(b"ftyp", 32, b"mif1"),
        box(b"ftyp", 2**31, b"isom"),
        box(b"ftyp", 1, b"isom"),
        box(b"wide", 9),
        box(b"free", 2**31),
        box(b"abcd", 32),
    ],
)
def test_anything_else_is_refused(head: bytes) -> None:
    assert sniff(head) is None


def test_a_doctype_behind_the_head_is_left_to_the_probe() -> None:
    head = b"\x1a\x45\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x40" + b"\xec\xb0"
    for padding in range(44, 56):
        assert sniff(head + b"\0" * padding + b"\x42\x82\x84webm") is Container.MATROSKA


def test_only_the_head_decides() -> None:
    assert sniff(b"\0" * limits.SNIFF_BYTES + box(b"ftyp", 32, b"isom")) is None
