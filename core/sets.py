"""A set of renditions as it is kept, and as it is handed out: by URLs that live for a while.

The set's own manifest, the object that is committed last, names each file with its size, digest
and type. What callers get is made of it: the same with a URL for each file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core import limits
from core.errors import BadMessage
from core.job import Job, Policy, RenditionSet, SetTrack, State, run_of, set_key
from core.order import Delivery
from core.views import View, timestamp

MANIFEST: Final = "manifest.json"
"""The path of the manifest in a set, and the last part of the URL of the one handed out."""
FORMAT: Final = 1
"""Version of the manifest that is handed out."""
_STORED: Final = 1
_ENTRIES: Final = ("hls", "dash", "poster", "storyboard", "chapters")
"""Roles of files that something begins with: each is there once at most."""
_LIVE: Final = frozenset({State.STORING, State.STORED, State.STORE_FAILED})
"""States in which the objects of a result are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGrant:
    """What a URL of a set opens: all files of the set made under `fence`, until `expires_at`.

    `expires_at` are whole seconds since the epoch.
    """

    run: str
    fence: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFile:
    """A file of a set. `path` is its name in the set, `role` what it is there for.

    What a piece gave lies under a `key` of its own, all else under that of its path.
    """

    path: str
    role: str
    media_type: str
    size: int
    sha256: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """A set's own manifest: all that it says, and the files by their paths."""

    said: Mapping[str, Any]
    files: Mapping[str, SetFile]


def read_stored(data: bytes, *, run: str, fence: int) -> StoredSet:
    """Return the manifest that was committed with a set; raises BadMessage."""
    try:
        said = json.loads(data)
        if said["version"] != _STORED:
            raise BadMessage(f"a set of format {said['version']}, not {_STORED}")
        files = [_file(entry, run, fence) for entry in said["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadMessage(f"no manifest of a set: {type(error).__name__}") from error
    if len(files) > limits.SET_FILES_MAX:
        raise BadMessage(f"a set of {len(files)} files, more than {limits.SET_FILES_MAX}")
    return StoredSet(said=said, files={file.path: file for file in files})


def summary(stored: StoredSet, *, run: str, fence: int) -> RenditionSet:
    """Return what the record keeps of a set."""
    return RenditionSet(
        fence=fence,
        manifest_key=set_key(run, fence, MANIFEST),
        size=sum(file.size for file in stored.files.values()),
        files=len(stored.files),
        tracks=tuple(_track(said) for said in stored.said["renditions"]),
    )


def grant_of(job: Job, now: float, policy: Policy) -> SetGrant | None:
    """Return what a URL for `job`'s set may open if it is made now; None without a set.

    It lives as long as the objects do if the LMS takes the result now; once it has, until they
    are deleted. A worker's `job` is as it was when the worker took it: after the lease another may
    have handed the result over, so what comes later prolongs nothing.
    """
    if job.output is None or job.output.ladder is None or not _keeps(job):
        return None
    if job.state is State.COMPLETED and now >= job.history[-1].at + policy.confirm_ttl_s:
        return None  # its deletion has begun, which may not be recorded yet
    held_until = now if job.lease_until is None else min(now, job.lease_until)
    taken_now = job.state is State.STORING
    soonest = held_until + policy.confirm_ttl_s  # also when a failed delivery is begun anew
    kept_until = soonest if taken_now else min(job.wake_at, soonest)
    fence = job.output.ladder.fence
    return SetGrant(run=job.run, fence=fence, expires_at=int(kept_until))


def is_kept(job: Job | None, grant: SetGrant) -> bool:
    """Return whether `job` still has the set that `grant` opens."""
    return (
        job is not None
        and job.run == grant.run
        and _keeps(job)
        and job.output is not None
        and job.output.ladder is not None
        and job.output.ladder.fence == grant.fence
    )


def _keeps(job: Job) -> bool:
    """Return whether the objects are kept: a result that went by file is completed before."""
    if job.state is State.COMPLETED:
        return job.order.delivery is Delivery.SFTP and not job.cleaned
    return job.state in _LIVE


def manifest(
    stored: StoredSet, *, video_id: str, expires_at: float, url: Callable[[str], str]
) -> View:
    """Return the manifest that is handed out: JSON values, a URL for each file.

    `url(path)` is the URL of a file. `entry_points` names the files that a player begins with.
    """
    files = stored.files.values()
    return {
        "format": FORMAT,
        "video_id": video_id,
        "expires_at": timestamp(expires_at),
        "duration_s": stored.said["duration_s"],
        "bytes": sum(file.size for file in files),
        "entry_points": {
            **{file.role: url(file.path) for file in files if file.role in _ENTRIES},
            "subtitles": [
                {"language": text["language"], "url": url(text["file"])}
                for text in stored.said["subtitles"]
            ],
        },
        "renditions": stored.said["renditions"],
        "warnings": stored.said["warnings"],
        "files": [
            {
                "path": file.path,
                "url": url(file.path),
                "bytes": file.size,
                "sha256": file.sha256,
                "content_type": file.media_type,
                "role": file.role,
            }
            for file in files
        ],
    }


def max_age_s(grant: SetGrant, now: float) -> int:
    """Return for how many seconds a cache may keep a file of the set."""
    return int(min(max(grant.expires_at - now, 0.0), limits.SET_CACHED_S))


def _file(entry: Mapping[str, Any], run: str, fence: int) -> SetFile:
    path = str(entry["name"])
    key = str(entry.get("key") or set_key(run, fence, path))
    if run_of(key) != run:
        raise BadMessage("a file of a set lies outside of its run")
    return SetFile(
        path=path,
        role=str(entry["role"]),
        media_type=str(entry["type"]),
        size=int(entry["bytes"]),
        sha256=str(entry["sha256"]),
        key=key,
    )


def _track(said: Mapping[str, Any]) -> SetTrack:
    return SetTrack(
        name=said["name"],
        codecs=said["codecs"],
        size=said["bytes"],
        average_rate=said["average_bits_per_s"],
        peak_rate=said["peak_bits_per_s"],
        width=said.get("width", 0),
        height=said.get("height", 0),
    )
