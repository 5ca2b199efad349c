"""Whoever finishes a direct upload and sleeps over it records nothing that is gone."""

from __future__ import annotations

from typing import Any

import pytest

import core.declarations
import core.uploads
from core.errors import Unavailable
from core.events import Cancelled
from core.job import State, source_key
from core.uploads import Announcement, begin_upload, finish_upload
from functions.sweep import remove_orphans
from tests.fake_sessions import MemorySessions
from tests.fakes import a_world, an_upload, put
from tests.http.forms import recording

GRACE_S = 3600.0
TTL_S = 600.0
DATA = recording(5000)


def test_a_source_that_was_removed_meanwhile_begins_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another finishes the upload as a duplicate, its source goes as an orphan, the id is free."""
    world = a_world()
    sessions = MemorySessions(world.objects)
    put(world.objects, source_key("run-0"), DATA)
    world.ledger.receive(an_upload("v", run="run-0", data=DATA))
    said = Announcement(
        video_id="v", organization_id="org-1", size=len(DATA), content_type="video/mp4"
    )
    begin_upload(said, run="run-1", ledger=world.ledger, sessions=sessions, ttl_s=TTL_S)
    sessions.release(source_key("run-1"))
    put(world.objects, source_key("run-1"), DATA)
    asked = []

    def read_outcome(objects: Any, run: str) -> Any:
        asked.append(run)
        if len(asked) == 2:  # between looking at the source and recording it
            finish_upload(run, ledger=world.ledger, sessions=sessions)
            world.ledger.apply("v", Cancelled())
            world.clock.advance(GRACE_S + TTL_S + 1)
            remove_orphans(world.ledger, grace_s=GRACE_S)
            remove_orphans(world.ledger, grace_s=GRACE_S)
        return core.declarations.read_outcome(objects, run)

    monkeypatch.setattr(core.uploads, "read_outcome", read_outcome)
    with pytest.raises(Unavailable):
        finish_upload("run-1", ledger=world.ledger, sessions=sessions)
    keys = world.objects.keys()
    assert source_key("run-1") not in keys
    assert world.ledger.read("v").state is State.CANCELLED
