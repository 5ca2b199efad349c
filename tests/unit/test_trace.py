"""The trace context as it travels: what is taken, what is dropped, what is written."""

from __future__ import annotations

import pytest

from core.trace import Traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_what_is_written_is_read_again(flags: str) -> None:
    """A header comes out as it went in."""
    text = f"00-{TRACE}-{SPAN}-{flags}"
    assert str(Traceparent.read(text)) == text


def test_a_child_stays_in_the_trace() -> None:
    """Only the span is new."""
    parent = Traceparent(trace_id=TRACE, span_id=SPAN, sampled=True)
    assert str(parent.child("1" * 16)) == f"00-{TRACE}-{'1' * 16}-01"


def test_a_later_version_is_read_as_the_first() -> None:
    """The specification wants the fields that are known to be understood."""
    assert str(Traceparent.read(f"cc-{TRACE}-{SPAN}-01")) == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
    ],
)
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    """A caller's mistake costs the trace, never the recording."""
    assert Traceparent.read(text) is None
