"""Direct uploads as they are announced, and what became of them: two small objects a run.

Both are written once and never changed, so the first to write an outcome decides it. They lie
under a run's prefixes and go with its other objects.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

from core import limits
from core.errors import AlreadyExists, MissingObject, UnreadableRecord
from core.job import declaration_key, outcome_key, run_of
from core.ports import ObjectStore

Kind = TypeVar("Kind", "Declaration", "Outcome")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, str]": (dict,),
}
"""What stands in a document for a field of each annotation that the two classes have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """An announced upload: what shall come, until when, and the handle of its session.

    `order` is what `core.order.order_fields` made of the order.
    """

    run: str
    video_id: str
    organization_id: str
    size: int
    content_type: str
    sha256: str | None
    created_at: float
    expires_at: float
    handle: str = field(repr=False)
    traceparent: str | None = None
    order: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an upload: it is part of the job `video_id`, or was refused with `code`."""

    video_id: str
    code: str | None = None
    reason: str | None = None


def write_declaration(objects: ObjectStore, declared: Declaration) -> None:
    """Commit the declaration; raises AlreadyExists for a run that has one."""
    _write(objects, declaration_key(declared.run), asdict(declared))


def read_declaration(objects: ObjectStore, run: str) -> Declaration | None:
    """Return the declaration of a run, or None for a run that was not declared.

    Fields that a later release has written are passed over. Raises UnreadableRecord for one that
    cannot be understood.
    """
    return _read(objects, declaration_key(run), Declaration)


def settle(objects: ObjectStore, run: str, outcome: Outcome) -> Outcome:
    """Record what became of the run, and return it; what was recorded before stands."""
    try:
        _write(objects, outcome_key(run), asdict(outcome))
    except AlreadyExists:
        return read_outcome(objects, run) or outcome
    return outcome


def read_outcome(objects: ObjectStore, run: str) -> Outcome | None:
    """Return what became of the run, or None while nothing has."""
    return _read(objects, outcome_key(run), Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a listing tells of a declared run: since when, and whether its outcome is known."""

    since: float
    is_settled: bool


def declared_runs(objects: ObjectStore) -> Mapping[str, Declared]:
    """Return every run that was declared; one listing, nothing is read."""
    known: dict[str, Declared] = {}
    for item in objects.list("declared/"):
        run = run_of(item.key)
        if run is None:
            continue
        before = known.get(run, Declared(since=item.committed_at, is_settled=False))
        known[run] = Declared(
            since=min(before.since, item.committed_at),
            is_settled=before.is_settled or item.key == outcome_key(run),
        )
    return known


def token_digest(token: str) -> str:
    """Return what is kept of a session's token: enough to know it again."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def admits(declared: Declaration, token: str) -> bool:
    """Tell whether `token` opens the session, in a time that does not depend on either."""
    return hmac.compare_digest(token_digest(token), declared.handle)


def _write(objects: ObjectStore, key: str, said: Mapping[str, Any]) -> None:
    data = json.dumps(said, separators=(",", ":")).encode()
    with objects.create(key, expected_bytes=len(data)) as writer:
        writer.write(data)
        writer.commit()


def _read(objects: ObjectStore, key: str, kind: type[Kind]) -> Kind | None:
    try:
        with objects.open(key) as body:
            data = b"".join(_pieces(body.read))
    except MissingObject:
        return None
    try:
        return kind(**_members(kind, json.loads(data)))
    except (ValueError, TypeError, AttributeError) as error:
        reason = f"{key} cannot be understood: {type(error).__name__}"
        raise UnreadableRecord(reason) from error


def _members(kind: type[Kind], said: Any) -> Mapping[str, Any]:
    """Return what `kind` has a field for; raises TypeError where something else stands there."""
    types = {each.name: _TYPES[str(each.type)] for each in fields(kind)}
    known = {name: value for name, value in said.items() if name in types}
    if wrong := [name for name, value in known.items() if not isinstance(value, types[name])]:
        raise TypeError(f"{wrong[0]} has another type")
    return known


def _pieces(read: Any) -> Iterator[bytes]:
    return iter(lambda: read(limits.SMALL_BODY_BYTES), b"")
