"""What is asked of `lectern compress`; what means nothing there is refused, not ignored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from core.codecs import Codec
from core.presets import Speed


class Kind(StrEnum):
    """What is made, in the words of a message."""

    IMAGE = "an image"
    SET = "a set of renditions (--preset hls)"
    RECORDING = "a single recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options, as they are typed or by their defaults."""

    preset: str
    codec: Codec
    speed: Speed | None
    salvage: bool
    quality: str | None
    ladder: str
    subtitles: tuple[Path, ...]
    thumbnails: str | None
    variants: str | None
    format: str | None


_MEANT_FOR: Final = {
    "preset": (Kind.RECORDING, Kind.SET),
    "codec": (Kind.RECORDING,),
    "speed": (Kind.RECORDING, Kind.SET),
    "salvage": (Kind.RECORDING,),
    "quality": (Kind.RECORDING, Kind.IMAGE),
    "ladder": (Kind.SET,),
    "subtitles": (Kind.SET,),
    "thumbnails": (Kind.SET,),
    "variants": (Kind.IMAGE,),
    "format": (Kind.IMAGE,),
}


def check(context: click.Context, kind: Kind) -> None:
    """Raise UsageError for the first option on the command line that `kind` has no use for."""
    for option in context.command.params:
        kinds = _MEANT_FOR.get(option.name or "", (kind,))
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and kind not in kinds:
            use = " or ".join(kinds)
            raise click.UsageError(f"{option.opts[-1]} is for {use}, not for {kind}", context)
