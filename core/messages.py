"""What travels on the bus: small, versioned, each a bounded piece of work.

A message is a hint, never the truth: the job's record decides whether there is anything to do.
`run` names the upload that the message is about, so that a message left over from an earlier
upload under the same id is recognised and dropped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from core import limits
from core.errors import BadMessage

VERSION: Final = 1
PIECE_VERSION: Final = 2
"""Of messages about one piece of a job, which releases before pieces cannot know."""


class Topic(StrEnum):
    """Queues of the bus: encoding must not stand in the way of delivery."""

    TRANSCODE = "transcode"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One piece of work for the run of a job.

    `(topic, job_id, run, piece)` identifies the work: publishing the same again is harmless.
    `piece` is the number of a piece, or None for the job's own step.
    `traceparent` travels beside the message, as an attribute, and is no part of what it says.
    """

    topic: Topic
    job_id: str
    run: str
    piece: int | None = None
    traceparent: str | None = field(default=None, compare=False)

    def to_bytes(self) -> bytes:
        """Return the message as it travels: UTF-8 JSON."""
        fields: dict[str, object] = {
            "v": VERSION if self.piece is None else PIECE_VERSION,
            "topic": self.topic,
            "job_id": self.job_id,
            "run": self.run,
        }
        if self.piece is not None:
            fields["piece"] = self.piece
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Message:
        """Read a message; raises BadMessage for anything that `to_bytes` does not write."""
        if len(data) > limits.MESSAGE_BYTES_MAX:
            raise BadMessage(f"message of {len(data)} bytes is over {limits.MESSAGE_BYTES_MAX}")
        try:
            fields = json.loads(data)
            version = fields.pop("v")
            if type(version) is not int or version not in {VERSION, PIECE_VERSION}:
                raise BadMessage(f"message version is not {VERSION} or {PIECE_VERSION}")
            piece = _piece(fields.pop("piece")) if version == PIECE_VERSION else None
            if not all(isinstance(value, str) for value in fields.values()):
                raise BadMessage("message fields must be strings")
            if fields.keys() != {"topic", "job_id", "run"}:
                raise BadMessage("message must have topic, job_id and run, and nothing else")
            topic = Topic(fields["topic"])
            return cls(topic=topic, job_id=fields["job_id"], run=fields["run"], piece=piece)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadMessage(f"not a message: {error}") from error


def _piece(value: object) -> int:
    if type(value) is not int or not 0 <= value < limits.PIECES_MAX:
        raise BadMessage("the number of a piece is out of range")
    return value
