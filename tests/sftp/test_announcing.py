"""Telling the LMS where a result was put."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from standardwebhooks import Webhook, WebhookVerificationError

from core import limits
from core.delivery import Answered, Unanswered
from core.placement import Notice
from infra.announcing import ConfirmApi
from lectern.example_lms import ExampleLms
from lectern.lms_behaviours import (
    Moment,
    Visit,
    answer,
    answer_at_length,
    drip_headers,
    drop,
    redirect,
    reject_early,
    talk_garbage,
)
from tests.contracts.parcels import OTHER_SECRET, SECRET

PATH = "/public_html/videos/0b6e3f1c.mp4"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHORT_S = 0.4
LONG_S = 30.0


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    """Yield an LMS that listens."""
    with ExampleLms(secret=SECRET, folder=tmp_path / "lms") as lms:
        yield lms


def notice_of(**fields: Any) -> Notice:
    """Return a notice of a video."""
    usual: dict[str, Any] = {
        "delivery_id": "msg_7c1e",
        "media_id": "lecture-42",
        "file_path": PATH,
        "sent_at": int(time.time()),
    }
    return Notice(**{**usual, **fields})


def api_at(
    url: str,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    answer_s: float = LONG_S,
    total_s: float = LONG_S,
) -> ConfirmApi:
    """Return an announcer to `url`."""
    return ConfirmApi(
        url=url,
        secrets=secrets,
        connect_timeout_s=5,
        answer_timeout_s=answer_s,
        total_timeout_s=total_s,
    )


class Taken:
    """What a request to the API held."""

    def __init__(self, status: int = 200) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self._status = status

    def __call__(self, visit: Visit) -> Response:
        """Take the notice."""
        self.body = visit.request.get_data()
        self.headers = dict(visit.request.headers)
        return Response(status=self._status)


def verified(taken: Taken, secret: str = SECRET) -> Any:
    """Return what the body says, verified as the LMS would with Standard Webhooks."""
    headers = {name.lower(): value for name, value in taken.headers.items()}
    return Webhook(secret).verify(taken.body, headers)


def test_the_path_is_told_in_the_words_of_the_contract(lms: ExampleLms) -> None:
    lms.behave(taken := Taken())
    assert api_at(lms.url).announce(notice_of()) == Answered(status=200)
    assert taken.body == f'{{"mediaId":"lecture-42","filePath":"{PATH}"}}'.encode()
    assert taken.headers["Content-Type"] == "application/json"
    assert taken.headers["Content-Length"] == str(len(taken.body))
    assert taken.headers["User-Agent"].startswith("Lectern/")


def test_further_files_are_told_by_what_they_are(lms: ExampleLms) -> None:
    lms.behave(taken := Taken())
    api_at(lms.url).announce(notice_of(others=(("thumbnail", "/i/t.webp"), ("large", "/i/l.webp"))))
    assert json.loads(taken.body)["variants"] == {"thumbnail": "/i/t.webp", "large": "/i/l.webp"}


def test_the_notice_is_signed_over_its_plain_body(lms: ExampleLms) -> None:
    lms.behave(taken := Taken())
    api_at(lms.url).announce(notice_of(media_id="Vorlesung-ä"))
    assert verified(taken)["mediaId"] == "Vorlesung-ä"
    assert taken.headers["Webhook-Id"] == "msg_7c1e"
    taken.body += b" "
    with pytest.raises(WebhookVerificationError):
        verified(taken)


@pytest.mark.parametrize("secrets", [(OTHER_SECRET, SECRET), (SECRET, OTHER_SECRET)])
def test_while_secrets_are_rotated_either_fits(lms: ExampleLms, secrets: tuple[str, ...]) -> None:
    lms.behave(taken := Taken())
    api_at(lms.url, secrets=secrets).announce(notice_of())
    assert [verified(taken, secret)["filePath"] for secret in secrets] == [PATH, PATH]


def test_an_old_notice_is_noticed(lms: ExampleLms) -> None:
    lms.behave(taken := Taken())
    api_at(lms.url).announce(notice_of(sent_at=int(time.time()) - 3600))
    with pytest.raises(WebhookVerificationError):
        verified(taken)


def test_the_trace_goes_along_where_there_is_one(lms: ExampleLms) -> None:
    lms.behave(taken := Taken(), without := Taken())
    api_at(lms.url).announce(notice_of(traceparent=TRACE))
    api_at(lms.url).announce(notice_of())
    assert taken.headers["Traceparent"] == TRACE
    assert "Traceparent" not in without.headers


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 404, 410, 429, 500, 599])
def test_every_status_is_reported_as_it_is(lms: ExampleLms, status: int) -> None:
    lms.behave(answer(status))
    assert api_at(lms.url).announce(notice_of()) == Answered(status=status)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("120", 120), ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("soon", None), ("-5", None)],
)
def test_retry_after_is_read(lms: ExampleLms, value: str, expected: float | None) -> None:
    lms.behave(answer(503, Retry_After=value))
    outcome = api_at(lms.url).announce(notice_of())
    assert outcome == Answered(status=503, retry_after_s=expected)


def test_a_redirect_is_not_followed(lms: ExampleLms, tmp_path: Path) -> None:
    with ExampleLms(secret=SECRET, folder=tmp_path / "elsewhere") as elsewhere:
        lms.behave(redirect(elsewhere.url))
        assert api_at(lms.url).announce(notice_of()) == Answered(status=307)
        assert elsewhere.requests == 0


def test_an_endless_answer_is_cut_off(lms: ExampleLms) -> None:
    lms.behave(answer_at_length(200, 100 * limits.GIB))
    begun = time.monotonic()
    assert api_at(lms.url).announce(notice_of()) == Answered(status=200)
    assert time.monotonic() - begun < limits.ANSWER_BODY_S_MAX


@pytest.mark.parametrize(
    ("answer_s", "total_s", "reason"),
    [(LONG_S, SHORT_S, "not finished in 0.4 s"), (SHORT_S, LONG_S, "no answer in 0.4 s")],
)
def test_an_api_that_drips_is_left(
    lms: ExampleLms, answer_s: float, total_s: float, reason: str
) -> None:
    def swallow_and_drip(visit: Visit) -> Response:
        return drip_headers(0.02)(replace_store(visit))

    lms.behave(swallow_and_drip)
    outcome = api_at(lms.url, answer_s=answer_s, total_s=total_s).announce(notice_of())
    assert outcome == Unanswered(reason=reason)


def replace_store(visit: Visit) -> Visit:
    """Return the visit of an LMS that keeps nothing."""
    return replace(visit, store=lambda _later: Response())


@pytest.mark.parametrize("moment", list(Moment))
def test_a_dropped_connection_is_no_answer(lms: ExampleLms, moment: Moment) -> None:
    lms.behave(drop(moment))
    outcome = api_at(lms.url).announce(notice_of())
    assert isinstance(outcome, Unanswered)
    assert outcome.reason.startswith("connection lost")


def test_an_answer_that_is_no_http_is_none(lms: ExampleLms) -> None:
    lms.behave(talk_garbage)
    outcome = api_at(lms.url).announce(notice_of())
    assert outcome == Unanswered(reason="the answer is not HTTP")


def test_a_refusal_before_the_notice_was_read_is_seen(lms: ExampleLms) -> None:
    lms.behave(reject_early(413))
    assert api_at(lms.url).announce(notice_of()) == Answered(status=413)


def test_neither_secrets_nor_the_query_show(lms: ExampleLms) -> None:
    url = lms.url.replace("://", "://hush-user:hush-word@") + "?token=hush-token"
    api = api_at(url)
    lms.behave(answer(500), drop(Moment.BEFORE_BODY))
    shown = [repr(api), *(repr(api.announce(notice_of())) for _ in range(2))]
    assert not [text for text in shown if "hush" in text or SECRET in text]


def test_credentials_of_the_url_are_sent_as_such(lms: ExampleLms) -> None:
    lms.behave(taken := Taken())
    api_at(lms.url.replace("://", "://user:word@")).announce(notice_of())
    assert taken.headers["Authorization"] == "Basic dXNlcjp3b3Jk"


def test_without_a_secret_or_a_url_nothing_is_announced() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        api_at("http://lms.example/", secrets=())
    with pytest.raises(ValueError, match="https://host/path"):
        api_at("lms.example/confirm")
