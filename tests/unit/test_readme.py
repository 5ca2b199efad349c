"""The README tells the truth about settings, errors and routes."""

from __future__ import annotations

import re
from pathlib import Path

from core import errors
from infra.settings import Settings

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
NEEDED = {
    "google_cloud_project": "with `gcp`",
    "lectern_bucket": "with `gcp`",
    "internal_service_key": "with `gcp`, at both doors",
    "webhook_secret": "with `gcp`, to deliver and for sets",
}


def settings_rows() -> list[str]:
    """Return the rows that the settings table must have."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "one a core, at most 5" if field.default_factory else _shown(field.default)
        required = NEEDED.get(name, "no")
        rows.append(f"| `{name.upper()}` | {field.description} | {required} | {default} |")
    return rows


def _shown(default: object) -> str:
    if default == ():
        return "made at the first start"
    return "none" if default in {None, ""} else f"`{default}`"


def test_the_settings_table_is_the_settings() -> None:
    """Every setting with its description and default, and none that does not exist."""
    found = [line for line in README.splitlines() if re.match(r"\| `[A-Z_]+` \|", line)]
    assert found == settings_rows()


def test_every_error_of_the_api_is_explained() -> None:
    """Each code that a caller can meet stands in the README."""
    codes = {leaf.code for leaf in _leaves(errors.LecternError)}
    between_workers = {leaf.code for leaf in _leaves(errors.ProtocolError)} - {"missing_object"}
    codes -= between_workers | {errors.Interrupted.code}
    missing = [code for code in codes if f"`{code}`" not in README]
    assert missing == []


def _leaves(kind: type[errors.LecternError]) -> list[type[errors.LecternError]]:
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [kind]
