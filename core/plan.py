"""From what the probe found to what is to be made: pure decisions, in the field's terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from core import limits
from core.codecs import Codec
from core.colour import Colour, convert_from, is_rgb, output_colour
from core.frames import frame_gap_min_s, frame_rate, gop_frames, level_for, ticks
from core.loudness import Gain, gain
from core.media import (
    FULL_RANGE,
    Container,
    MediaInfo,
    Picture,
    Sound,
    Stream,
)
from core.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEncode:
    """How the picture is made anew.

    `rate_max` (bits a second) and `buffer` (bits) bound the encoder (VBV). `convert_from` names
    the source's colours where they must become BT.709, `frame_gap_min_s` is set where frames
    must be thinned out, `keyframe_every_s` where their rate varies. `shape_known` is False where
    pixels count as square whatever the file says. `x264` are further parameters of the encoder.
    Without `reordered` frames are stored in the order in which they are shown.
    """

    index: int
    width: int
    height: int
    deinterlace: bool
    tone_map: bool
    convert_from: Colour | None
    from_rgb: bool
    colour: Colour
    frame_rate: Fraction
    frame_gap_min_s: float | None
    time_base: Fraction
    speed: str
    crf: float
    level: str
    gop_frames: int
    keyframe_every_s: float | None
    rate_max: int
    buffer: int
    shape_known: bool = True
    x264: str = ""
    codec: Codec = Codec.H264
    reordered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioEncode:
    """How the sound is made anew; `rate` in bits a second, `sample_rate` in Hz.

    `gain` changes its level, where that is wanted.
    """

    index: int
    rate: int
    channels: int
    sample_rate: int
    gain: Gain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A stream that is taken over bit for bit."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One way to make the output. `width` and `height` are the output's, `size_max` in bytes.

    Without `video` it is a lecture to be heard: sound alone, and no width or height. An output
    that would grow past `size_max` is given up, and the next plan tried.
    """

    container: Container
    video: VideoEncode | Copy | None
    audio: AudioEncode | Copy | None
    width: int
    height: int
    frame_s: float
    size_max: int

    @property
    def action(self) -> str:
        """Return the word for the history: `encoded` or `remuxed`."""
        return "remuxed" if isinstance(self.video or self.audio, Copy) else "encoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squeeze:
    """How much is given up so that an output is no larger than its source.

    `share` of the source's size bounds the encoder's rate; None leaves it free.
    """

    crf: float
    share: float | None
    lines: float
    audio_rate_per_channel: int | None


_SQUEEZES: Final = (
    _Squeeze(crf=0, share=1.0, lines=1.0, audio_rate_per_channel=None),
    _Squeeze(crf=4, share=0.8, lines=1.0, audio_rate_per_channel=48_000),
    _Squeeze(crf=8, share=0.6, lines=2 / 3, audio_rate_per_channel=32_000),
    _Squeeze(crf=12, share=0.4, lines=1 / 2, audio_rate_per_channel=24_000),
    _Squeeze(crf=20, share=0.25, lines=1 / 3, audio_rate_per_channel=16_000),
)
"""Only sources below about 50 kb/s ever need the second; the rest are for extremes."""
_SOUND_RATES: Final = (48_000, 32_000, 24_000, 16_000, 12_000, 8_000)
"""The same for sound alone, in bits a second and channel."""
_TRIAL: Final = _Squeeze(crf=0, share=None, lines=1.0, audio_rate_per_channel=None)
"""An encode that may fail, since a copy is as good: its quality shall not suffer instead."""
_LONG_SIDE_MAX: Final = 4096
"""Pixels on the long side: the widest that every H.264 decoder takes."""
_SIDE_MIN: Final = 16
"""Smallest side in pixels: one macroblock."""
_FRAME_BYTES: Final = 16
"""What an MP4's index needs for a frame of video or sound, rounded up."""
_HEADER_BYTES: Final = 4 * limits.KIB
"""What an MP4 needs besides: boxes of `moov` and `ftyp`, x264's own message."""
_AAC_FRAME: Final = 1024
_AAC_RATE_GOOD: Final = 32_000
"""Bits a second and channel that AAC needs where the source's codec needed fewer."""
_AAC_RATE_MIN: Final = 12_000
"""The same where the source is AAC itself: no rate that its own does not justify."""
_AAC_SAMPLE_RATES: Final = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_STEREO: Final = 2
_VIDEO_RATE_MIN: Final = 8_000
"""Bits a second; x264 counts in thousands."""
_VBV_FILL: Final = 0.9
"""Share of its buffer that x264 starts with (`vbv-init`), and may spend over the rate."""
_BUFFER_SHARE: Final = 0.4
"""Share of a small budget that the buffer may hold; the rest flows at an even rate."""
_LAST_STILLS_MAX_S: Final = 1.0
"""An MP4's media header counts in storing order: with reordered frames it leaves out about the
last two. Where those are stills of a minute, players would end too early."""
_AUDIO_OVERSHOOT: Final = 1.05
"""FFmpeg's AAC encoder keeps its average rate within a few percent."""
_GAP_MAX_S: Final = 0.1
"""Sound whose packets add up to another duration than their times has gaps or overlaps."""
_SLIP_MAX_S: Final = 0.02
"""So does sound with a packet that lies further than this from where the ones before end."""
_COPY_PROFILES: Final = frozenset({"High", "Main", "Baseline", "Constrained Baseline"})


def plans(info: MediaInfo, preset: Preset) -> Iterator[Plan]:
    """Yield the ways to make the output, best first; `info` must be accepted.

    The first is the encode that the preset asks for. A source that already meets the target is
    remuxed where that encode does not save enough. The last ones trade quality for a size that
    is no larger than the source's. Loudness must not cost a picture its quality: where only the
    louder sound is too large, the picture is copied with its sound as it is.
    """
    if info.video is None:
        yield from _sounds(info, preset)
        return
    copy = remux(info, preset)
    if copy is None:
        yield _encode(info, preset, _SQUEEZES[0])
    else:
        trial = _encode(info, preset, _TRIAL)
        yield replace(trial, size_max=int(info.size * (1 - preset.worth_saving)))
        yield copy
        if isinstance(copy.audio, AudioEncode) and copy.audio.gain:
            yield replace(copy, audio=_audio(info, preset, None, level=False))
    for squeeze in _SQUEEZES[1:]:
        yield _encode(info, preset, squeeze)


def remux(info: MediaInfo, preset: Preset) -> Plan | None:
    """Return the plan that copies the picture, where it already meets the target; else None."""
    video, picture = _shown(info)
    if info.container is Container.AVI or not _meets_target(video, picture, preset):
        return None
    audio = _audio(info, preset, None)
    return _plan(info, Copy(index=video.index), audio, (picture.width, picture.height))


def encoding_of(info: MediaInfo, preset: Preset) -> VideoEncode:
    """Return how the picture is encoded where its size does not matter."""
    video = _encode(info, preset, _TRIAL).video
    if not isinstance(video, VideoEncode):
        raise TypeError("an encode was planned")
    return video


def target_size(picture: Picture, lines: int) -> tuple[int, int]:
    """Return the output's width and height: even, never larger than what is displayed."""
    width, height = picture.displayed
    by_lines = Fraction(lines, min(width, height))
    by_length = Fraction(_LONG_SIDE_MAX, max(width, height))
    scale = min(Fraction(1), by_lines, by_length)
    return _even(width * scale), _even(height * scale)


def _encode(info: MediaInfo, preset: Preset, squeeze: _Squeeze) -> Plan:
    video, picture = _shown(info)
    audio = _audio(info, preset, squeeze.audio_rate_per_channel)
    lines = max(round(min(preset.lines, *picture.displayed) * squeeze.lines), _SIDE_MIN)
    size = target_size(picture, lines)
    level, buffer_max = level_for(size, min(picture.peak_fps, preset.frame_rate_max))
    rate_max, buffer = _bounds(info, preset, audio, squeeze.share, buffer_max)
    encode = VideoEncode(
        index=video.index,
        width=size[0],
        height=size[1],
        deinterlace=picture.interlaced,
        tone_map=picture.hdr,
        convert_from=convert_from(picture),
        from_rgb=is_rgb(picture),
        colour=output_colour(picture),
        frame_rate=frame_rate(picture, preset.frame_rate_max),
        frame_gap_min_s=frame_gap_min_s(picture, preset.frame_rate_max),
        time_base=ticks(picture),
        speed=preset.speed,
        crf=preset.crf + squeeze.crf,
        level=level,
        gop_frames=gop_frames(picture, preset.gop_s, preset.frame_rate_max),
        keyframe_every_s=preset.gop_s if picture.vfr else None,
        rate_max=rate_max,
        buffer=buffer,
        shape_known=picture.shape_known,
        reordered=picture.last_stills_s <= _LAST_STILLS_MAX_S,
        x264=preset.x264,
        codec=preset.codec,
    )
    return _plan(info, encode, audio, size)


def _sounds(info: MediaInfo, preset: Preset) -> Iterator[Plan]:
    """Yield the ways to make a lecture to be heard; those that cannot fit only as a last try."""
    tries = [_audio(info, preset, rate) for rate in (None, *_SOUND_RATES)]
    fitting = [a for a in tries if _HEADER_BYTES + _audio_bytes(info, a) <= info.size]
    if isinstance(tries[0], Copy):
        fitting = [tries[0], *(audio for audio in fitting if audio != tries[0])]
    for audio in fitting or tries[-1:]:
        yield Plan(
            container=info.container,
            video=None,
            audio=audio,
            width=0,
            height=0,
            frame_s=0.0,
            size_max=info.size,
        )


def _plan(
    info: MediaInfo,
    video: VideoEncode | Copy,
    audio: AudioEncode | Copy | None,
    size: tuple[int, int],
) -> Plan:
    _, picture = _shown(info)
    return Plan(
        container=info.container,
        video=video,
        audio=audio,
        width=size[0],
        height=size[1],
        frame_s=1 / max(picture.fps, 1.0),
        size_max=info.size,
    )


def _shown(info: MediaInfo) -> tuple[Stream, Picture]:
    video = info.video
    if video is None or video.picture is None:
        raise ValueError("only an accepted recording can be planned")
    return video, video.picture


def _meets_target(video: Stream, picture: Picture, preset: Preset) -> bool:
    size = (picture.width, picture.height)
    return (
        video.codec == preset.codec == Codec.H264
        and video.profile in _COPY_PROFILES
        and picture.pix_fmt == "yuv420p"
        and picture.upright
        and picture.square
        and not picture.interlaced
        and not picture.cropped
        and not picture.sizes
        and target_size(picture, preset.lines) == size
        and convert_from(picture) is None
        and picture.color_range != FULL_RANGE
        and frame_gap_min_s(picture, preset.frame_rate_max) is None
    )


# --- sound ------------------------------------------------------------------------------------
def _audio(
    info: MediaInfo, preset: Preset, per_channel: int | None, *, level: bool = True
) -> AudioEncode | Copy | None:
    audio = info.audio
    if audio is None or audio.sound is None:
        return None
    channels = min(audio.sound.channels, preset.audio_channels_max)
    louder = _gain(audio.sound, preset) if level else None
    most = preset.audio_rate_per_channel * channels
    if per_channel is None:
        least = _AAC_RATE_MIN if audio.codec == "aac" else _AAC_RATE_GOOD
        rate = min(most, max(round(audio.rate), least * channels))
    else:
        rate = min(most, per_channel * channels)
    copy_rate = preset.audio_copy_rate_max if per_channel is None else rate
    if louder is None and info.container is not Container.AVI and _can_copy(audio, copy_rate):
        return Copy(index=audio.index)
    sample_rate = next(
        (hz for hz in _AAC_SAMPLE_RATES if hz <= audio.sound.sample_rate), _AAC_SAMPLE_RATES[-1]
    )
    return AudioEncode(
        index=audio.index, rate=rate, channels=channels, sample_rate=sample_rate, gain=louder
    )


def _gain(sound: Sound, preset: Preset) -> Gain | None:
    if sound.loudness is None or preset.loudness_lufs is None:
        return None
    return gain(sound.loudness, preset.loudness_lufs)


def _can_copy(audio: Stream, rate_max: int) -> bool:
    """Gaps must be filled with silence, so sound that has them is never copied."""
    sound = audio.sound
    if sound is None or audio.codec != "aac" or audio.profile != "LC":
        return False
    played_s = audio.packets * _AAC_FRAME / sound.sample_rate
    return (
        sound.channels <= _STEREO
        and sound.sample_rate in _AAC_SAMPLE_RATES
        and audio.rate <= rate_max
        and audio.slip_s <= _SLIP_MAX_S
        and abs(played_s - audio.duration_s) <= _GAP_MAX_S
    )


def _audio_bytes(info: MediaInfo, audio: AudioEncode | Copy | None) -> float:
    stream = info.audio
    if audio is None or stream is None:
        return 0.0
    if isinstance(audio, Copy):
        return stream.size + _FRAME_BYTES * stream.packets
    frames = stream.duration_s * audio.sample_rate / _AAC_FRAME
    return stream.duration_s * audio.rate * _AUDIO_OVERSHOOT / 8 + _FRAME_BYTES * frames


# --- rate -------------------------------------------------------------------------------------
def _bounds(
    info: MediaInfo,
    preset: Preset,
    audio: AudioEncode | Copy | None,
    share: float | None,
    buffer_max: int,
) -> tuple[int, int]:
    """Return rate and buffer with which the encode cannot outgrow `share` of its source.

    x264 spends at most rate times duration, and what its buffer holds at the start. A buffer as
    large as the level allows lets a slide lecture spend its bits on the slide changes.
    """
    if share is None:
        return preset.video_rate_max, buffer_max
    video, _ = _shown(info)
    overhead = _HEADER_BYTES + _FRAME_BYTES * video.packets + _audio_bytes(info, audio)
    budget = max(8 * (info.size * share - overhead), 0.0)
    duration_s = max(video.duration_s, 1.0)
    buffer = min(_BUFFER_SHARE * budget, buffer_max)
    rate = min((budget - _VBV_FILL * buffer) / duration_s, preset.video_rate_max)
    return max(int(rate), _VIDEO_RATE_MIN), max(int(buffer), _VIDEO_RATE_MIN)


def _even(length: Fraction) -> int:
    """Return the even number of pixels next to `length`, not above it by a pixel or more."""
    return max(2 * round(length / 2 - Fraction(1, 2**20)), 2)
