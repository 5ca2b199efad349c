"""What a recording is: its container, its streams, and whether it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from core import limits
from core.errors import DamagedSource, MediaTooComplex, NoVideoStream, UnreadableMedia
from core.job import MediaSummary


class Container(StrEnum):
    """The containers that are taken; each has one demuxer."""

    MP4 = "mp4"  # ISO base media: mp4, mov, m4v, 3gp
    MATROSKA = "matroska"  # mkv, webm
    AVI = "avi"


_EBML_MAGIC: Final = b"\x1a\x45\xdf\xa3"
_EBML_DOCTYPE: Final = b"\x42\x82"
_DOCTYPES: Final = (b"matroska", b"webm")
_BOX_SIZES: Final = {
    b"ftyp": (12, 4 * limits.KIB),
    b"moov": (16, 256 * limits.MIB),
    b"free": (8, 64 * limits.MIB),
    b"skip": (8, 64 * limits.MIB),
    b"wide": (8, 8),
    b"pnot": (20, 20),
    b"mdat": (8, 2**32 - 1),
}
"""Smallest and largest plausible bytes of a file's first box (ISO/IEC 14496-12, QuickTime)."""
_OPEN_SIZES: Final = (0, 1)
"""A box that runs to the end of the file, or has its size in 64 bits after the type."""
_IMAGE_BRANDS: Final = frozenset(
    {
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"hevm",
        b"hevs",
        b"mif1",
        b"mif2",
        b"msf1",
        b"avif",
        b"avis",
        b"avio",
        b"crx ",
        b"jp2 ",
        b"jpx ",
        b"jxl ",
    }
)
"""Brands of still pictures that share the box format."""


def sniff(head: bytes) -> Container | None:
    """Return the container that a file's first bytes show, or None for anything else.

    Looks at no more than `limits.SNIFF_BYTES` bytes. Playlists, pictures and sound-only formats
    are None.
    """
    head = head[: limits.SNIFF_BYTES]
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Container.AVI
    if head.startswith(_EBML_MAGIC):
        return Container.MATROSKA if _is_matroska(head) else None
    return Container.MP4 if _is_iso_media(head) else None


def _is_matroska(head: bytes) -> bool:
    """A DocType that does not lie wholly within the head is left for the probe to read."""
    at = head.find(_EBML_DOCTYPE, len(_EBML_MAGIC))
    value = head[at + 3 :]
    if at < 0 or len(value) < max(len(name) for name in _DOCTYPES):
        return len(head) == limits.SNIFF_BYTES or value.startswith(_DOCTYPES)
    return any(head[at + 2] == 0x80 | len(name) and value.startswith(name) for name in _DOCTYPES)


def _is_iso_media(head: bytes) -> bool:
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind not in _BOX_SIZES:
        return False
    if kind == b"ftyp":
        return _plausible(kind, size) and head[8:12] not in _IMAGE_BRANDS
    return size in _OPEN_SIZES or _plausible(kind, size)


def _plausible(kind: bytes, size: int) -> bool:
    smallest, largest = _BOX_SIZES[kind]
    return smallest <= size <= largest


# --- what the probe found ---------------------------------------------------------------------
PQ: Final = 16
HLG: Final = 18
BT709: Final = 1
UNSPECIFIED: Final = 2
BT2020: Final = 9
FULL_RANGE: Final = 2
"""Colour numbers as ITU-T H.273 and FFmpeg have them."""
_WHOLE_TURN: Final = 360
_QUARTER_TURN: Final = 90
_SAR_EXTREME: Final = 8
"""A pixel that is this many times wider than high (or the reverse) is a writing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a video stream shows, from its decoded frames and its packets' times.

    `width` and `height` are as stored. To display it, it is turned clockwise by `rotation`, which
    is a multiple of 90 degrees, and flipped if `mirrored`. `fps` is the average over all packets,
    `peak_fps` the rate of its densest parts. Colours are H.273 numbers.
    """

    width: int
    height: int
    sar: Fraction
    rotation: int
    mirrored: bool
    pix_fmt: str
    bit_depth: int
    color_range: int
    color_space: int
    color_transfer: int
    color_primaries: int
    interlaced: bool
    fps: float
    peak_fps: float
    vfr: bool
    time_base: Fraction

    @property
    def upright(self) -> bool:
        """Return whether the stored picture is the displayed one, but for its pixels' shape."""
        return self.rotation == 0 and not self.mirrored

    @property
    def square(self) -> bool:
        """Return whether pixels are square."""
        return _sane(self.sar) == 1

    @property
    def displayed(self) -> tuple[int, int]:
        """Return width and height in square pixels, upright, at the stored number of lines."""
        width = max(round(self.width * _sane(self.sar)), 1)
        sideways = self.rotation % (2 * _QUARTER_TURN) == _QUARTER_TURN
        return (self.height, width) if sideways else (width, self.height)

    @property
    def hdr(self) -> bool:
        """Return whether the picture must be tone-mapped for an ordinary screen."""
        return self.color_transfer in {PQ, HLG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What an audio stream holds; `sample_rate` in Hz."""

    channels: int
    sample_rate: int
    layout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream, measured over all of its packets; times in seconds, on the file's own clock.

    `announced_s` is the duration that its header gives, where there is one. `picture` or `sound`
    is None where nothing of it can be decoded.
    """

    index: int
    kind: str
    codec: str
    profile: str
    default: bool
    attached_pic: bool
    start_s: float
    end_s: float
    packets: int
    size: int
    announced_s: float | None = None
    picture: Picture | None = None
    sound: Sound | None = None

    @property
    def duration_s(self) -> float:
        """Return the time from the first packet's start to the last one's end."""
        return max(self.end_s - self.start_s, 0.0)

    @property
    def rate(self) -> float:
        """Return the measured bits a second."""
        return 8 * self.size / self.duration_s if self.duration_s else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What a scan of every packet found. Only `header_duration_s` is taken from a header.

    `index_first` says that an MP4's `moov` lies before its media data, `cut` that its boxes run
    past the end of the file, `clean` that the scan reached the end without an error.
    """

    container: Container
    size: int
    header_duration_s: float | None
    streams: tuple[Stream, ...]
    index_first: bool = False
    cut: bool = False
    clean: bool = True

    @property
    def video(self) -> Stream | None:
        """Return the stream to show: the first marked as default, else the first there is."""
        return _preferred([s for s in self.streams if s.kind == "video" and not s.attached_pic])

    @property
    def audio(self) -> Stream | None:
        """Return the stream to hear: the first marked as default, else the first there is."""
        return _preferred([s for s in self.streams if s.kind == "audio"])

    @property
    def start_s(self) -> float:
        """Return when the shown and heard streams begin."""
        return min((s.start_s for s in (self.video, self.audio) if s), default=0.0)

    @property
    def end_s(self) -> float:
        """Return when the shown and heard streams have ended."""
        return max((s.end_s for s in (self.video, self.audio) if s), default=0.0)

    @property
    def duration_s(self) -> float:
        """Return the measured duration of the shown and heard streams."""
        return self.end_s - self.start_s

    def summary(self) -> MediaSummary:
        """Return what a person wants to know, with the picture's size as displayed."""
        video, audio = self.video, self.audio
        width, height = video.picture.displayed if video and video.picture else (0, 0)
        return MediaSummary(
            width=width,
            height=height,
            duration_s=round(self.duration_s, 3),
            video_codec=video.codec if video else "",
            audio_codec=audio.codec if audio else None,
        )


_LOSS_S: Final = 1.0
_LOSS_MAX_S: Final = 5.0
_LOSS_SHARE: Final = 0.05
_CUT_LOSS_S: Final = 0.25
"""What may be missing against the header: 5%, at least 1 s and at most 5 s, where nothing else
speaks for damage; 0.25 s in a file whose boxes run past its end."""


def accept(info: MediaInfo) -> None:
    """Return if Lectern can compress the recording.

    Raises NoVideoStream, MediaTooComplex, DamagedSource or UnreadableMedia, with the reason.
    """
    _accept_bounds(info)
    if info.video is None:
        raise NoVideoStream("the file has no picture; send a recording with a video track")
    if info.video.picture is None:
        raise UnreadableMedia(f"no picture of the {info.video.codec} video could be decoded")
    if info.audio is not None and info.audio.sound is None:
        raise UnreadableMedia(f"the sound ({info.audio.codec}) cannot be decoded")
    if info.duration_s <= 0:
        raise UnreadableMedia("the recording has no duration")
    _accept_pixels(info.video.picture)
    _accept_whole(info)


def _accept_bounds(info: MediaInfo) -> None:
    if len(info.streams) > limits.STREAMS_MAX:
        raise MediaTooComplex(
            f"the file has {len(info.streams)} streams; {limits.STREAMS_MAX} are the most"
        )
    if info.duration_s > limits.DURATION_MAX_S:
        raise MediaTooComplex(
            f"the recording lasts {info.duration_s:.0f} s; "
            f"{limits.DURATION_MAX_S:.0f} s are the most"
        )


def _accept_pixels(picture: Picture) -> None:
    if picture.width * picture.height > limits.PIXELS_MAX:
        raise MediaTooComplex(
            f"the picture has {picture.width}x{picture.height} pixels; "
            f"{limits.PIXELS_MAX} in all are the most"
        )


def _accept_whole(info: MediaInfo) -> None:
    """Any stream may reach the announced end: a header counts the longest one."""
    announced_s = max((s.announced_s or 0.0 for s in info.streams), default=0.0)
    announced_s = max(announced_s, info.header_duration_s or 0.0)
    held_s = max(s.end_s for s in info.streams if s.packets) - info.start_s
    allowed_s = max(_LOSS_S, min(_LOSS_SHARE * announced_s, _LOSS_MAX_S))
    if announced_s - held_s > (_CUT_LOSS_S if info.cut else allowed_s):
        raise DamagedSource(
            f"the file announces {announced_s:.1f} s and holds {held_s:.1f} s: "
            "it is cut off or damaged; send the whole recording"
        )


def _preferred(streams: list[Stream]) -> Stream | None:
    filled = [stream for stream in streams if stream.packets]
    return next((s for s in filled if s.default), filled[0] if filled else None)


def _sane(sar: Fraction) -> Fraction:
    return sar if Fraction(1, _SAR_EXTREME) <= sar <= _SAR_EXTREME else Fraction(1)
