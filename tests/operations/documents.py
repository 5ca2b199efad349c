"""What stands in `docs/operations.md` and in Terraform's monitoring module: queries and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import hcl2

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```(\w+) (\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MODULE: Final = ROOT / "terraform" / "modules" / "monitoring"


def page() -> str:
    """Return the page for operators."""
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def blocks(language: str, text: str | None = None) -> dict[str, str]:
    """Return the page's named blocks of one language; raises ValueError for a name used twice."""
    found: dict[str, str] = {}
    for kind, name, body in _BLOCK.findall(page() if text is None else text):
        if kind == language:
            if name in found:
                raise ValueError(f"two blocks of {language} are called {name}")
            found[name] = body.strip()
    return found


def metric_filters() -> dict[str, str]:
    """Return the filters of Terraform's metrics and alerts, each joined with the scope."""
    found = _locals("filters.tf")
    scope = _plain(found["scope"]).replace("${var.name}", "lectern")
    return {name: f"{scope} AND {_plain(text)}" for name, text in _members(found["filters"])}


def metric_fields() -> Iterator[tuple[str, str]]:
    """Yield each filter of a metric with a field of the payload that the metric takes from it."""
    found = _locals("metrics.tf")
    organization = found["organization"]
    for kind in ("counters", "distributions"):
        for name, metric in _members(found[kind]):
            chosen = _plain(metric["filter"]) if "filter" in metric else name
            if "field" in metric:
                yield chosen, _plain(metric["field"])
            labels = metric["labels"]
            for _, field in _members(organization if isinstance(labels, str) else labels):
                yield chosen, _plain(field)


def alert_titles() -> list[str]:
    """Return what the alerts are called, without the deployment's name."""
    found = _locals("alerts.tf")
    titles = [
        _plain(alert["title"]) for kind in ("lines", "rates") for _, alert in _members(found[kind])
    ]
    titles += [f"{queue} messages are stuck" for queue, _ in _members(found["queues"])]
    for text in re.findall(
        r'^  display_name += "\$\{var\.name\}: ([^"]+)"$', _read("alerts.tf"), re.MULTILINE
    ):
        if "${" not in text:
            titles.append(text)
    return titles


def extracted_by_alerts() -> set[str]:
    """Return the fields of the payload that alerts on single lines show."""
    return set(re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", _read("alerts.tf")))


def _locals(name: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in hcl2.loads(_read(name))["locals"]:
        merged.update(each)
    return merged


def _read(name: str) -> str:
    return (_MODULE / name).read_text(encoding="utf-8")


def _members(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((_plain(name), value) for name, value in block.items() if not name.startswith("__"))


def _plain(text: str) -> str:
    """Return a string of HCL without its quotation marks."""
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text
