"""Reads compose.yaml as an engine does, with what the images bring of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy import dockerfile
from tests.service.harness import ROOT

FILE: Final = ROOT / "compose.yaml"
_DEFAULT: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
"""`${NAME:-default}`, the one form that the file uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What an engine would start. `target` is the Dockerfile's; None for a foreign image."""

    name: str
    target: str | None
    command: tuple[str, ...]
    own_command: bool
    environment: Mapping[str, str]
    own_environment: Mapping[str, str]
    ports: tuple[str, ...]
    published: tuple[str, ...]
    check: tuple[str, ...]
    waits_for: Mapping[str, str]
    restart: str
    said: Mapping[str, Any]

    @property
    def one_shot(self) -> bool:
        """Return whether it ends when its work is done."""
        return self.restart == "no"


def services(file: Path = FILE) -> Mapping[str, Service]:
    """Return the file's services by name, in its order."""
    text = _DEFAULT.sub(lambda match: match[2], file.read_text(encoding="utf-8"))
    said: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)["services"]
    return {name: _service(name, entry) for name, entry in said.items()}


def _service(name: str, said: Mapping[str, Any]) -> Service:
    target = said["build"]["target"] if "build" in said else None
    image = dockerfile.environment(target) if target else {}
    started = dockerfile.targets()[target].command() if target else ()
    own: dict[str, str] = said.get("environment", {})
    check = said.get("healthcheck", {}).get("test", [])
    return Service(
        name=name,
        target=target,
        command=tuple(said.get("command", started)),
        own_command="command" in said,
        environment={**image, **own},
        own_environment=own,
        ports=tuple(said.get("expose", ())),
        published=tuple(said.get("ports", ())),
        check=tuple(check[1:]) if check[:1] == ["CMD"] else (),
        waits_for={other: how["condition"] for other, how in said.get("depends_on", {}).items()},
        restart=said["restart"],
        said=said,
    )
