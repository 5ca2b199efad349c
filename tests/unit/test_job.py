"""Ids, and where a run's objects lie."""

from __future__ import annotations

import dataclasses

import pytest

from core import limits
from core.errors import InvalidId
from core.job import (
    PREFIXES,
    RESTARTABLE,
    UNFINISHED,
    Policy,
    State,
    check_id,
    output_key,
    run_of,
    run_prefixes,
    source_key,
)
from core.submission import receive
from tests.fakes import START, an_upload

RUN = "0b6f3f0c-31a5-4c8e-9d4b-3f1a54b1f1a2"


@pytest.mark.parametrize(
    "value",
    ["a", "7", "Ab9", RUN, "course-v1:Uni+Physik~1@2026=A", "a.._", "x" * limits.ID_CHARS_MAX],
)
def test_an_id_that_is_safe_everywhere_is_taken_as_it_is(value: str) -> None:
    assert check_id("video_id", value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        " a",
        "a ",
        "a b",
        "a\n",
        "a\x00",
        "../a",
        ".a",
        "-a",
        "_a",
        "a/b",
        "a\\b",
        "a%2fb",
        "a?b",
        "a#b",
        "a;b",
        "ä",
        "a\u0660",
        "\U0001d41a",
        "x" * (limits.ID_CHARS_MAX + 1),
    ],
    ids=ascii,
)
def test_an_id_that_is_not_is_refused_by_its_fields_name(value: str) -> None:
    with pytest.raises(InvalidId, match=r"^organization_id must have 1 to 128 characters"):
        check_id("organization_id", value)


def test_all_objects_of_a_run_lie_under_its_prefixes() -> None:
    keys = [source_key(RUN), output_key(RUN, 1), output_key(RUN, 2)]
    assert len(set(keys)) == 3
    assert all(key.startswith(run_prefixes(RUN)) for key in keys)
    assert not any(key.startswith(run_prefixes(RUN[:-1])) for key in keys)
    assert len(run_prefixes(RUN)) == len(PREFIXES)


@pytest.mark.parametrize("key", [source_key(RUN), output_key(RUN, 7), f"pieces/{RUN}/1/2.mkv"])
def test_an_object_tells_its_run(key: str) -> None:
    assert run_of(key) == RUN


@pytest.mark.parametrize("key", ["", "uploads", "uploads/", f"uploads/{RUN}", f"other/{RUN}/x"])
def test_an_object_of_another_layout_has_no_run(key: str) -> None:
    assert run_of(key) is None


def test_the_delivery_id_is_the_runs_own() -> None:
    job, _ = receive(None, an_upload(run=RUN), START, Policy())
    assert job.delivery_id == f"msg_{RUN}"


def test_a_job_cannot_be_changed_in_place() -> None:
    job, _ = receive(None, an_upload(), START, Policy())
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.fence = 2  # type: ignore[misc]  # what is tried here


def test_a_state_is_not_both_unfinished_and_restartable() -> None:
    assert not UNFINISHED & RESTARTABLE
    assert set(State) >= UNFINISHED | RESTARTABLE
