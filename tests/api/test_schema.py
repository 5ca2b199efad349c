"""Requests made from `/openapi.json`, in all of schemathesis' phases.

Examples, coverage, fuzzing and sequences of calls; every answer must be one that the description
names, of its form, and never a 5xx. All of it follows from one printed seed: LECTERN_SEED.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.api.served import serving
from tests.http.door import KEY, Door, a_door

SEED: Final = int(os.environ.get("LECTERN_SEED", "") or secrets.randbelow(1 << 32))
TORTURE: Final = bool(os.environ.get("LECTERN_TORTURE"))
_SIZE: Final = os.environ.get("LECTERN_API_EXAMPLES", "")
EXAMPLES: Final = int(_SIZE or ("1000" if TORTURE else "23"))
"""What fuzzing tries of each operation, and how many sequences of calls."""
SERVER_EXAMPLES: Final = int(_SIZE or "300")
"""The same over the real server: 6,000 requests of 20 to 30 ms each, so three or four minutes."""
PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")
_LOOSE: Final = {
    "ignored_auth": "every route and kind of key is in test_keys; it fails on WSGI by itself",
    "positive_data_acceptance": "a file must be a recording, which no schema can say",
    "negative_data_rejection": "unknown fields are passed over by contract",
    "unsupported_method": "OPTIONS and HEAD are answered without a line in the description",
}
"""Checks that are not made, each with its reason."""


def _configuration(examples: int = EXAMPLES) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"X-API-Key": KEY},
            "generation": {"max-examples": examples, "database": "none", "no-shrink": not TORTURE},
            "checks": {name: {"enabled": False} for name in _LOOSE},
        }
    )


def _run(schema: Any) -> Counter[str]:
    """Run every phase and return how many requests each made; fails with what went wrong."""
    made: Counter[str] = Counter()
    wrong: dict[tuple[str, str, str], str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong[type(event).__name__, str(event), ""] = ""
        if not isinstance(event, events.ScenarioFinished):
            continue
        made[event.phase.value] += len(event.recorder.cases)
        for checks in event.recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    key = (check.name, event.recorder.label, str(failure.message)[:500])
                    wrong.setdefault(key, check.failure_info.code_sample)
    print(f"seed {SEED}: {dict(made)}")  # noqa: T201 - pytest shows it when the test fails
    assert not wrong, f"LECTERN_SEED={SEED}: {wrong}"
    return made


@pytest.fixture
def door() -> Door:
    """Return the app over fakes, with some work done."""
    return a_door()


@pytest.mark.timeout(3600 if TORTURE else 300)
def test_the_app_keeps_its_description(door: Door) -> None:
    """Receiver and confirmer in one app, over fakes."""
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", door.app, config=_configuration(), headers={"X-API-Key": KEY}
    )
    made = _run(schema)
    assert min(made[phase] for phase in PHASES) > 0
    errors = [fields for name, fields in door.world.log.events if name == "http.internal_error"]
    assert errors == []


def test_a_service_that_does_not_keep_it_is_noticed(door: Door) -> None:
    """A store that does not answer is a 503, which the other runs never see."""
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", door.app, config=_configuration(), headers={"X-API-Key": KEY}
    )
    door.world.jobs.broken = True
    with pytest.raises(AssertionError, match="not_a_server_error"):
        _run(schema.include(path="/metrics"))


@pytest.mark.skipif(not TORTURE, reason="the long form: LECTERN_TORTURE=1")
@pytest.mark.timeout(3600)
def test_the_server_keeps_its_description(tmp_path: Path) -> None:
    """The same requests through gunicorn, over a folder of objects."""
    with serving(tmp_path) as service:
        schema = schemathesis.openapi.from_url(
            f"{service.url}/openapi.json",
            config=_configuration(SERVER_EXAMPLES),
            headers={"X-API-Key": KEY},
        )
        made = _run(schema)
        assert min(made[phase] for phase in PHASES) > 0
        assert service.is_well()
