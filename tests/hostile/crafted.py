"""What a crafted file is: a name, how its bytes are made, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.hostile.bases import Bases

Make = Callable[[Bases], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crafted:
    """A file that is out to harm. `refused` says that no output may come of it."""

    name: str
    make: Make
    refused: bool = False


def refused(**makers: Make) -> Iterator[Crafted]:
    """Return files that must be refused."""
    for name, make in makers.items():
        yield Crafted(name=name, make=make, refused=True)


def survived(**makers: Make) -> Iterator[Crafted]:
    """Return files that may be refused or made good, but do no harm."""
    for name, make in makers.items():
        yield Crafted(name=name, make=make)
