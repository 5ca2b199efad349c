"""Read what a sandboxed child has printed or written.

The file that it worked on may have taken it over, so nothing of it is believed before it was
looked at: neither the form of its words nor that a file of its is a file.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from core.errors import EncodeFailed

_T = TypeVar("_T")
_NUMBER: Final = (int, float)
_PLAIN: Final[Mapping[str, tuple[type, ...]]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": _NUMBER,
    "float | None": (*_NUMBER, type(None)),
    "str": (str,),
    "bool": (bool,),
}
"""What a field of a dataclass may hold, by its annotation; others are not looked at."""


def parsed(data: bytes | bytearray) -> Mapping[str, Any]:
    """Return a JSON object all of whose numbers are finite; raises ValueError."""
    try:
        facts = json.loads(data, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(facts, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - one error for all that is wrong
    return facts


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def typed(cls: type[_T], facts: Mapping[str, Any]) -> _T:
    """Return `cls(**facts)`; raises ValueError where a plain field holds something else."""
    for one in fields(cls):  # type: ignore[arg-type] # a dataclass, which TypeVar cannot say
        allowed = _PLAIN.get(str(one.type))
        if allowed and one.name in facts and type(facts[one.name]) not in allowed:
            raise ValueError(f"{one.name} is no {one.type}")
    return cls(**facts)


def opened(path: Path) -> BinaryIO:
    """Open a file that a child has written; raises EncodeFailed where it is none of its own."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise EncodeFailed("the program wrote no file") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise EncodeFailed("the program wrote no file")
    return os.fdopen(number, "rb")


def text(path: Path, *, bytes_max: int) -> str:
    """Return the ASCII text of such a file; raises EncodeFailed, and ValueError for other text."""
    with opened(path) as file:
        return file.read(bytes_max).decode("ascii")
