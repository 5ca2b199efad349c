"""The couriers; a new one joins with a class that makes it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from core.delivery import Answered, Unanswered
from infra.webhook import WebhookCourier
from lectern.example_lms import ExampleLms
from tests.contracts.courier import LONG_S, CourierContract
from tests.contracts.parcels import SECRET, VIDEO, Stored, parcel_of


def courier_to(
    url: str,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    answer_s: float = LONG_S,
    total_s: float = LONG_S,
) -> WebhookCourier:
    """Return a courier that connects within 5 s."""
    return WebhookCourier(
        url=url,
        secrets=secrets,
        connect_timeout_s=5,
        answer_timeout_s=answer_s,
        total_timeout_s=total_s,
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, so there is no certificate to try")
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "certificate.pem", folder / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    command = [openssl, *request.split(), *subject.split(), *files]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return paths


@pytest.fixture
def secure_lms(certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[ExampleLms]:
    """Yield an LMS that speaks TLS with the self-signed certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with ExampleLms(secret=SECRET, folder=tmp_path / "lms", tls=tls) as lms:
        yield lms


class TestWebhookCourier(CourierContract):
    """HTTP."""

    make = staticmethod(courier_to)


class TestWebhookCourierOverTls(CourierContract):
    """HTTPS, with an authority of the operator's own."""

    make = staticmethod(courier_to)

    @pytest.fixture
    def lms(
        self,
        secure_lms: ExampleLms,
        certificate: tuple[Path, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> ExampleLms:
        """Return the LMS, trusted."""
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        return secure_lms


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_lms: ExampleLms) -> None:
    outcome = courier_to(secure_lms.url).send(parcel_of(), Stored(VIDEO))
    assert outcome == Unanswered(reason="TLS certificate not accepted")
    assert secure_lms.requests == 0


def test_a_server_that_does_not_speak_tls_is_no_answer(tmp_path: Path) -> None:
    with ExampleLms(secret=SECRET, folder=tmp_path) as lms:
        courier = courier_to(lms.url.replace("http:", "https:"))
        outcome = courier.send(parcel_of(), Stored(VIDEO))
        assert outcome == Unanswered(reason="TLS handshake failed")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "unknown"), "name not found"),
        (UnicodeError("label too long"), "name not found"),
        (TimeoutError(), "no connection in 5 s"),
        (OSError(113, "no route"), "host not reachable"),
    ],
)
def test_why_no_connection_came_about_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_args: object, **_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = courier_to("http://lms.example/store").send(parcel_of(), Stored(VIDEO))
    assert outcome == Unanswered(reason=reason)


def test_credentials_of_the_url_are_sent_as_such(tmp_path: Path) -> None:
    with ExampleLms(secret=SECRET, folder=tmp_path) as lms:
        courier = courier_to(lms.url.replace("://", "://user:word@") + "?a=b")
        assert courier.send(parcel_of(), Stored(VIDEO)) == Answered(status=200)
        assert lms.deliveries[0].headers["Authorization"] == "Basic dXNlcjp3b3Jk"


@pytest.mark.parametrize(
    "url", ["", "lms.example/store", "ftp://lms.example/", "http://", "http://a:99999/hush"]
)
def test_a_wrong_url_is_refused_at_once_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="https://host/path") as raised:
        courier_to(url)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64!"])
def test_a_wrong_secret_is_refused_at_once_and_not_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as raised:
        courier_to("http://lms.example/", secrets=(secret,))
    assert "base64!" not in str(raised.value)


def test_a_courier_without_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        courier_to("http://lms.example/", secrets=())
