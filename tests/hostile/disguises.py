"""Files that are none of what is taken, and reach for other files and for the network.

`NEIGHBOUR` and `SOCKET` stand for a file beside the job's folder and an address that listens;
whoever uses these bytes puts the real ones in.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import Final

from tests.hostile import ebml
from tests.hostile.bases import Bases
from tests.hostile.boxes import box
from tests.hostile.crafted import Crafted, Make, refused

NEIGHBOUR: Final = b"/@neighbour@/private.mp4"
SOCKET: Final = b"http://127.0.0.1:@port@/"
_FTYP: Final = box(b"ftyp", b"isom\0\0\0\0isom")
_HLS: Final = (
    b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
    b"#EXTINF:1,\n%s\n#EXTINF:1,\n%slecture.ts\n#EXT-X-ENDLIST\n" % (NEIGHBOUR, SOCKET)
)
_CONCAT: Final = b"ffconcat version 1.0\nfile '%s'\nfile '%sx.mp4'\n" % (NEIGHBOUR, SOCKET)
_DASH: Final = (
    b'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "file://%s">]>'
    b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    b'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4">'
    b'<Representation id="1" bandwidth="1"><BaseURL>file://%s</BaseURL></Representation>'
    b"</AdaptationSet></Period></MPD>" % (NEIGHBOUR, NEIGHBOUR)
)
_SDP: Final = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
_SMIL: Final = b'<smil><body><video src="%sx.mp4"/></body></smil>' % SOCKET
_ASX: Final = b'<asx version="3.0"><entry><ref href="%sx.asf"/></entry></asx>' % SOCKET
_REFERENCE: Final = b"[Reference]\r\nRef1=%sx.asf\r\nRef2=file://%s\r\n" % (SOCKET, NEIGHBOUR)
_LAUGHS: Final = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b"]><l>&m;</l>"
)
_SVG: Final = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file://%s">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><image href="file://%s"/>'
    b"<text>&x;</text></svg>" % (NEIGHBOUR, NEIGHBOUR)
)
_PLAYLISTS: Final = {
    "hls": _HLS,
    "concat": _CONCAT,
    "dash": _DASH,
    "sdp": _SDP,
    "smil": _SMIL,
    "asx": _ASX,
    "references": _REFERENCE,
    "svg": _SVG,
}
_SIGNS: Final = {
    "mp4": _FTYP,
    "free": box(b"free", bytes(8)),
    "open_mdat": b"\0\0\0\0mdat",
    "matroska": ebml.head(),
    "avi": b"RIFF\xff\xff\0\0AVI LIST",
    "wav": b"RIFF\xff\xff\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0",
    "flac": b"fLaC\x80\0\0\x22" + bytes(34),
    "ogg": b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead",
    "mp3": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10),
}


def _after(sign: bytes, text: bytes) -> Make:
    return lambda _: sign + text


def _zip(bases: Bases) -> bytes:
    """An archive in an archive, with the recording and a path out of the folder."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../lecture.mp4", bases["mp4"])
        archive.writestr("zeros", bytes(10_000_000))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    return outer.getvalue()


def _tar(bases: Bases) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("lecture.mp4")
        entry.size = len(bases["mp4"])
        archive.addfile(entry, io.BytesIO(bases["mp4"]))
    return packed.getvalue()


def disguises() -> list[Crafted]:
    """Return all of them; every one must be refused."""
    plain = {f"{name}_named_mp4": _after(b"", text) for name, text in _PLAYLISTS.items()}
    signed = {
        f"hls_behind_the_sign_of_{sign}": _after(head, b"\n" + _HLS)
        for sign, head in _SIGNS.items()
    }
    inside = {
        f"{name}_as_a_box_of_an_mp4": _after(_FTYP, box(b"mdat", text) + text)
        for name, text in _PLAYLISTS.items()
        if name in {"concat", "dash", "sdp"}
    }
    others: dict[str, Make] = {
        "billion_laughs": lambda _: _LAUGHS,
        "html": lambda _: b"<!doctype html><video src='%s'>" % SOCKET,
        "pdf": lambda _: b"%PDF-1.7\n1 0 obj<</Type/EmbeddedFile>>stream\n" + bytes(999),
        "zip_in_a_zip": _zip,
        "tar": _tar,
        "gzip": lambda bases: gzip.compress(bases["mp4"]),
        "program": lambda _: b"\x7fELF\x02\x01\x01" + bytes(99),
        "script": lambda _: b"#!/bin/sh\ntouch /tmp/owned\n",
        "picture": lambda bases: bases["png"],
        "nothing": lambda _: b"",
        "one_byte": lambda _: b"\0",
        "zeros": lambda _: bytes(100_000),
        "zip_in_an_mp4": lambda bases: _FTYP + box(b"mdat", _zip(bases)),
        "asf": lambda _: bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(99),
        "flv": lambda _: b"FLV\x01\x05\0\0\0\x09" + bytes(99),
        "mpeg_ts": lambda _: (b"G\x40\0\x10" + bytes(184)) * 50,
        "image_sequence": lambda _: b"frame-%03d.png",
        "a_path": lambda _: NEIGHBOUR,
        "a_url": lambda _: SOCKET,
    }
    return list(refused(**plain, **signed, **inside, **others))
