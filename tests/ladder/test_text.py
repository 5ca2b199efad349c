"""Subtitles in, WebVTT out; slide changes and posters from small grey pictures."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core.errors import UnreadableMedia
from core.looks import Looks, chapters, poster_s
from core.subtitles import BYTES_MAX, Cue, language, parse, timestamp, webvtt


def one(text: str) -> Cue:
    (cue,) = parse(text.encode())
    return cue


def test_srt_becomes_webvtt() -> None:
    """Numbers go, commas become points, lines stay."""
    srt = "1\n00:00:01,000 --> 00:01:02,500\nfirst\nsecond\n\n2\n01:00:00,0 --> 01:00:01,0\nx\n"
    assert webvtt(parse(srt.encode())) == (
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n"
        "00:00:01.000 --> 00:01:02.500\nfirst\nsecond\n\n"
        "01:00:00.000 --> 01:00:01.000\nx\n"
    )


def test_webvtt_keeps_its_places_and_loses_notes_and_styles() -> None:
    """Settings of a cue stay if they are known; everything that is no cue goes."""
    text = (
        "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE a --> is no time\n\n"
        "name\n00:01.000 --> 00:02.000 align:start position:10% onclick:x\nhello\n"
    )
    cue = one(text)
    assert (cue.start_s, cue.end_s, cue.text) == (1, 2, "hello")
    assert cue.settings == "align:start position:10%"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("<b>a</b> <font color='red'>b</font>", "<b>a</b> b"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("a &amp; b &lt;script&gt;", "a &amp; b &lt;script&gt;"),
        (r"{\an8}top", "top"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("bell\x07\u202e", "bell"),
        ("<v Bob>hi", "hi"),
    ],
)
def test_nothing_but_plain_text_and_three_tags_comes_through(given: str, made: str) -> None:
    """What a page shows as HTML by mistake can do nothing."""
    assert one(f"1\n00:00:01,000 --> 00:00:02,000\n{given}\n").text == made


@pytest.mark.parametrize(
    "data",
    [
        "Grüße".encode("utf-8-sig"),
        "Grüße".encode(),
        "Grüße".encode("cp1252"),
        "Grüße".encode("utf-16"),
    ],
)
def test_encodings_are_recognized(data: bytes) -> None:
    """UTF-8 and UTF-16 by themselves, the old ones as Windows-1252."""
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else None
    head = "1\n00:00:01,000 --> 00:00:02,000\n"
    if encoding:
        whole = (head + "Grüße").encode(encoding)
    else:
        bom, rest = (data[:3], data[3:]) if data.startswith(b"\xef\xbb\xbf") else (b"", data)
        whole = bom + head.encode() + rest
    assert parse(whole)[0].text == "Grüße"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x01\x02\x03", "no text"),
        (b"%PDF-1.7 something", "hold no cue"),
        (b"", "hold no cue"),
        (b"1\n00:00:01 --> soon\nx\n", "line 2 has no times"),
        (b"x" * (BYTES_MAX + 1), "more than"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n" + b"x" * 3000, "too long"),
    ],
)
def test_what_is_no_subtitles_is_refused_with_the_reason(data: bytes, why: str) -> None:
    """The message says what is wrong, and in which line."""
    with pytest.raises(UnreadableMedia, match=why):
        parse(data)


def test_cues_are_sorted_and_those_without_time_or_text_are_left_out() -> None:
    """Players need the times in order."""
    srt = (
        "1\n00:00:05,000 --> 00:00:06,000\nb\n\n2\n00:00:01,000 --> 00:00:02,000\na\n\n"
        "3\n00:00:03,000 --> 00:00:03,000\nnever\n\n4\n00:00:07,000 --> 00:00:08,000\n<i></i>\n"
    )
    assert [cue.text for cue in parse(srt.encode())][:2] == ["a", "b"]
    assert "never" not in webvtt(parse(srt.encode()))


def test_an_empty_line_inside_of_a_text_does_not_lose_the_rest() -> None:
    """Some programs write such files."""
    assert one("1\n00:00:01,000 --> 00:00:02,000\nfirst\n\nsecond\n").text == "first\nsecond"


def test_cues_end_with_the_recording() -> None:
    """One that begins after it is left out."""
    cues = parse(b"1\n00:00:01,0 --> 00:00:09,0\na\n\n2\n00:00:08,0 --> 00:00:09,0\nb\n")
    assert webvtt(cues, until_s=4).endswith("00:00:01.000 --> 00:00:04.000\na\n")


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("eng", "en"),
        ("de", "de"),
        ("pt-BR", "pt-BR"),
        ("und", None),
        ("", None),
        ("a b", None),
        ("en\n", None),
    ],
)
def test_languages_are_bcp_47(given: str, tag: str | None) -> None:
    """Recordings name them with three letters."""
    assert language(given) == tag


def test_times_are_rounded_to_milliseconds_before_they_are_split() -> None:
    """Never 60.000 seconds."""
    assert timestamp(3599.9996) == "01:00:00.000"


# --- looks ------------------------------------------------------------------------------------
BLACK, SLIDE, OTHER = (
    bytes([16] * 100),
    bytes([200] * 70 + [20] * 30),
    bytes([20] * 50 + [200] * 50),
)


def looks(*pictures: tuple[bytes, int]) -> Looks:
    """Return pictures, each as often as said, two a second."""
    return Looks(data=b"".join(one * count for one, count in pictures), size=100, every_s=0.5)


def test_a_chapter_begins_where_the_slide_changes() -> None:
    """And the first one at zero."""
    assert chapters(looks((SLIDE, 60), (OTHER, 60), (SLIDE, 60))) == (0, 30, 60)


def test_typing_and_noise_begin_no_chapter() -> None:
    """A few pixels at a time."""
    typed = [(bytes([200] * (70 - n) + [20] * (30 + n)), 10) for n in range(20)]
    noisy = [(bytes((16 + 7 * (n * k % 3)) for k in range(100)), 1) for n in range(100)]
    assert chapters(looks(*typed, *noisy)) == (0,) or max(looks(*typed).changes()) < 0.06


def test_a_restless_picture_is_no_row_of_chapters() -> None:
    """A camera that moves changes all the time."""
    assert chapters(looks(*[(SLIDE, 1), (OTHER, 1)] * 60)) == (0,)


def test_chapters_lie_apart_and_are_not_too_many() -> None:
    """The largest changes are kept."""
    half = bytes([200] * 60 + [20] * 40)
    seen = looks((SLIDE, 60), (half, 10), (OTHER, 60), (SLIDE, 60), (BLACK, 10))
    found = chapters(seen)
    assert all(b - a >= 20 for a, b in pairwise(found))
    assert chapters(seen, most=2) == (0, 35)


def test_the_poster_is_bright_rich_and_at_rest() -> None:
    """Neither the black beginning nor an empty slide."""
    blank = bytes([220] * 100)
    time_s = poster_s(looks((BLACK, 20), (blank, 20), (SLIDE, 20), (BLACK, 60)))
    assert 20 <= time_s < 30


@pytest.mark.parametrize("seen", [looks((BLACK, 10)), looks((SLIDE, 1)), looks()])
def test_a_black_or_short_recording_has_a_poster_too(seen: Looks) -> None:
    """Whatever there is."""
    assert poster_s(seen) >= 0
