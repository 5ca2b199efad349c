"""Cloud Storage's sessions join the suite of direct uploads."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from core.errors import LecternError, Unavailable
from core.ports import Session
from infra.gcp.sessions import CloudSessions
from tests.contracts.direct_uploads import (
    DATA,
    KEY,
    SIZE,
    STEP,
    DirectUploadsContract,
    DirectUploadsRig,
    begin,
)
from tests.gcp.fixtures import StorageRig
from tests.gcp.storage_server import Answer, Cut, LoseAnswer


class Refused(LecternError):
    """Cloud Storage answered with an error."""


def put(session: Session, key: str, data: bytes, *, start: int = 0, size: int = SIZE) -> None:
    """PUT as a caller does, without any credentials but the URL's."""
    del key
    span = f"bytes {start}-{start + len(data) - 1}/{size}"
    answer = requests.put(
        session.url, data=data, headers={"Content-Range": span}, timeout=10, allow_redirects=False
    )
    if answer.status_code not in {200, 201, 308}:
        raise Refused(str(answer.status_code))


class TestCloudSessions(DirectUploadsContract):
    """Against the storage server in this process."""

    @pytest.fixture(autouse=True)
    def _join(self, storage: StorageRig) -> None:
        self.storage = storage

    def make(self, folder: Path) -> DirectUploadsRig:
        """Return sessions on an empty bucket."""
        del folder
        return DirectUploadsRig(
            sessions=CloudSessions(self.storage.store()),
            objects=self.storage.store(),
            clock=self.storage.clock,
            put=put,
            reopen=lambda: CloudSessions(self.storage.store()),
        )

    def test_the_type_and_size_are_announced_to_cloud_storage(self, rig: DirectUploadsRig) -> None:
        begin(rig)
        (session,) = self.storage.bucket.sessions.values()
        assert (session.content_type, session.announced) == ("video/mp4", SIZE)
        assert session.generation_match == 0

    @pytest.mark.parametrize("origin", [None, "https://lms.example.org"])
    def test_a_session_is_begun_in_the_name_of_the_pages_that_may_send(
        self, origin: str | None
    ) -> None:
        """A browser shows a page no answer of a session that was begun for another origin."""
        sessions = CloudSessions(self.storage.store(), origin=origin)
        sessions.begin(KEY, size=SIZE, content_type="video/mp4", expires_at=0.0)
        (session,) = self.storage.bucket.sessions.values()
        assert session.origin == origin

    def test_what_was_cut_is_told_as_cloud_storage_tells_it(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        self.storage.bucket.break_next("direct", Cut(after=2 * STEP + 100))
        with pytest.raises(requests.ConnectionError):
            put(session, KEY, DATA)
        assert rig.sessions.persisted(KEY, session.handle) == 2 * STEP

    def test_a_session_that_has_aged_is_gone(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        self.storage.bucket.expire_sessions()
        assert rig.sessions.persisted(KEY, session.handle) is None
        rig.sessions.cancel(KEY, session.handle)

    @pytest.mark.parametrize("fault", [Answer(status=503), LoseAnswer()])
    def test_an_error_does_not_quote_the_url(
        self, rig: DirectUploadsRig, fault: Answer | LoseAnswer
    ) -> None:
        session = begin(rig)
        for kind in ("query", "cancel"):
            self.storage.bucket.break_next(kind, fault)
        with pytest.raises(Unavailable) as asked:
            rig.sessions.persisted(KEY, session.handle)
        with pytest.raises(Unavailable) as ended:
            rig.sessions.cancel(KEY, session.handle)
        for caught in (asked, ended):
            assert "upload_id" not in str(caught.value)
            hidden = caught.value.__suppress_context__
            assert hidden or caught.value.__context__ is None  # requests quotes it
