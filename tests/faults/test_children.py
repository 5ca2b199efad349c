"""The other programs of a step fail: the probe, the meter of loudness, samples, the last check."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import (
    EncodeFailed,
    EncoderKilled,
    EncoderMissing,
    LecternError,
    MediaTooComplex,
    StepTimedOut,
)
from core.presets import DEFAULT, SMART
from tests.faults.scene import PRESET, Scene, nothing_left
from tests.faults.shares import share
from tests.faults.stand_in import ffmpeg_that, python_that
from transcoder.compress import Compressed, Toolbox

_STREAM = (
    '{"index": 0, "kind": "video", "codec": "h264", "profile": "High", "default": true, '
    '"attached_pic": false, "start_s": 0, "end_s": %s, "packets": 9, "size": 9, '
    '"picture": null, "sound": null}'
)
_ANSWER = '{"header_duration_s": 1, "clean": true, "streams": [%s]}'
PROBES = {
    "is killed": ("os.kill(os.getpid(), 9)", EncoderKilled),
    "is asked to end": ("os.kill(os.getpid(), 15)", EncoderKilled),
    "crashes": ("os.kill(os.getpid(), 11)", EncodeFailed),
    "uses up its computing time": ("os.kill(os.getpid(), signal.SIGXCPU)", MediaTooComplex),
    "writes a file": ("os.kill(os.getpid(), signal.SIGXFSZ)", EncodeFailed),
    "dies of a real-time signal": ("os.kill(os.getpid(), 40)", EncoderKilled),
    "hangs": ("signal.pause()", StepTimedOut),
    "stops itself": ("os.kill(os.getpid(), signal.SIGSTOP)", StepTimedOut),
    "fails": ("sys.exit(1)", EncodeFailed),
    "misses its own parts": ("import nowhere", EncoderMissing),
    "has no memory": ("raise MemoryError", MediaTooComplex),
    "says nothing": ("pass", EncodeFailed),
    "says nothing of use": ("say('{}')", EncodeFailed),
    "answers with a list": ("say('[1, 2]')", EncodeFailed),
    "answers with a word": ("say('null')", EncodeFailed),
    "answers with half of it": ("say('{\"header_duration_s\": 1, ')", EncodeFailed),
    "answers without an end": ("while True: say('[' * 65536)", StepTimedOut),
    "nests its answer": ("say('[' * 200000)", EncodeFailed),
    "answers with noise": ("os.write(1, os.urandom(9999))", EncodeFailed),
    "answers with a number that is none": (
        f"say('{_ANSWER % (_STREAM % 'NaN')}')",
        EncodeFailed,
    ),
    "answers with an endless number": (
        f"say('{_ANSWER % (_STREAM % 'Infinity')}')",
        EncodeFailed,
    ),
    "answers with thousands of digits": (
        f"say('{_ANSWER % (_STREAM % ('9' * 5000))}')",
        EncodeFailed,
    ),
    "answers with words for numbers": (
        f"say('''{_ANSWER % (_STREAM % chr(34) + 'x' + chr(34))}''')",
        EncodeFailed,
    ),
    "answers with streams that are none": (f"say('{_ANSWER % '7'}')", EncodeFailed),
}


def _budget_s(ends: type[LecternError], short_s: float) -> float:
    """Return a short budget where it is what ends the program, else one that is never used up."""
    return short_s if ends is StepTimedOut else 30.0


@pytest.mark.parametrize("how", share(PROBES, 8))
def test_a_probe_that(how: str, scene: Scene, tmp_path: Path) -> None:
    """Each failure of the probe has a name, and what it answers is not believed blindly."""
    does, ends = PROBES[how]
    python = python_that(does, tmp_path / "python", where="probe_child")
    toolbox = Toolbox(ffmpeg=scene.real, python=str(python))
    with nothing_left(tmp_path), pytest.raises(LecternError) as caught:
        scene.compress(toolbox, tmp_path, budget_s=_budget_s(ends, 1.5))
    assert type(caught.value) is ends
    assert str(tmp_path) not in caught.value.detail


def _spoil(path: Path, how: str) -> None:
    if how == "may not be run":
        path.touch(mode=0o644)
    elif how == "is a folder":
        path.mkdir()
    elif how == "leads to itself":
        path.symlink_to(path)
    elif how in PLACES:
        path.write_bytes(PLACES[how])
        path.chmod(0o755)


PLACES = {
    "is no program": b"\x7fELF but not really",
    "is empty": b"",
    "wants an interpreter that is missing": b"#!/nowhere/sh\n",
}


@pytest.mark.parametrize("program", ["ffmpeg", "python"])
@pytest.mark.parametrize(
    "how", share(["is missing", "may not be run", "is a folder", "leads to itself", *PLACES], 3)
)
def test_a_program_that_cannot_start_is_not_the_files_fault(
    how: str, program: str, scene: Scene, tmp_path: Path
) -> None:
    """It may be there at the next try: on this worker after a repair, or on another."""
    path = tmp_path / program
    _spoil(path, how)
    python = str(path) if program == "python" else sys.executable
    ffmpeg = path if program == "ffmpeg" else scene.real
    with nothing_left(tmp_path), pytest.raises(EncoderMissing, match="could not be started"):
        scene.encode_with(Toolbox(ffmpeg=ffmpeg, python=python), tmp_path)


def _with(
    scene: Scene,
    place: Path,
    stage: str,
    does: str,
    preset: str = "plain",
    budget_s: float = 30,
) -> Compressed:
    program = ffmpeg_that(
        does, place / "ffmpeg", real=scene.real, given=scene.given, stages=(stage,)
    )
    chosen = {"plain": PRESET, "loud": DEFAULT, "smart": replace(SMART, loudness_lufs=None)}
    return scene.compress(
        Toolbox(ffmpeg=program, python=sys.executable),
        place,
        preset=chosen[preset],
        source=scene.longer if preset == "smart" else None,
        budget_s=budget_s,
    )


SUMMARY = (
    "say('    I:  %s LUFS\\n    Peak:  %s dBFS\\n', 2); say('lavfi.astats.Overall.RMS_level=%s\\n')"
)
HARMLESS_METERS = {
    "fails": "sys.exit(1)",
    "says nothing": "pass",
    "says no number": SUMMARY % ("nan", "nan", "x"),
    "says numbers without sense": SUMMARY % ("1.2.3", "...", "1e999"),
    "says endless numbers": SUMMARY % ("9" * 400, "-" + "9" * 400, "inf"),
    "says that it is silent": SUMMARY % ("-inf", "-inf", "-inf"),
    "says noise": "say(os.urandom(100000)); say(os.urandom(100000), 2)",
    "says a long line": "say('lavfi.astats.Overall.RMS_level=' + '9' * 500000 + '\\n')",
}


@pytest.mark.parametrize("how", share(HARMLESS_METERS, 2))
def test_a_recording_is_made_although_the_meter_of_loudness(
    how: str, scene: Scene, tmp_path: Path
) -> None:
    """Sound that cannot be measured stays as loud as it is."""
    with nothing_left(tmp_path):
        result = _with(scene, tmp_path, "loudness", HARMLESS_METERS[how], "loud")
    assert result.media.duration_s == pytest.approx(1.0, abs=0.1)


METERS = {
    "is killed": ("die(9)", EncoderKilled),
    "crashes": ("die(11)", EncodeFailed),
    "hangs": ("hang()", StepTimedOut),
    "writes a file": ("die(signal.SIGXFSZ)", EncodeFailed),
    "talks for ever": ("while True: say('x\\n')", StepTimedOut),
}


@pytest.mark.parametrize("how", share(METERS, 3))
def test_a_meter_of_loudness_that(how: str, scene: Scene, tmp_path: Path) -> None:
    """What ends it from outside, or is over its bounds, has its name."""
    does, ends = METERS[how]
    with nothing_left(tmp_path), pytest.raises(LecternError) as caught:
        _with(scene, tmp_path, "loudness", does, "loud", budget_s=_budget_s(ends, 3))
    assert type(caught.value) is ends


SAMPLERS = {
    "listen": ["sys.exit(1)", "die(9)", "die(11)"],
    "sample": ["sys.exit(1)", "die(9)", "pass", "write(os.urandom(99999))", "os.mkfifo(out)"],
    "score": [
        "sys.exit(1)",
        "die(9)",
        "pass",
        "write(b'[' * 200000, 'sample.json'); write(b'', 'sample.sizes')",
        "write(b'{\"frames\": 7}', 'sample.json'); write(b'0,0\\n', 'sample.sizes')",
        "write(os.urandom(9999), 'sample.json'); write(os.urandom(9999), 'sample.sizes')",
        "os.mkfifo('sample.json'); os.mkfifo('sample.sizes')",
        "os.symlink('/dev/zero', 'sample.json')",
    ],
}


@pytest.mark.parametrize(
    ("stage", "does"),
    share([(stage, does) for stage, all_ in SAMPLERS.items() for does in all_], 4),
)
def test_samples_that_fail_cost_only_a_warning(
    stage: str, does: str, scene: Scene, tmp_path: Path
) -> None:
    """The preset's own figures stand then."""
    with nothing_left(tmp_path):
        result = _with(scene, tmp_path, stage, does, "smart")
    assert any("could not be sampled" in warning for warning in result.warnings)
    assert result.media.duration_s == pytest.approx(9.0, abs=0.2)


VERSIONS = {
    "fails": "sys.exit(1)",
    "says nothing": "pass",
    "says noise": "say(os.urandom(9999))",
    "talks for ever": "while True: say('x' * 9999)",
    "talks for ever on the other channel": "while True: say('x' * 9999, 2)",
    "is killed": "die(9)",
    "hangs": "hang()",
}


@pytest.mark.parametrize("how", share(VERSIONS, 3))
def test_a_result_stands_although_the_question_for_its_makers_version(
    how: str, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt says `unknown` then."""
    monkeypatch.setattr("transcoder.compress._ASK_S", 0.5)
    with nothing_left(tmp_path):
        result = _with(scene, tmp_path, "version", VERSIONS[how])
    assert result.making is not None
    assert result.making.ffmpeg == "unknown"


CHECKS = {
    "is killed": ("die(9)", EncoderKilled),
    "hangs": ("hang()", StepTimedOut),
}


@pytest.mark.parametrize("how", share(CHECKS, 1))
def test_a_last_check_that(how: str, scene: Scene, tmp_path: Path) -> None:
    """A copied picture is decoded once more; no result comes without it."""
    does, ends = CHECKS[how]
    with nothing_left(tmp_path), pytest.raises(ends):
        _checked(scene, tmp_path, does, budget_s=_budget_s(ends, 4))


@pytest.mark.parametrize("does", share(["die(11)", "sys.exit(1)", "die(signal.SIGXFSZ)"], 1))
def test_a_copy_that_fails_its_last_check_is_encoded_instead(
    does: str, scene: Scene, tmp_path: Path
) -> None:
    """What cannot be decoded must not be handed out."""
    with nothing_left(tmp_path):
        assert _checked(scene, tmp_path, does).action == "encoded"


def _checked(scene: Scene, place: Path, does: str, budget_s: float = 30) -> Compressed:
    """Compress what is as small as it can be, so that its picture is copied."""
    program = ffmpeg_that(
        does, place / "ffmpeg", real=scene.real, given=scene.given, stages=("check",)
    )
    toolbox = Toolbox(ffmpeg=program, python=sys.executable)
    return scene.compress(toolbox, place, source=scene.given / "good.mp4", budget_s=budget_s)
