"""The URLs of sets: one authority each, made by any secret of the list."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from core.errors import InvalidField
from core.order import Contract, OrderRules, read_order
from core.sets import MANIFEST, SetGrant
from infra import wiring
from infra.links import ADDRESS_FILE, SignedLinks, base_url
from infra.settings import load
from tests.service.harness import KEY

GRANT = SetGrant(run="3f6b2f0c-5a44-4a8e-9d4b-0c1a54b1f1a2", fence=3, expires_at=1_700_000_000)
NEW, OLD = "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE=", "an older secret"


def links(*secrets: str) -> SignedLinks:
    return SignedLinks(secrets, lambda: "https://lectern.example/")


def capability(url: str) -> str:
    return url.split("/")[4]


def test_a_url_leads_below_the_public_one_and_opens_what_it_was_made_for() -> None:
    url = links(NEW).url(GRANT, "720p/00000.m4s")
    assert url.startswith(f"https://lectern.example/sets/{GRANT.run}.3.1700000000.")
    assert url.endswith("/720p/00000.m4s")
    assert links(NEW).grant(capability(url)) == GRANT
    assert capability(links(NEW).url(GRANT, MANIFEST)) == capability(url)


def test_while_secrets_are_rotated_urls_of_either_are_good() -> None:
    old = capability(links(OLD).url(GRANT, MANIFEST))
    both = links(NEW, OLD)
    assert both.grant(old) == GRANT
    assert capability(both.url(GRANT, MANIFEST)) == capability(links(NEW).url(GRANT, MANIFEST))
    assert links(NEW).grant(old) is None


def test_the_key_is_not_the_secret_that_deliveries_are_signed_with() -> None:
    """A signature of a delivery proves nothing for a URL, nor the other way round."""
    said = f"{GRANT.run}.{GRANT.fence}.{GRANT.expires_at}"
    digest = hmac.new(OLD.encode(), said.encode(), hashlib.sha256).digest()
    forged = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert links(OLD).grant(f"{said}.{forged}") is None


@pytest.mark.parametrize("secrets", [[], ["whsec_%"], [""]])
def test_without_a_good_secret_there_are_no_urls(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        SignedLinks(secrets, lambda: "https://lectern.example")


def test_the_embedded_service_finds_its_own_address(tmp_path: Path) -> None:
    """Told by the operator, else by the running service, else by its settings."""
    settings = load({"lectern_data_dir": tmp_path, "host": "::1", "port": 81})
    assert base_url(settings) == "http://[::1]:81"
    (tmp_path / ADDRESS_FILE).write_text("http://127.0.0.1:4711")
    assert base_url(settings) == "http://127.0.0.1:4711"
    told = load({"lectern_data_dir": tmp_path, "public_url": "https://lectern.example"})
    assert base_url(told) == "https://lectern.example"


def test_in_the_cloud_there_are_urls_only_where_the_operator_says_the_public_one(
    tmp_path: Path,
) -> None:
    cloud = {
        "lectern_backend": "gcp",
        "google_cloud_project": "p",
        "lectern_bucket": "b",
        "internal_service_key": KEY,
        "webhook_secret": NEW,
        "lectern_data_dir": tmp_path,
    }
    assert wiring.links(load(cloud)) is None
    assert not load(cloud).order_rules.has_links
    told = load({**cloud, "public_url": "https://lectern.example"})
    assert wiring.links(told) is not None
    assert told.order_rules.has_links


def test_an_order_that_could_not_be_handed_back_is_refused_and_says_why() -> None:
    """With the name of the setting, for whoever runs the service."""
    with pytest.raises(InvalidField, match="PUBLIC_URL"):
        read_order({"renditions": "hls"}, Contract.HANDSHAKE, OrderRules(has_links=False))
    assert read_order({}, Contract.HANDSHAKE, OrderRules(has_links=False)).ladder is None
