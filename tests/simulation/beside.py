"""What is made beside a result, watched from outside: sets of renditions, and an image's sizes.

A set that the record names is there with all of its files until the LMS confirms or its time is
up; so is whatever a URL opens that was handed out.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Final

from core.job import (
    Job,
    RenditionSet,
    State,
    part_key,
    set_key,
    subtitles_key,
    variant_key,
)
from core.ladder_pieces import PieceSet
from core.sets import MANIFEST, SetFile, SetGrant, StoredSet, read_stored
from tests.simulation.making import OF_A_SET, WHOLE
from tests.simulation.recordings import origin_of, sha256

if TYPE_CHECKING:
    from tests.simulation.promises import Promises

_WITH_OUTPUT: Final = frozenset({State.STORING, State.STORED, State.STORE_FAILED})
_NEEDS_SUBTITLES: Final = frozenset({State.QUEUED, State.PROCESSING})
_NO_SET: Final = "no set of renditions was made"
_MANIFEST: Final = f"/set/{MANIFEST}"
_LIST: Final = "-set"
_HOST: Final = "https://lectern.example/sets/"


class SimLinks:
    """Links whose proof is that nobody else makes any."""

    def url(self, grant: SetGrant, path: str) -> str:
        """Return a URL."""
        return f"{_HOST}{grant.run}.{grant.fence}.{grant.expires_at}/{path}"

    def grant(self, capability: str) -> SetGrant | None:
        """Return what a URL opens."""
        run, fence, expires_at = capability.removeprefix(_HOST).partition("/")[0].split(".")
        return SetGrant(run=run, fence=int(fence), expires_at=int(expires_at))


class Beside:
    """Raises Broken as soon as a promise about sets or sizes is."""

    def __init__(self, promises: Promises) -> None:
        self.sets: dict[str, frozenset[str]] = {}  # run: keys of the set that is recorded
        self.sizes: dict[str, Mapping[str, tuple[str, int]]] = {}  # run: digest, size by name
        self.granted: dict[str, float] = {}  # run: until when URLs open its set
        self.urls: list[str] = []
        self.confirmed: set[str] = set()
        self.links = SimLinks()
        self._promises = promises
        self._handed: dict[tuple[str, str], Hashable] = {}

    # --- objects ---------------------------------------------------------------------------
    def committed(self, key: str, run: str, data: bytes) -> None:
        """Watch a new object: what names others comes after them.

        A late worker may name what was deleted with its run: that is an orphan.
        """
        if not key.endswith((_MANIFEST, _LIST)):
            return
        fence = cut = int(key.split("/")[2])
        jobs = self._promises.world.jobs.held.values()
        job = next((job for job in jobs if job.run == run), None)
        if job is None or job.state is not State.PROCESSING:
            return
        if key.endswith(_MANIFEST) and job.fence == fence:
            self._expect_files(read_stored(data, run=run, fence=fence), key)
        elif key.endswith(_LIST) and job.board and job.board.cut == cut:
            for track in PieceSet.from_bytes(data).tracks:
                for file in track.files:
                    self._expect(part_key(run, cut, file.sha256), file.sha256, key)

    def deleted(self, key: str, run: str, job: Job | None) -> None:
        """Watch a deletion, before it has happened."""
        if job is not None and key == subtitles_key(run) and job.state in _NEEDS_SUBTITLES:
            self._promises.broken(f"{key} is deleted while {job.state}")
        if key in self.sets.get(run, ()):
            self._expect_over(run, job, key)
        if job is None or job.output is None or job.state not in _WITH_OUTPUT:
            return
        if any(key == each.key for each in job.output.variants):
            self._promises.broken(f"{key} is deleted while {job.state}")

    def _expect_over(self, run: str, job: Job | None, key: str) -> None:
        """A set goes with its confirmation, or when its time and that of its URLs is up."""
        if run in self.confirmed:
            return
        promises = self._promises
        now = promises.world.hub.now
        kept_until = self.granted.get(run, 0.0)
        if job is not None and job.state in _WITH_OUTPUT:
            promises.broken(f"{key} is deleted while {job.state}")
        if job is not None and job.state is State.COMPLETED:
            kept_until = max(
                kept_until, promises.ended_at[run] + promises.world.policy.confirm_ttl_s
            )
        if now < kept_until:
            promises.broken(f"{key} is deleted {kept_until - now:.1f} s before its time")

    # --- the record ------------------------------------------------------------------------
    def recorded(self, after: Job) -> None:
        """Watch a write of the record."""
        if after.history[-1].event == "Confirmed":
            self.confirmed.add(after.run)
        failure = after.failure
        if after.state is State.FAILED and failure is not None and OF_A_SET in failure.reason:
            self._promises.broken(f"{after.job_id}: a set that failed has failed its job")

    def encoded(self, job: Job) -> None:
        """Watch a result being recorded with what lies beside it."""
        if job.output is None:
            return
        ladder = job.output.ladder
        if ladder is not None:
            self._expect_set(job, ladder)
        elif job.order.ladder and not any(_NO_SET in words for words in job.warnings):
            self._promises.broken(f"{job.job_id}: no set, and nobody is told why")
        self._expect_sizes(job)

    def _expect_set(self, job: Job, ladder: RenditionSet) -> None:
        promises, key = self._promises, set_key(job.run, job.fence, MANIFEST)
        held = promises.world.objects.held.get(key)
        if job.order.ladder is None or ladder.manifest_key != key or ladder.fence != job.fence:
            promises.broken(f"{job.job_id}: a set that nobody ordered, or of another fence")
        if held is None:
            promises.broken(f"{job.job_id}: the set was recorded before it was durable")
        stored = read_stored(held[0], run=job.run, fence=job.fence)
        self._expect_files(stored, key)
        self._expect_segments(job, stored)
        self.sets[job.run] = frozenset((key, *(file.key for file in stored.files.values())))

    def _expect_segments(self, job: Job, stored: StoredSet) -> None:
        """The segments are of this recording, of one attempt, and in their places."""
        held = self._promises.world.objects.held
        origin = origin_of(held[job.source.key][0])
        segments = [file for file in stored.files.values() if file.role == "segment"]
        made = [held[file.key][0].decode().split("|") for file in segments]
        pieces = 1 if made[0][1] == WHOLE else (job.board.pieces if job.board else 0)
        wanted = [
            (piece, number)
            for piece in range(pieces)
            for number in range(sum(int(each[2]) == piece for each in made))
        ]
        places = [(int(each[2]), int(each[3])) for each in made]
        whole = places == wanted and {piece for piece, _ in places} == set(range(pieces))
        makers = {(each[2], each[4]) for each in made}
        if not whole or len({(each[0], each[1]) for each in made}) != 1 or made[0][0] != origin:
            self._promises.broken(f"{job.job_id}: a set of other segments: {made}")
        if len(makers) != pieces:
            self._promises.broken(f"{job.job_id}: a piece's segments are of two makers: {made}")
        self._promises.world.coverage["set", "whole" if pieces == 1 else "in pieces"] += 1

    def _expect_sizes(self, job: Job) -> None:
        """All sizes that were ordered lie beside the result, each with a passed verdict."""
        promises, output = self._promises, job.output
        variants = output.variants if output else ()
        ordered = tuple(name for name in job.order.variants if name != "original")
        if tuple(each.name for each in variants) != ordered:
            promises.broken(f"{job.job_id}: {ordered} were ordered")
        for each in variants:
            if each.key != variant_key(job.run, job.fence, each.name, each.suffix):
                promises.broken(f"{job.job_id}: a size of another fence: {each.key}")
            self._expect(each.key, each.sha256, "the record")
            if (job.source.sha256, each.sha256) not in promises.verified:
                promises.broken(f"{job.job_id}: a size without a passed verdict")
        self.sizes[job.run] = {each.name: (each.sha256, each.size) for each in variants}

    # --- what the LMS gets -----------------------------------------------------------------
    def handed(self, run: str, by: str, fields: Hashable, url: str | None) -> None:
        """Watch what the LMS got of a run: the same at each attempt; the URL may live longer."""
        promises, first = self._promises, self._handed.setdefault((run, by), fields)
        if first != fields:
            promises.broken(f"{run}: the LMS gets other words or files than at first")
        if (url is not None) != (run in self.sets):
            promises.broken(f"{run}: the set's URL is {url}")
        if url is not None:
            self.opened(url)
            promises.world.coverage["set", "handed over"] += 1

    def opened(self, url: str) -> None:
        """Watch a URL that somebody is told: it opens a set that is there."""
        grant = self.links.grant(url)
        if grant is None or not url.endswith(f"/{MANIFEST}"):
            self._promises.broken(f"{url} opens nothing")
        if set_key(grant.run, grant.fence, MANIFEST) not in self.sets.get(grant.run, ()):
            self._promises.broken(f"{url} is that of another fence")
        self.granted[grant.run] = max(grant.expires_at, self.granted.get(grant.run, 0.0))
        self.urls.append(url)
        self.expect_open(grant.run)

    def expect_open(self, run: str) -> None:
        """Check that all files of a set are there, if a URL still opens it."""
        if run in self.confirmed or self._promises.world.hub.now >= self.granted.get(run, 0.0):
            return
        missing = self.sets[run] - self._promises.world.objects.held.keys()
        if missing:
            self._promises.broken(f"a URL opens a set that lacks {sorted(missing)}")

    def may_be_gone(self, grant: SetGrant) -> bool:
        """Tell whether a player may hear that the set is gone."""
        return grant.run in self.confirmed or self._promises.world.hub.now >= grant.expires_at

    # --- how it is done --------------------------------------------------------------------
    def _expect_files(self, stored: StoredSet, key: str) -> None:
        for file in stored.files.values():
            self._expect_file(file, key)

    def _expect_file(self, file: SetFile, key: str) -> None:
        self._expect(file.key, file.sha256, key)
        if self._promises.world.objects.held[file.key][1].size != file.size:
            self._promises.broken(f"{file.key} has another size than {key} says")

    def _expect(self, key: str, digest: str, namer: str) -> None:
        held = self._promises.world.objects.held.get(key)
        if held is None:
            self._promises.broken(f"{namer} names {key}, which is not there")
        if sha256(held[0]) != digest:
            self._promises.broken(f"{key} is not what {namer} says")
