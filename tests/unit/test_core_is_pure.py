"""The core is pure, and no room of the house is too large."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = (
    "core",
    "receiver",
    "transcoder",
    "confirmer",
    "functions",
    "infra",
    "lectern",
)
BANNED_IMPORTS: Final = frozenset(
    {
        "asyncio",
        "concurrent",
        "ctypes",
        "fcntl",
        "ftplib",
        "glob",
        "http.client",
        "http.server",
        "importlib",
        "io",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "platform",
        "random",
        "secrets",
        "select",
        "selectors",
        "shelve",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
    }
)
BANNED_CALLS: Final = frozenset(
    {
        "__import__",
        "breakpoint",
        "compile",
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "eval",
        "exec",
        "input",
        "open",
        "print",
    }
)
PATH_ALLOWED_IN: Final = "ports.py"
FUNCTION_LINES_MAX: Final = 50
MODULE_LINES_MAX: Final = 400


def modules(*packages: str) -> list[Path]:
    """Return the modules of the packages."""
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    """Return the module's path within the project."""
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported, in full: `http.HTTPStatus` for `from http import HTTPStatus`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = "." * node.level + (node.module or "")
            yield from (f"{parent}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[str]:
    """Yield the names of what is called, as they are written."""
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def is_under(name: str, packages: frozenset[str]) -> bool:
    """Tell whether a dotted name is one of `packages` or lies in one."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in packages for end in range(1, len(parts) + 1))


def impurities(source: str, name: str) -> list[str]:
    """Return what a module of the core may not do, and does."""
    tree = ast.parse(source)
    allowed = sys.stdlib_module_names | {"core"}
    banned = BANNED_IMPORTS | (set() if name.endswith(PATH_ALLOWED_IN) else {"pathlib"})
    found = [f"imports {each}" for each in imports(tree) if each.split(".")[0] not in allowed]
    found += [f"imports {each}" for each in imports(tree) if is_under(each, frozenset(banned))]
    return found + [f"calls {each}" for each in calls(tree) if each in BANNED_CALLS]


@pytest.mark.parametrize("path", modules("core"), ids=name_of)
def test_the_core_does_no_io_and_knows_only_itself_and_the_standard_library(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import os.path",
        "from os import path",
        "import http.client",
        "from http import client",
        "from time import monotonic",
        "import requests",
        "from infra import wiring",
        "from .job import Job",
        "from pathlib import Path",
        "def f():\n    import uuid",
        "print('x')",
        "x = [open(name) for name in names]",
        "now = datetime.now()",
    ],
)
def test_the_check_of_purity_finds_what_it_looks_for(source: str) -> None:
    assert impurities(source, "job.py") != []


@pytest.mark.parametrize(
    "source",
    ["from http import HTTPStatus", "from datetime import UTC", "now = clock.now()", "import re"],
)
def test_the_check_of_purity_lets_pass_what_is_pure(source: str) -> None:
    assert impurities(source, "job.py") == []
    assert impurities("from pathlib import Path", PATH_ALLOWED_IN) == []


def test_no_function_is_longer_than_fifty_lines() -> None:
    long = []
    for path in modules(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{name_of(path)}:{node.lineno} {node.name}: {lines} lines")
    assert long == []


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    counted = ((name_of(path), lines_in(path)) for path in modules(*PACKAGES))
    assert [f"{name}: {lines} lines" for name, lines in counted if lines > MODULE_LINES_MAX] == []


def lines_in(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())
