"""The API against a small model of what it must answer, call after call.

Callers of both contracts and of direct uploads, workers, time and sweeps, in any order; each
answer is compared with what the model of the job says. hypothesis prints the calls that lead to
a difference, and `LECTERN_SEED` repeats a whole run.
"""
# ruff: noqa: D102 - a rule's name is its sentence

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.events import Claimed, Delivered, DeliveryRefused, Failed
from core.job import output_key
from functions.sweep import remove_orphans, wake_jobs
from functions.uploads import tend_uploads
from tests.fakes import a_failure, an_encoded, put, sha256_of
from tests.http import forms
from tests.http.door import KEYS, UPLOAD_TTL_S, a_door
from tests.http.forms import Lecture

TORTURE: Final = bool(os.environ.get("LECTERN_TORTURE"))
RUNS: Final = int(os.environ.get("LECTERN_MODEL_RUNS", "5000" if TORTURE else "60"))
IDS: Final = st.sampled_from(["v-1", "v-2"])
ORGANIZATIONS: Final = st.sampled_from(["org-1", "org-1", "org-1", "org-2"])
FILES: Final = (forms.recording(300), forms.recording(300, filler=b"another "))
WHICH: Final = st.sampled_from([0, 0, 0, 1])
_RESULT: Final = b"a result"
_AGAIN: Final = {"failed", "expired"}
"""States in which an id may be sent anew."""
_TO_CONFIRM: Final = {"storing", "stored", "store_failed", "completed"}
_TTL_S: Final = 24 * 3600.0


@dataclass(slots=True)
class Known:
    """What the model knows of a job: its state since when, whose it is, and of which file.

    `again` says that the id had a job before, `storing_since` when its delivery began.
    """

    state: str
    organization: str
    file: int
    since: float
    again: bool = False
    storing_since: float = 0.0

    @property
    def may_be_confirmed(self) -> bool:
        """Whether there is a result; one that nobody was sent is not meant where one was before."""
        is_unsent = self.state == "storing" and self.again
        return self.state in _TO_CONFIRM and not is_unsent


@dataclass(slots=True)
class Sending:
    """What the model knows of a direct upload."""

    id: str
    url: str
    video_id: str
    organization: str
    file: int
    ends_at: float
    held: int = 0
    status: str = "open"


class Api(RuleBasedStateMachine):
    """Everybody who calls, works or sweeps."""

    def __init__(self) -> None:
        super().__init__()
        self.door = a_door()
        self.world = self.door.world
        self.jobs: dict[str, Known] = {}
        self.uploads: list[Sending] = []

    # --- callers ------------------------------------------------------------------------------

    @rule(video_id=IDS, organization=ORGANIZATIONS, which=WHICH)
    def receive(self, video_id: str, organization: str, which: int) -> None:
        form = Lecture(video_id=video_id, organization_id=organization, data=FILES[which])
        self._sent(self.door.receive(form.body()).status_code, video_id, organization, which)

    @rule(media_id=IDS, organization=ORGANIZATIONS, which=WHICH, slash=st.sampled_from(["", "/"]))
    def compress(self, media_id: str, organization: str, which: int, slash: str) -> None:
        body = forms.form(
            forms.text("organization_id", organization),
            forms.file(FILES[which]),
            forms.text("media_id", media_id),
        )
        headers = {**KEYS, "Content-Type": forms.CONTENT_TYPE}
        answer = self.door.client.post(f"/compress{slash}", data=body, headers=headers)
        self._sent(answer.status_code, media_id, organization, which)

    @rule(video_id=st.sampled_from(["v-1", "v-2", "v-3"]))
    def status(self, video_id: str) -> None:
        answer = self.door.get(f"/status/{video_id}?detail")
        known = self.jobs.get(video_id)
        assert answer.status_code == (200 if known else 404)
        if known:
            body = answer.get_json()
            assert (body["state"], body["organization_id"]) == (known.state, known.organization)
            assert body["source"]["sha256"] == sha256_of(FILES[known.file])

    @rule(video_id=IDS, digest=st.sampled_from([None, None, sha256_of(_RESULT), "0" * 64]))
    def confirm(self, video_id: str, digest: str | None) -> None:
        fields = {"video_id": video_id} | ({"sha256": digest} if digest else {})
        status, known = self.door.confirm(fields).status_code, self.jobs.get(video_id)
        if known is None:
            assert status == 404
        elif known.state == "expired":
            assert status == 410
        elif not known.may_be_confirmed or digest == "0" * 64:
            assert status == 409
        else:
            assert status == 200
            self._is("completed", known)

    # --- direct uploads -----------------------------------------------------------------------

    @rule(video_id=IDS, organization=ORGANIZATIONS, which=WHICH)
    def begin_upload(self, video_id: str, organization: str, which: int) -> None:
        digest = sha256_of(FILES[which])
        members = {"video_id": video_id, "organization_id": organization, "sha256": digest}
        answer = self.door.announce(FILES[which], **members)
        assert answer.status_code == (201 if self._may_send(video_id, organization, which) else 409)
        if answer.status_code == 201:
            said = answer.get_json()
            url = said["upload_url"].removeprefix("http://localhost")
            ends_at = self.world.clock.now() + UPLOAD_TTL_S
            self.uploads.append(
                Sending(said["upload_id"], url, video_id, organization, which, ends_at)
            )

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), much=st.sampled_from([1, 100, 300, 300]))
    def put(self, data: st.DataObject, much: int) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        body = FILES[upload.file][upload.held : upload.held + much]
        span = f"bytes {upload.held}-{upload.held + len(body) - 1}/300" if body else "bytes */300"
        status = self.door.put(upload.url, body, span).status_code
        if self._is_closed(upload):
            assert status in {404, 410} or (upload.status == "received" and status == 200)
            return
        upload.held += len(body)
        assert status == (308 if upload.held < 300 else 200)
        if upload.held == 300:
            self._arrived(upload)

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        status = self.door.complete(upload.id).status_code
        if upload.status == "open":
            assert status in ({409} if self.world.clock.now() < upload.ends_at else {409, 410, 404})
        elif upload.status == "received":
            assert status in {200, 404}  # forgotten with its job
        else:
            assert status in {409, 410, 404}

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def call_off(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        status = self.door.client.delete(upload.url).status_code
        if self._is_closed(upload):
            assert status in {404, 410}
        else:
            assert status == 204
            upload.status = "refused"

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def upload_status(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        answer = self.door.get(f"/uploads/{upload.id}")
        if answer.status_code == 404:
            assert self._is_closed(upload)
            return
        body = answer.get_json()
        assert body["video_id"] == upload.video_id
        late = self.world.clock.now() >= upload.ends_at
        assert body["status"] == upload.status or (late and body["status"] == "refused")
        if body["status"] == "open":
            assert body["received_bytes"] == upload.held or late

    # --- workers, time ------------------------------------------------------------------------

    @rule(video_id=IDS, goes_well=st.sampled_from([True, True, False]))
    def work(self, video_id: str, *, goes_well: bool) -> None:
        known = self.jobs.get(video_id)
        if known is None or known.state not in {"queued", "storing"}:
            return
        ledger = self.world.ledger
        job = ledger.apply(video_id, Claimed())
        if known.state == "storing":
            refused = DeliveryRefused(fence=job.fence, failure=a_failure("store_gone"))
            ledger.apply(video_id, Delivered(fence=job.fence) if goes_well else refused)
            self._is("stored" if goes_well else "store_failed", known)
        elif goes_well:
            put(self.world.objects, output_key(job.run, job.fence), _RESULT)
            ledger.apply(video_id, an_encoded(job.run, job.fence, data=_RESULT))
            self._is("storing", known)
        else:
            ledger.apply(video_id, Failed(fence=job.fence, failure=a_failure()))
            self._is("failed", known)

    @rule(seconds=st.sampled_from([1.0, 61.0, 3601.0, 43_200.0, 86_401.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        wake_jobs(self.world.ledger)
        tend_uploads(self.world.ledger, self.door.sessions, ttl_s=UPLOAD_TTL_S)
        remove_orphans(self.world.ledger, grace_s=3600)
        now = self.world.clock.now()
        for known in self.jobs.values():
            kept_until = known.since + _TTL_S
            if known.state == "store_failed":
                window_s = self.world.ledger.policy.store_retry_for_s
                kept_until = max(kept_until, known.storing_since + window_s)
            if known.state in {"stored", "store_failed"} and now >= kept_until:
                self._is("expired", known)

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def no_defect_was_met(self) -> None:
        assert "http.internal_error" not in self.world.log.names()

    @invariant()
    def what_is_over_is_deleted(self) -> None:
        for video_id, known in self.jobs.items():
            if known.state in {"completed", "expired"}:
                run = self.world.ledger.read(video_id).run
                assert not list(self.world.objects.list(f"outputs/{run}/"))

    # --- the model ----------------------------------------------------------------------------

    def _may_send(self, video_id: str, organization: str, which: int) -> bool:
        known = self.jobs.get(video_id)
        if known is None:
            return True
        mine = known.organization == organization
        return mine and (known.state in _AGAIN or known.file == which)

    def _sent(self, status: int, video_id: str, organization: str, which: int) -> None:
        allowed = self._may_send(video_id, organization, which)
        assert status == (200 if allowed else 409)
        if allowed:
            self._submitted(video_id, organization, which)

    def _submitted(self, video_id: str, organization: str, which: int) -> None:
        known = self.jobs.get(video_id)
        if known is None or known.state in _AGAIN:
            now = self.world.clock.now()
            again = known is not None
            self.jobs[video_id] = Known("queued", organization, which, now, again=again)
        elif known.state == "store_failed":
            self._is("storing", known)

    def _arrived(self, upload: Sending) -> None:
        allowed = self._may_send(upload.video_id, upload.organization, upload.file)
        upload.status = "received" if allowed else "refused"
        if allowed:
            self._submitted(upload.video_id, upload.organization, upload.file)

    def _is_closed(self, upload: Sending) -> bool:
        return upload.status != "open" or self.world.clock.now() >= upload.ends_at

    def _is(self, state: str, known: Known) -> None:
        if state != known.state:
            known.state, known.since = state, self.world.clock.now()
            if state == "storing":
                known.storing_since = known.since


@pytest.mark.timeout(7200 if TORTURE else 300)
def test_the_api_answers_as_its_model_does() -> None:
    """Sequences of 25 calls; the sum of all pauses stays below the time that records are kept."""
    chosen = int(os.environ.get("LECTERN_SEED", "") or 0)
    machine = seed(chosen)(Api) if chosen else Api
    bounds = settings(max_examples=RUNS, stateful_step_count=25, deadline=None, print_blob=True)
    run_state_machine_as_test(machine, settings=bounds)
