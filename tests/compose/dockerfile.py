"""Reads from a Dockerfile what a container starts with: the environment and the command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CONTINUED: Final = re.compile(r"\\\n")
_COMMENT: Final = re.compile(r"^\s*#.*\n", re.MULTILINE)
_FROM: Final = re.compile(r"(\S+) AS (\S+)", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Stage:
    """One target with all that it has from those below it."""

    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    folder: str = "/"
    user: str = ""

    def above(self) -> Stage:
        """Return a new stage that begins with this one's settings."""
        return Stage(
            environment=dict(self.environment),
            entrypoint=self.entrypoint,
            command=self.command,
            folder=self.folder,
            user=self.user,
        )


def stages(file: Path) -> Mapping[str, Stage]:
    """Return the file's targets by name."""
    text = _CONTINUED.sub(" ", _COMMENT.sub("", file.read_text(encoding="utf-8")))
    found: dict[str, Stage] = {}
    stage = Stage()
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM" and (names := _FROM.fullmatch(rest.strip())):
            stage = found[names[2]] = found.get(names[1], Stage()).above()
        else:
            _apply(stage, word, rest.strip())
    return found


def _apply(stage: Stage, word: str, rest: str) -> None:
    if word == "ENV":
        stage.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    elif word == "CMD":
        stage.command = tuple(json.loads(rest))
    elif word == "ENTRYPOINT":
        stage.entrypoint, stage.command = tuple(json.loads(rest)), ()
    elif word == "WORKDIR":
        stage.folder = rest
    elif word == "USER":
        stage.user = rest
