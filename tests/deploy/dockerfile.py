"""Reads the Dockerfile as far as the tests ask for it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True, kw_only=True)
class Stage:
    """One stage: what it stands on, and its instructions in their order."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        """Return the arguments of each instruction of this kind."""
        return [text for word, text in self.instructions if word == keyword]

    def command(self) -> list[str]:
        """Return CMD's words."""
        words: list[str] = json.loads(self.all("CMD")[-1])
        return words

    def copies(self) -> list[tuple[str | None, str]]:
        """Return the stage (None for the build's context) and the source of each COPY."""
        found = [text.split() for text in self.all("COPY")]
        return [
            (words[0].removeprefix("--from="), source)
            if words[0].startswith("--from=")
            else (None, source)
            for words in found
            for source in [word for word in words if not word.startswith("--")][:-1]
        ]


def stages() -> dict[str, Stage]:
    """Return the stages by name."""
    found: dict[str, Stage] = {}
    latest: Stage | None = None
    for word, text in _instructions():
        if word == "FROM":
            base, _, name = text.split()
            latest = found[name] = Stage(name=name, base=base)
        elif latest is not None:
            latest.instructions.append((word, text))
    return found


def arguments() -> dict[str, str]:
    """Return the default of each ARG."""
    given = (text.partition("=") for word, text in _instructions() if word == "ARG")
    return {name: value.strip('"') for name, _, value in given}


def targets() -> dict[str, Stage]:
    """Return the stages that can be started: those with a command."""
    return {name: stage for name, stage in stages().items() if stage.all("CMD")}


def services() -> dict[str, Stage]:
    """Return the targets that are deployed."""
    return {name: stage for name, stage in targets().items() if name != "dev"}


def environment(name: str) -> dict[str, str]:
    """Return the variables that a container of this stage starts with."""
    stage = stages().get(name)
    if stage is None:
        return {}  # a foreign base
    own = (word.partition("=") for text in stage.all("ENV") for word in shlex.split(text))
    return environment(stage.base) | {name: value for name, _, value in own}


def left_out(stage: Stage) -> set[str]:
    """Return the packages of the lock that the stage's environment was freed of."""
    known = stages()
    gone: set[str] = set()
    for source, path in stage.copies():
        name = source if path == "/venv" else None
        while name in known:
            for command in known[name].all("RUN"):
                for argument in re.findall(r"uninstall --yes \$\{(\w+)\}", command):
                    gone |= set(arguments()[argument].split())
            name = known[name].base
    return gone


def _instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    whole = re.sub(r"\\\n\s*", " ", text).splitlines()
    parts = (line.partition(" ") for line in whole if line.strip())
    return [(word, rest.strip()) for word, _, rest in parts]
