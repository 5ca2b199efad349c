"""Sample a recording, and choose what it is encoded with.

Everything happens in sandboxed children inside the job's private folder, and what they leave
there is removed. Where the samples fail, the preset's own figures stand, with a warning.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from core import limits
from core.codecs import Codec
from core.errors import EncodeFailed, MediaError, PassingFailure
from core.media import MediaInfo
from core.plan import VideoEncode, encoding_of
from core.presets import Preset, Target, in_codec
from core.smart import (
    PROBES_MAX,
    Choice,
    Kind,
    Probe,
    Voice,
    alike,
    expected,
    first_crf,
    guessed_kind,
    kind_of,
    next_crf,
    sounding,
    styled,
    voice_of,
)
from core.windows import Window, sound_windows, windows
from transcoder.answers import opened, text
from transcoder.quality import (
    SAMPLE,
    SCORES,
    SIZES,
    WINDOW_FRAMES_MAX,
    greeting,
    heard_of,
    listening,
    maker_of,
    measuring,
    probe_of,
    taking,
)
from transcoder.runner import Bounds, Collector, Outgrown, run

_PART: Final = "sample.part"
_HEARD: Final = 0.1
_TAKEN: Final = 0.4
"""Shares of the work that are done after the sound, and before the first probe."""
_TIME_SHARE: Final = 0.25
"""Of the time that is left for a recording, its samples may take this share."""
_SAMPLE_BYTES_MAX: Final = 192 * limits.MIB
"""Bytes of a sample: 16 s of camera footage at 720p have about 120 MB. No more windows are taken
after that."""
_PART_BYTES_MAX: Final = 128 * limits.MIB
"""Bytes of one window: 64 frames of noise at 720p."""
_WRITTEN_BYTES_MAX: Final = 4 * limits.MIB
"""Bytes of scores and sizes: about 500 for each frame that is scored."""
_LEVELS_BYTES_MAX: Final = 4 * limits.MIB
"""Bytes that one window of sound prints; 2 MB are 300 s of them."""
_FAILURES: Final = (
    *(MediaError, PassingFailure, Outgrown, OSError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
)
"""What comes of a program that fails, and of reading what it wrote where that is nonsense."""
_FRAMES_MIN: Final = 12
"""Frames below which a sample says nothing."""
_GREETING_BYTES_MAX: Final = 64 * limits.KIB
"""Bytes of a recording's first frame in which its encoder tells its name: it stands in front."""
_FULL_COLOUR: Final = "yuv444"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Samples files inside `folder`; `deadline` is on the monotonic clock."""

    ffmpeg: Path
    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(
        self, source: str, info: MediaInfo, preset: Preset, *, report: Callable[[float], None]
    ) -> Choice:
        """Return what `source` is encoded with: the preset itself where it has no target.

        `report` hears the share that is done. Raises Interrupted when it is told to stop;
        everything else is a warning.
        """
        target = preset.target
        if target is None:
            return Choice(preset=preset)
        now = time.monotonic()
        deadline = now + (self.deadline - now) * _TIME_SHARE
        bench = _Bench(tools=self, deadline=deadline, report=report)
        try:
            heard = bench.sound(source, info, Choice(preset=replace(preset, target=None)))
            choice = bench.picture(source, info, heard, target)
            report(1.0)
            return choice
        finally:
            for name in (SAMPLE, SCORES, SIZES, _PART):
                (self.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Where one recording's samples are taken, until `deadline`."""

    tools: Sampler
    deadline: float
    report: Callable[[float], None]

    def sound(self, source: str, info: MediaInfo, choice: Choice) -> Choice:
        audio = info.audio
        if audio is None or audio.sound is None:
            return choice
        try:
            voice = self._listen(source, info, audio.index)
        except _FAILURES as error:
            return _doubtful(choice, "sound", error)
        return replace(choice, voice=voice, preset=sounding(choice.preset, voice))

    def _listen(self, source: str, info: MediaInfo, index: int) -> Voice:
        printed = []
        for window in sound_windows(info.duration_s):
            levels = Collector(most=_LEVELS_BYTES_MAX)
            argv = listening(self.tools.ffmpeg, info.container, source, index, window)
            self._run(argv, 0, levels)
            printed.append(bytes(levels.data))
        self.report(_HEARD)
        return voice_of(heard_of(printed))

    def picture(self, source: str, info: MediaInfo, choice: Choice, target: Target) -> Choice:
        video = info.video
        if video is None or video.picture is None:
            return choice
        parts = windows(info.duration_s, video.picture.fps)
        if not parts:
            return choice
        try:
            guess = self._take(source, info, choice.preset, parts)
            return self._search(info, choice, guess, target)
        except _FAILURES as error:
            return _doubtful(choice, "picture", error)

    def _take(
        self, source: str, info: MediaInfo, preset: Preset, parts: tuple[Window, ...]
    ) -> Kind:
        """Write the windows' frames into one file, and guess by its size what is shown.

        Raises EncodeFailed where there are no frames.
        """
        video = encoding_of(info, preset)
        maker = self._maker(source, info, video)
        sample, part = self.tools.folder / SAMPLE, self.tools.folder / _PART
        frames = 0.0
        sample.unlink(missing_ok=True)
        with sample.open("xb") as file:
            for number, window in enumerate(parts):
                self.report(_HEARD + (_TAKEN - _HEARD) * number / len(parts))
                argv = taking(
                    self.tools.ffmpeg, info.container, source, video, window, _PART, maker=maker
                )
                with contextlib.suppress(EncodeFailed):  # where frames are rare it may have none
                    self._run(argv, _PART_BYTES_MAX)
                    with opened(part) as piece:
                        shutil.copyfileobj(piece, file)
                    frames += min(float(video.frame_rate) * window.length_s, WINDOW_FRAMES_MAX)
                part.unlink(missing_ok=True)
                if file.tell() > _SAMPLE_BYTES_MAX:
                    break
        size = sample.stat().st_size
        if size == 0:
            raise EncodeFailed("no frame can be taken")
        return guessed_kind(size, frames * video.width * video.height)

    def _maker(self, source: str, info: MediaInfo, video: VideoEncode) -> int | None:
        """Return the version of x264 where a decoder that begins in the middle must know it."""
        stream = info.video
        if stream is None or stream.picture is None or stream.codec != Codec.H264:
            return None
        if not (stream.picture.pix_fmt or "").startswith(_FULL_COLOUR):
            return None
        frame = Collector(most=_GREETING_BYTES_MAX)
        self._run(greeting(self.tools.ffmpeg, info.container, source, video), 0, frame)
        return maker_of(bytes(frame.data))

    def _search(self, info: MediaInfo, choice: Choice, guess: Kind, target: Target) -> Choice:
        """Probe until the CRF is known; the first probe also tells the kind.

        Only H.264 has a packet for each frame that says how much happens in it. Where the guess
        was wrong, what the first probe measured says only where to begin.
        """
        codec = choice.preset.codec
        first = styled(choice.preset, guess, first_crf(guess, codec))
        all_probes = [self._probe(encoding_of(info, first))]
        kind = self._kind(info, first, all_probes[0])
        probes = list(all_probes)
        if not alike(guess, kind, codec):
            crf = expected(probes, kind, target).crf
            probes = [self._probe(encoding_of(info, styled(choice.preset, kind, crf)))]
            all_probes += probes
        while len(all_probes) < PROBES_MAX:
            next_one = next_crf(probes, kind, target)
            if next_one is None:
                break
            self.report(_TAKEN + (1 - _TAKEN) * len(all_probes) / PROBES_MAX)
            preset = styled(choice.preset, kind, next_one)
            probes.append(self._probe(encoding_of(info, preset)))
            all_probes.append(probes[-1])
        found = expected(probes, kind, target)
        return replace(
            choice,
            preset=styled(choice.preset, kind, found.crf),
            kind=kind,
            expected=found,
            probes=tuple(all_probes),
        )

    def _kind(self, info: MediaInfo, preset: Preset, probe: Probe) -> Kind:
        if preset.codec is not Codec.H264:
            probe = self._probe(encoding_of(info, in_codec(preset, Codec.H264)))
        if len(probe.sizes) < _FRAMES_MIN:
            raise EncodeFailed("there are too few frames")
        return kind_of(probe)

    def _probe(self, video: VideoEncode) -> Probe:
        self._run(measuring(self.tools.ffmpeg, video), _WRITTEN_BYTES_MAX)
        scores, sizes = (
            text(self.tools.folder / name, bytes_max=_WRITTEN_BYTES_MAX) for name in (SCORES, SIZES)
        )
        return probe_of(video, scores, sizes)

    def _run(self, argv: list[str], file_bytes: int, listener: Collector | None = None) -> None:
        ended = run(
            argv,
            folder=self.tools.folder,
            python=self.tools.python,
            bounds=Bounds(
                memory_bytes=limits.ENCODE_MEMORY_BYTES,
                file_bytes=file_bytes,
                deadline=self.deadline,
            ),
            listener=listener or Collector(most=0),
            stop=self.tools.stop,
        )
        if ended.status:
            raise EncodeFailed("a sample cannot be encoded")


def _doubtful(choice: Choice, what: str, error: Exception) -> Choice:
    words = str(error) or type(error).__name__
    warning = f"the {what} could not be sampled, so the preset's own figures stand: {words}"
    return replace(choice, warnings=(*choice.warnings, warning))
