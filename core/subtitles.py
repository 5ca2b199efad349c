"""Subtitles: SRT and WebVTT in, WebVTT out. Pure; whatever comes in is bounded and checked."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from core import limits
from core.errors import UnreadableMedia

BYTES_MAX: Final = 4 * limits.MIB
"""Bytes of a file of subtitles; a day of speech has about one MiB."""
_CUES_MAX: Final = 50_000
"""Cues of a track: two in three seconds, for a day."""
_CUE_CHARS_MAX: Final = 2_000
"""Characters of one cue; a screen holds about 200."""
_TIME: Final = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING: Final = re.compile(rf"^\s*{_TIME}\s+-->\s+{_TIME}(?:\s+(.*))?$")
_SETTING: Final = re.compile(r"(?:align|line|position|size|vertical):[a-z0-9.,%-]{1,32}")
_OVERRIDE: Final = re.compile(r"\{\\[^{}]*+\}")
"""What ASS puts before a text, and some write into SRT."""
_TAG: Final = re.compile(r"</?([A-Za-z]\w*+)[^<>]*+>|<[\d:.]++>")
"""A tag with its name, or a time at which karaoke goes on."""
_KEPT_TAGS: Final = frozenset({"b", "i", "u"})
_MINUTE: Final = 60
_HOUR: Final = 3600
_NO_CUES: Final = ("WEBVTT", "NOTE", "STYLE", "REGION", "X-TIMESTAMP-MAP")
_BLANK: Final = re.compile(r"\n[ \t]*\n")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,3}", re.IGNORECASE)
_SHORT: Final = {
    "ara": "ar", "ces": "cs", "chi": "zh", "cze": "cs", "dan": "da", "deu": "de", "dut": "nl",
    "ell": "el", "eng": "en", "fin": "fi", "fra": "fr", "fre": "fr", "ger": "de", "gre": "el",
    "heb": "he", "hin": "hi", "hun": "hu", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl",
    "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "spa": "es",
    "swe": "sv", "tur": "tr", "ukr": "uk", "vie": "vi", "zho": "zh",
}  # fmt: skip
"""ISO 639-2 codes of recordings, and what BCP 47 has for them: the shorter one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A text and when it is shown, in seconds; `text` is WebVTT cue text, `settings` too."""

    start_s: float
    end_s: float
    text: str
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTrack:
    """Subtitles of a set; `language` is a BCP 47 tag, `name` is unique in the set."""

    name: str
    language: str | None
    file_name: str
    playlist_name: str
    cues: tuple[Cue, ...]


def parse(data: bytes) -> tuple[Cue, ...]:
    """Return the cues of SRT or WebVTT in the order of their times.

    UTF-8 and UTF-16 with a mark are read, and anything else as Windows-1252. Tags but those for
    bold, italic and underlined are left out. Raises UnreadableMedia, with the line, for what is
    neither format, and for what is over a bound.
    """
    if len(data) > BYTES_MAX:
        raise UnreadableMedia(f"the subtitles have more than {BYTES_MAX} bytes")
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n").strip("\ufeff\n \t")
    cues = list(_cues(text))
    if not cues and not text.startswith("WEBVTT"):
        raise UnreadableMedia("the subtitles hold no cue; send SRT or WebVTT")
    shown = [cue for cue in cues if cue.end_s > cue.start_s and cue.text]
    return tuple(sorted(shown, key=lambda cue: (cue.start_s, cue.end_s)))


def _decoded(data: bytes) -> str:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UnreadableMedia("the subtitles are no text")


def _cues(text: str) -> Iterator[Cue]:
    """Yield the cues; what follows an empty line without a time belongs to the cue before."""
    cue, number = None, 0
    for line, block in _blocks(text):
        if block[0].startswith(_NO_CUES):
            continue
        found = _cue(block, line)
        if found is None:
            cue = _longer(cue, block) if cue else None
            continue
        if cue:
            yield cue
        cue, number = found, number + 1
        if number > _CUES_MAX:
            raise UnreadableMedia(f"the subtitles have more than {_CUES_MAX} cues")
    if cue:
        yield cue


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield what stands between empty lines, and the number of its first line."""
    block: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield text.count("\n") + 2 - len(block), block


def _cue(block: list[str], line: int) -> Cue | None:
    """Return the block's cue; its first line may be a number or a name."""
    for at, words in enumerate(block[:2]):
        if "-->" not in words:
            continue
        timing = _TIMING.match(words)
        if timing is None:
            raise UnreadableMedia(f"the subtitles' line {line + at} has no times: {words[:40]!r}")
        *times, settings = timing.groups()
        return Cue(
            start_s=_seconds(*times[:4]),
            end_s=_seconds(*times[4:]),
            text=_clean(block[at + 1 :], line),
            settings=" ".join(s for s in (settings or "").split() if _SETTING.fullmatch(s)),
        )
    return None


def _longer(cue: Cue, block: list[str]) -> Cue:
    """Return the cue with a block that belongs to it, or as it is where that does not fit."""
    if len(cue.text) >= _CUE_CHARS_MAX:
        return cue
    more = _clean(block, 0)
    text = f"{cue.text}\n{more}"
    if not more or more.isdigit() or len(text) > _CUE_CHARS_MAX:
        return cue
    return replace(cue, text=text)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    whole = int(hours or 0) * _HOUR + int(minutes) * _MINUTE + int(seconds)
    return whole + int(fraction.ljust(3, "0")) / 1000


def _clean(lines: Sequence[str], line: int) -> str:
    """Return cue text that can hold nothing but text and three kinds of tags."""
    text = "\n".join(words.strip() for words in lines)
    if len(text) > _CUE_CHARS_MAX:
        raise UnreadableMedia(f"the subtitles' cue at line {line} is too long")
    pieces, at = [], 0
    text = _OVERRIDE.sub("", text).replace("-->", "->")
    for tag in _TAG.finditer(text):
        pieces += [_escaped(text[at : tag.start()]), _kept(tag)]
        at = tag.end()
    return "".join((*pieces, _escaped(text[at:]))).strip()


def _escaped(text: str) -> str:
    plain = "".join(c for c in html.unescape(text) if c.isprintable() or c == "\n")
    return html.escape(plain, quote=False).replace("--&gt;", "-&gt;")


def _kept(tag: re.Match[str]) -> str:
    name = (tag.group(1) or "").lower()
    if name not in _KEPT_TAGS:
        return ""
    return f"</{name}>" if tag.group().startswith("</") else f"<{name}>"


def webvtt(cues: Sequence[Cue], *, until_s: float | None = None) -> str:
    """Return the cues as a WebVTT file, those cut off that begin or end after `until_s`.

    It says that its zero is the zero of the segments, as HLS asks for (RFC 8216, 3.5).
    """
    parts = ["WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"]
    for cue in cues:
        end_s = cue.end_s if until_s is None else min(cue.end_s, until_s)
        if end_s > cue.start_s:
            times = f"{timestamp(cue.start_s)} --> {timestamp(end_s)} {cue.settings}".rstrip()
            parts.append(f"{times}\n{_BLANK.sub(chr(10), cue.text)}")
    return "\n\n".join(parts) + "\n"


def timestamp(seconds: float) -> str:
    """Return a time as WebVTT writes it."""
    total = round(seconds * 1000)
    minutes, rest = divmod(total, _MINUTE * 1000)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def language(tag: str | None) -> str | None:
    """Return a language's BCP 47 tag, or None for one that is unknown or not a tag."""
    if not tag or not _LANGUAGE.fullmatch(tag) or tag.lower() in {"und", "mis", "mul", "zxx"}:
        return None
    first, *rest = tag.split("-")
    return "-".join((_SHORT.get(first.lower(), first.lower()), *rest))
