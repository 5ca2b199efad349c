"""Trees that deliver by the real SFTP adapter to a real server, and rounds of such jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from core.images import Variant as Size
from core.job import State
from infra import wiring
from infra.embedded.jobs import SqliteJobStore
from infra.settings import load
from tests import planted
from tests.crash.lms_side import ConfirmApi, Storage
from tests.crash.rounds import SMALL, Round, recording_of
from tests.crash.scenery import DEPOT, picture_of, result_of
from tests.crash.stage import Stage, playing
from tests.crash.tree import Nursery, Tree
from tests.crash.watchman import Watchman
from tests.service.harness import lms_for
from tests.sftp.keys import KeyFile
from tests.sftp.servers import Server, in_process, openssh

_NOTICES_MAX: Final = 10_000
"""More than an LMS is told in any run of these tests."""


@dataclass(slots=True, kw_only=True)
class PlacingRound(Round):
    """Jobs that go by SFTP; the LMS's storage is looked at as the LMS sees it."""

    storage: Path
    api: ConfirmApi

    def check(self) -> None:
        """Hold every job, and all that stands in the storage, against the promises."""
        for video_id, kind in self.ids.items():
            job = self.jobs().get(video_id)
            assert job is not None, video_id
            assert job.state is State.COMPLETED
            self._check_history(job)
            told = [one for one in self.api.told if one["mediaId"] == video_id]
            assert told, f"nobody was told of {video_id}"
            assert all(one == told[0] for one in told), "the LMS is told the same each time"
            assert told[0]["id"] == job.delivery_id
            main = Path(told[0]["filePath"]).read_bytes()
            assert job.output is not None
            assert sha256(main).hexdigest() == job.output.sha256
            found = {name: Path(path).read_bytes() for name, path in paths_in(told[0]).items()}
            assert found == wanted_of(recording_of(video_id, kind), kind)
        known = {path for one in self.api.told for path in paths_in(one).values()}
        stored = {str(path) for path in self.storage.rglob("*") if path.is_file()}
        assert stored == known, "in the LMS's storage stands what it was told of, and nothing else"


def paths_in(notice: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths that an LMS was told, by what stands there; the result has no name."""
    return {"": notice["filePath"], **notice.get("variants", {})}


def wanted_of(source: bytes, kind: str) -> dict[str, bytes]:
    """Return what must stand in the storage."""
    if kind != "image":
        return {"": result_of(source)}
    return {"": picture_of(source, Size.ORIGINAL), SMALL: picture_of(source, SMALL)}


Serve = Callable[[Path, Watchman], AbstractContextManager[Server]]


def asyncssh_server(
    folder: Path, watchman: Watchman, *, key: KeyFile, cut_after: int | None = None
) -> AbstractContextManager[Server]:
    """Give a server in this process, which has points of its own; see `Storage` for the cuts."""
    behaviour = partial(Storage, watchman=watchman, begun=set(), cut_after=cut_after)
    return in_process(folder, host_keys=[key], user_key=key, behaviour=behaviour)


def openssh_server(
    folder: Path, _watchman: Watchman, *, key: KeyFile, options: str = ""
) -> AbstractContextManager[Server]:
    """Give OpenSSH's server; `options` go to its SFTP part."""
    return openssh(folder, host_keys=[key], user_key=key, options=options)


@contextmanager
def placing(folder: Path, trees: Nursery, serve: Serve, *, kind: str = "large") -> Iterator[Stage]:
    """Give a running tree with its LMS, whose storage and API live here; `kind` is of its jobs."""
    data = folder / "data"
    (folder / "server").mkdir(parents=True)
    watchman = Watchman(data.with_name("data.arm"), "lms")
    with lms_for(data) as lms, serve(folder / "server", watchman) as server:
        secret = wiring.webhook_secrets(load({"lectern_data_dir": data}))[0]
        api = ConfirmApi(watchman=watchman, secret=secret)
        lms.behave(*[api] * _NOTICES_MAX)
        tree = Tree(
            folder=data,
            lms_url=lms.url,
            environment={**_settings(server), "CLIENT_CONFIRM_API": lms.url},
            nursery=trees,
        )
        assert tree.arm_file == data.with_name("data.arm")

        def order(stage: Stage, name: str) -> PlacingRound:
            return PlacingRound(
                tree=stage.tree,
                lms=stage.lms,
                jobs=lambda: SqliteJobStore(data / "jobs.db"),
                name=name,
                kinds=(kind,),
                storage=server.folder,
                api=api,
            )

        with playing(tree, lms, order) as stage:
            yield stage
        planted.assert_hidden(tree.log, *data.glob("*.db*"))


def _settings(server: Server) -> dict[str, str]:
    return {
        DEPOT: "",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(server.port),
        "SFTP_USER": server.user,
        "SFTP_PASSWORD": "",
        "SFTP_PRIVATE_KEY": str(server.user_key.path),
        "SFTP_KNOWN_HOSTS": server.known_hosts(),
        "SFTP_FINGERPRINT": "",
        "SFTP_VIDEOS": str(server.folder / "videos"),
        "SFTP_IMAGES": str(server.folder / "images"),
    }
