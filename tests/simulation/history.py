"""Runs histories, and tells of one that broke a promise."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.simulation.schedule import Broken
from tests.simulation.stage import installed
from tests.simulation.trouble import Coverage
from tests.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A history that broke a promise."""

    seed: int
    what: str


def run(seed: int, coverage: Coverage, *, tracing: bool = False) -> tuple[Finding | None, World]:
    """Run the history of a seed; the stage must be set."""
    world = World(seed, coverage, tracing=tracing)
    try:
        world.storm()
        world.settle()
    except Broken as broken:
        return Finding(seed=seed, what=str(broken)), world
    if world.found is not None:
        return Finding(seed=seed, what=world.found), world
    coverage["histories"] += 1
    coverage["calls"] += world.trouble.calls
    return None, world


def first_broken(seeds: Iterable[int], coverage: Coverage | None = None) -> Finding | None:
    """Return the first of these histories that breaks a promise, or None."""
    coverage = Counter() if coverage is None else coverage
    with installed():
        for seed in seeds:
            found, _ = run(seed, coverage)
            if found is not None:
                return found
    return None


def replay(
    seed: int, mutant: Callable[[], contextlib.AbstractContextManager[None]] | None = None
) -> str:
    """Return the trace of a history, readable."""
    with installed(), mutant() if mutant else contextlib.nullcontext():
        _, world = run(seed, Counter(), tracing=True)
    return "\n".join(world.trouble.trace or ())
