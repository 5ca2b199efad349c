"""How results are shown and kept: tables, a line for each goal, and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import machine

OUT: Final = machine.ROOT / "bench" / "out"
"""Where the JSON files go, and the temporary folders: on the same disk as the project."""


class BenchFailed(Exception):
    """A benchmark cannot go on; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound from above; `value` is None where it could not be measured, `note` a reservation."""

    what: str
    value: float | None
    limit: float
    unit: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met, or None where there is no figure."""
        return None if self.value is None else self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One benchmark's result; `figures` and `options` are JSON values."""

    name: str
    options: Mapping[str, object]
    figures: Mapping[str, object]
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()


def publish(report: Report, facts: Mapping[str, object]) -> None:
    """Print the report and write `bench/out/<name>.json`; `facts` is the machine before the run."""
    console = Console()
    for table in report.tables:
        console.print(table)
    for goal in report.goals:
        console.print(_verdict(goal), soft_wrap=True)
    path = OUT / f"{report.name}.json"
    path.write_text(json.dumps(_document(report, facts), indent=2) + "\n")
    console.print(f"Written to {path.relative_to(machine.ROOT)}", end="\n\n")


def _document(report: Report, facts: Mapping[str, object]) -> dict[str, object]:
    return {
        "benchmark": report.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "versions": machine.versions(),
        "options": report.options,
        "goals": [{**asdict(goal), "met": goal.met} for goal in report.goals],
        "figures": report.figures,
    }


def _verdict(goal: Goal) -> str:
    if goal.value is None:
        return f"[yellow]NOT JUDGED[/] {goal.what}"
    word = "[green]MET[/]" if goal.met else "[red]MISSED[/]"
    note = f" [yellow]({goal.note})[/]" if goal.note else ""
    bound = f"at most {goal.limit:g}{goal.unit}"
    return f"{word} {goal.what}: {goal.value:.4g}{goal.unit}, {bound}{note}"
