"""Reads Terraform modules as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import hcl2

TERRAFORM: Final = Path(__file__).resolve().parents[2] / "terraform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource block: its type, its name in the module, and its arguments."""

    kind: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """The blocks of a folder's `.tf` files. Expressions stand as `${…}`, strings unquoted."""

    locals: Mapping[str, Any]
    resources: tuple[Resource, ...]
    calls: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]

    def all(self, kind: str) -> tuple[Resource, ...]:
        """Return the resources of a type."""
        return tuple(resource for resource in self.resources if resource.kind == kind)

    def one(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return the arguments of a resource."""
        (found,) = (resource for resource in self.all(kind) if resource.name == name)
        return found.body


def module(name: str) -> Module:
    """Return the module in `terraform/modules/<name>`."""
    return _read(TERRAFORM / "modules" / name)


def modules() -> Iterator[tuple[str, Module]]:
    """Yield every module and the example root with its name."""
    for folder in sorted((TERRAFORM / "modules").iterdir()):
        yield folder.name, _read(folder)
    yield "example", _read(TERRAFORM / "example")


@cache
def _read(folder: Path) -> Module:
    files = [_plain(_load(path)) for path in sorted(folder.glob("*.tf"))]
    assert files, f"{folder} has no Terraform files"
    return Module(
        locals=_merged(block for file in files for block in file.get("locals", ())),
        resources=tuple(
            Resource(kind=kind, name=name, body=body)
            for file in files
            for block in file.get("resource", ())
            for kind, named in block.items()
            for name, body in named.items()
        ),
        calls=_merged(block for file in files for block in file.get("module", ())),
        variables=_merged(block for file in files for block in file.get("variable", ())),
        outputs=_merged(block for file in files for block in file.get("output", ())),
    )


def _load(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return hcl2.load(file)


def _merged(blocks: Iterator[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for block in blocks for name, value in block.items()}


def _plain(value: Any) -> Any:
    """Take the parser's marks away, and the quotes off strings and names."""
    match value:
        case dict():
            marks = ("__is_block__", "__comments__", "__inline_comments__")
            return {_text(key): _plain(own) for key, own in value.items() if key not in marks}
        case list():
            return [_plain(item) for item in value]
        case str():
            return _text(value)
        case _:
            return value


def _text(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:  # quotes of its own inside `${…}`, which are no strings to us
            return value[1:-1]
    return value
