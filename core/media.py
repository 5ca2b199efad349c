"""What a recording is: its container, its streams, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from core.job import MediaSummary
from core.loudness import Loudness


class Container(StrEnum):
    """The containers that are taken; each has one demuxer."""

    MP4 = "mp4"  # ISO base media: mp4, mov, m4v, 3gp
    MATROSKA = "matroska"  # mkv, webm, mka
    AVI = "avi"
    WAV = "wav"  # RIFF and its 64-bit kin
    MP3 = "mp3"
    OGG = "ogg"  # Opus, Vorbis, FLAC or Speex in it
    FLAC = "flac"


# --- what the probe found ---------------------------------------------------------------------
PQ: Final = 16
HLG: Final = 18
BT709: Final = 1
UNSPECIFIED: Final = 2
BT2020: Final = 9
FULL_RANGE: Final = 2
"""Colour numbers as ITU-T H.273 and FFmpeg have them."""
_QUARTER_TURN: Final = 90
_SAR_EXTREME: Final = 8
"""A pixel that is this many times wider than high (or the reverse) is a writing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a video stream shows, from its decoded frames and its packets' times.

    `width` and `height` are as stored. To display it, it is turned clockwise by `rotation`, which
    is a multiple of 90 degrees, and flipped if `mirrored`. `fps` is the average over all packets,
    `peak_fps` the rate of its densest parts. Colours are H.273 numbers. `cropped` says that the
    container cuts off edges, which `width` and `height` leave out; `sizes` has every size that
    the recording changes to, where it changes at all; `dolby_vision` is the profile, if any;
    `last_stills_s` is the time from the third last frame to the last.
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
    cropped: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    dolby_vision: int | None = None
    last_stills_s: float = 0.0

    @property
    def upright(self) -> bool:
        """Return whether the stored picture is the displayed one, but for its pixels' shape."""
        return self.rotation == 0 and not self.mirrored

    @property
    def square(self) -> bool:
        """Return whether pixels are square."""
        return _sane(self.sar) == 1

    @property
    def shape_known(self) -> bool:
        """Return whether the shape of the pixels can be believed."""
        return _sane(self.sar) == self.sar

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
    """What an audio stream holds; `sample_rate` in Hz, `loudness` once it was measured."""

    channels: int
    sample_rate: int
    layout: str
    loudness: Loudness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream, measured over all of its packets; times in seconds, on the file's own clock.

    `announced_s` is the duration that its header gives, where there is one. `picture` or `sound`
    is None where nothing of it can be decoded. `slip_s` is the furthest that a packet of sound
    lies from where the ones before it end, `hole_s` the sum of all silences between them.
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
    slip_s: float = 0.0
    hole_s: float = 0.0

    @property
    def decodable(self) -> bool:
        """Return whether something of it can be decoded."""
        return self.picture is not None or self.sound is not None

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
    past the end of the file, `clean` that the scan reached the end without an error. A recording
    without a picture is a lecture to be heard.
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
        """Return the stream to show: the first marked as default, else the first; no cover art."""
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


def _preferred(streams: list[Stream]) -> Stream | None:
    """Prefer the default among those that can be shown or heard, then among the others."""
    filled = [stream for stream in streams if stream.packets]
    filled = [stream for stream in filled if stream.decodable] or filled
    return next((s for s in filled if s.default), filled[0] if filled else None)


def _sane(sar: Fraction) -> Fraction:
    return sar if Fraction(1, _SAR_EXTREME) <= sar <= _SAR_EXTREME else Fraction(1)
