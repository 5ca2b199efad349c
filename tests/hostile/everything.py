"""All crafted files, in one order."""

from __future__ import annotations

from functools import cache

from tests.hostile.crafted import Crafted
from tests.hostile.disguises import disguises
from tests.hostile.films import films
from tests.hostile.movies import movies
from tests.hostile.pictures import pictures
from tests.hostile.sounds import sounds


@cache
def everything() -> tuple[Crafted, ...]:
    """Return every crafted file; names are unique."""
    return (*disguises(), *movies(), *films(), *sounds(), *pictures())
