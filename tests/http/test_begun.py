"""What the beginning of a request says of the rest."""

from __future__ import annotations

import pytest

from core import limits
from infra.http_begun import Begun

SHORT = limits.CONFIRM_BYTES_MAX
ENOUGH = SHORT + 1
REQUEST = "POST /somewhere HTTP/1.1"


def head(*headers: str) -> bytes:
    """Return a request's head."""
    return "\r\n".join((REQUEST, "Host: x", *headers, "", "")).encode()


def chunk(data: bytes, *, extension: bytes = b"") -> bytes:
    """Return one chunk of a body."""
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def parked(data: bytes) -> Begun:
    """Return a request that a thread has given back."""
    begun = Begun(data)
    begun.park()
    return begun


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_is_not_whole_waits_for_the_rest(data: bytes) -> None:
    begun = Begun(data)
    assert not begun.has_head
    assert not begun.is_servable


def test_a_head_without_an_end_is_refused() -> None:
    assert Begun(b"GET / HTTP/1.1\r\n" + b"a" * 70_000).is_servable


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Length: 0",),
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: abc",),
    ],
)
def test_a_request_without_a_body_or_with_one_in_doubt_is_served_at_once(
    headers: tuple[str, ...],
) -> None:
    begun = Begun(head(*headers))
    assert begun.is_servable
    assert begun.has_begun


def test_a_short_body_is_gathered_before_a_thread_sees_it() -> None:
    whole = head("Content-Length: 10") + b"0123456789"
    begun = Begun()
    for at in range(len(whole)):
        assert not begun.is_servable
        begun.take(whole[at : at + 1])
    assert begun.is_servable
    assert begun.has_begun


@pytest.mark.parametrize(
    "headers",
    [
        (f"Content-Length: {SHORT + 1}",),
        ("Content-Length: 99999999999999999999999999",),
        (f"content-length:\t{'0' * 40}90000 ",),
        ("Content-Length: 100", "Expect: 100-continue"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: gzip", "transfer-encoding:CHUNKED"),
    ],
)
def test_any_other_body_is_looked_at_when_its_head_is_there_and_read_when_it_has_begun(
    headers: tuple[str, ...],
) -> None:
    """So a refusal comes before the body, and no thread waits for its first bytes."""
    begun = Begun(head(*headers))
    assert begun.is_servable
    assert not begun.has_begun
    begun.park()
    assert not begun.is_servable
    assert not begun.is_padded
    begun.end()
    assert begun.is_servable


def test_a_long_body_has_begun_when_more_has_come_than_a_short_one_has() -> None:
    begun = parked(head("Content-Length: 1000000"))
    begun.take(bytes(SHORT))
    assert not begun.is_servable
    begun.take(b"x")
    assert begun.is_servable


def test_a_short_body_that_was_asked_for_has_begun_when_it_is_whole() -> None:
    begun = parked(head("Content-Length: 10", "Expect: 100-continue"))
    begun.take(b"012345678")
    assert not begun.is_servable
    begun.take(b"9")
    assert begun.is_servable


@pytest.mark.parametrize("trailer", [b"\r\n", b"Digest: x\r\n\r\n"])
@pytest.mark.parametrize("extension", [b"", b";name=value"])
def test_a_chunked_body_has_begun_with_its_last_byte(trailer: bytes, extension: bytes) -> None:
    body = chunk(b"video", extension=extension) + chunk(b"_id" * 50) + b"0\r\n" + trailer
    begun = parked(head("Transfer-Encoding: chunked"))
    for at in range(len(body)):
        assert not begun.is_servable
        begun.take(body[at : at + 1])
    assert begun.is_servable


def test_a_chunked_body_has_begun_when_enough_has_come_in_however_many_chunks() -> None:
    for size in (4, 100, 5000, 2 * ENOUGH):
        begun = parked(head("Transfer-Encoding: chunked"))
        came = 0
        while not begun.is_servable:
            begun.take(chunk(bytes(size))[:-2])
            came += size
            begun.take(b"\r\n")
            assert not begun.is_padded
        assert came - size < ENOUGH <= came


@pytest.mark.parametrize("body", [b"zz\r\n", b"-5\r\n", b"\r\n", b"3\r\nabcdef"])
def test_chunks_that_are_none_are_for_gunicorn_to_refuse(body: bytes) -> None:
    assert parked(head("Transfer-Encoding: chunked") + body).is_servable


@pytest.mark.parametrize("body", [b"1" * 140_000, chunk(b"x", extension=b";" + b"e" * 999) * 140])
def test_much_that_holds_little_is_not_waited_for(body: bytes) -> None:
    begun = parked(head("Transfer-Encoding: chunked") + body)
    assert not begun.is_servable
    assert begun.is_padded
    begun.end()
    assert begun.is_servable
    assert begun.data == head("Transfer-Encoding: chunked"), "what came is not read either"
