"""FFmpeg's arguments: the guards on every call, and the filters in their order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.media import PQ, Container, MediaInfo
from core.plan import VideoEncode, plans, remux
from core.presets import DEFAULT
from tests.unit.media_facts import audio, recording, video
from transcoder.command import command, filters


def arguments(info: MediaInfo) -> list[str]:
    return command(Path("/opt/ffmpeg"), next(plans(info, DEFAULT)), "source", "output.mp4")


def value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def encode(info: MediaInfo) -> VideoEncode:
    plan = next(plans(info, DEFAULT))
    assert isinstance(plan.video, VideoEncode)
    return plan.video


@pytest.mark.parametrize(
    ("container", "demuxer"),
    [(Container.MP4, "mov"), (Container.MATROSKA, "matroska"), (Container.AVI, "avi")],
)
def test_the_input_is_read_by_one_demuxer_from_this_file_only(
    container: Container, demuxer: str
) -> None:
    argv = arguments(recording(container=container))
    before = argv[: argv.index("-i")]
    assert value(before, "-f") == value(before, "-format_whitelist") == demuxer
    assert value(before, "-protocol_whitelist") == "file"
    assert "h264" in value(before, "-codec_whitelist").split(",")
    assert "-max_pixels" in before
    assert value(argv, "-i") == "file:source"


def test_names_are_relative_and_no_other_input_is_opened() -> None:
    argv = arguments(recording())
    assert argv.count("-i") == 1
    assert [word for word in argv if word.startswith("/")] == ["/opt/ffmpeg"]


def test_titles_chapters_and_other_streams_are_left_behind() -> None:
    argv = arguments(recording())
    assert value(argv, "-map_metadata") == value(argv, "-map_chapters") == "-1"
    assert [argv[n + 1] for n, word in enumerate(argv) if word == "-map"] == ["0:0", "0:1"]
    assert {"-sn", "-dn"} <= set(argv)


def test_the_index_is_moved_to_the_front() -> None:
    assert value(arguments(recording()), "-movflags") == "+faststart"


def test_without_sound_nothing_is_said_about_sound() -> None:
    assert not [word for word in arguments(recording(video())) if word.endswith(":a")]


def test_a_remux_copies_both() -> None:
    plan = remux(recording(video(width=1280, height=720), audio(size=320_000)), DEFAULT)
    assert plan is not None
    argv = command(Path("ffmpeg"), plan, "source", "output.mp4")
    assert value(argv, "-c:v") == value(argv, "-c:a") == "copy"
    assert "-vf" not in argv


def test_frames_keep_their_times() -> None:
    argv = arguments(recording())
    assert value(argv, "-fps_mode") == "vfr"
    assert value(argv, "-enc_time_base:v") == "1:15360"


def test_fields_are_joined_before_frames_are_dropped_and_scaled() -> None:
    chain = filters(encode(recording(video(interlaced=True, fps=120.0, peak_fps=120.0))))
    steps = [step.partition("=")[0] for step in chain.split(",") if "=" in step]
    assert steps.index("bwdif") < steps.index("select") < steps.index("scale")


def test_a_dark_room_in_hdr_is_tone_mapped_in_linear_light() -> None:
    chain = filters(encode(recording(video(color_transfer=PQ))))
    order = [chain.index(part) for part in ("t=linear", "tonemap", "t=709", "sidedata=mode=delete")]
    assert order == sorted(order)


def test_full_range_becomes_limited_range() -> None:
    assert "out_range=tv" in filters(encode(recording(video(color_range=2))))


def test_rgb_is_converted_by_the_matrix_that_it_is_tagged_with() -> None:
    assert "out_color_matrix=bt709" in filters(encode(recording(video(pix_fmt="gbrp"))))


def test_keyframes_are_forced_by_time_where_the_rate_varies() -> None:
    assert "-force_key_frames:v" in arguments(recording(video(vfr=True)))
    assert "-force_key_frames:v" not in arguments(recording())


def test_the_plan_reaches_the_encoder() -> None:
    plan = next(plans(recording(), DEFAULT))
    assert isinstance(plan.video, VideoEncode)
    changed = replace(plan, video=replace(plan.video, rate_max=123_000, buffer=456_000))
    argv = command(Path("ffmpeg"), changed, "source", "output.mp4")
    assert (value(argv, "-maxrate:v"), value(argv, "-bufsize:v")) == ("123000", "456000")
    assert (value(argv, "-pix_fmt"), value(argv, "-profile:v")) == ("yuv420p", "high")
