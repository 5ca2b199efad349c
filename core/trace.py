"""The trace that a recording belongs to, as it travels: https://www.w3.org/TR/trace-context/.

One trace spans receive, transcode, store and confirm: the job's record keeps the `traceparent`
of the upload, messages and deliveries carry it on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

HEADER: Final = "traceparent"
"""Name of the HTTP header and of the message attribute."""
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
_SAMPLED: Final = 0x01
"""The one flag of version 00."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traceparent:
    """A span in a trace: 32 and 16 lower-case hex digits, neither all zero."""

    trace_id: str
    span_id: str
    sampled: bool = False

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """Return what `text` says; None for none, or one of another form: a trace is no duty."""
        match = _TRACEPARENT.fullmatch(text or "")
        if match is None:
            return None
        trace_id, span_id, flags = match.groups()
        return cls(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & _SAMPLED))

    def child(self, span_id: str) -> Self:
        """Return a span of the same trace."""
        return replace(self, span_id=span_id)

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"
