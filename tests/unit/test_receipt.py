"""What a receipt says, and that it can be trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

import pytest

from core import events as ev
from core.delivery import Receipt, parcel_of
from core.errors import NotReady
from core.job import Job
from core.making import Levels, Making, Quality
from core.receipt import receipt, receipt_text
from infra.signing import receipt_fields, signer
from lectern.signature import InvalidSignature, verify_receipt
from tests.fakes import World, a_world, an_encoded, an_upload

SECRET: Final = "whsec_bGVjdGVybi10ZXN0LXNlY3JldC0wMDAwMDAx"
OTHER: Final = "whsec_bGVjdGVybi10ZXN0LXNlY3JldC0wMDAwMDAy"
MAKING: Final = Making(
    preset="lecture",
    ffmpeg="9.0.2",
    arguments=("-i", "file:source", "-crf", "26"),
    cpu_s=100.0,
    price_per_cpu_s=0.00003,
    quality=Quality(mean=94.256, low=89.1, sampled_s=12.5),
    levels=Levels(source_lufs=-23.04, gain_db=7.0),
)


@pytest.fixture
def world() -> World:
    """A world with a job that is encoded."""
    world = a_world()
    world.ledger.receive(an_upload("video-1", run="run-1"))
    world.ledger.apply("video-1", ev.Claimed())
    encoded = an_encoded("run-1", 1)
    output = replace(encoded.output, making=MAKING)
    world.ledger.apply("video-1", replace(encoded, output=output))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def test_it_says_what_was_made_of_what_and_at_what_cost(world: World) -> None:
    said = receipt(job(world))
    output, source = said["output"], said["source"]
    assert isinstance(output, dict)
    assert isinstance(source, dict)
    assert job(world).output is not None
    assert output["sha256"] == job(world).output.sha256  # type: ignore[union-attr]  # see above
    assert source["sha256"] == job(world).source.sha256
    assert said["quality"] == {"vmaf": 94.26, "vmaf_5th_percentile": 89.1, "sampled_s": 12.5}
    assert said["loudness"] == {"source_lufs": -23.0, "gain_db": 7.0, "output_lufs": -16.0}
    assert said["encoder"] == {
        "preset": "lecture",
        "ffmpeg": "9.0.2",
        "arguments": ["-i", "file:source", "-crf", "26"],
        "pieces": 1,
    }
    assert said["cost"] == {"cpu_s": 100.0, "price_per_cpu_s": 0.00003, "total": 0.003}
    assert (said["id"], said["created_at"]) == ("rcp_run-1", int(world.clock.now()))


def test_it_is_the_same_over_all_attempts_and_after_the_confirmation(world: World) -> None:
    first = receipt_text(job(world))
    assert json.loads(first) == receipt(job(world))
    world.clock.advance(100)
    world.ledger.apply("video-1", ev.Claimed())
    world.ledger.apply("video-1", ev.DeliveryDeferred(fence=2, outcome="answered 500", delay_s=5.0))
    parcel = parcel_of(job(world), world.clock.now())
    assert parcel.receipt == Receipt(id="rcp_run-1", at=int(world.clock.now()) - 100, text=first)
    world.ledger.apply("video-1", ev.Confirmed())
    assert receipt_text(job(world)) == first


def test_a_job_without_an_output_has_none() -> None:
    world = a_world()
    with pytest.raises(NotReady):
        receipt(world.ledger.receive(an_upload()))


def test_a_record_of_an_earlier_release_has_a_shorter_one(world: World) -> None:
    output = job(world).output
    assert output is not None
    said = receipt(replace(job(world), output=replace(output, making=None)))
    assert "encoder" not in said
    assert said["output"]


def fields(world: World, *secrets: str) -> dict[str, str]:
    """Return the signed form fields of the job's receipt."""
    signers = [signer(secret) for secret in secrets]
    return receipt_fields(signers, parcel_of(job(world), 0).receipt)


def test_a_receipt_can_be_verified_by_either_of_two_secrets(world: World) -> None:
    said = fields(world, SECRET, OTHER)
    for secret in (SECRET, OTHER, (OTHER, SECRET)):
        found = verify_receipt(
            secret=secret, text=said["receipt"], signature=said["receipt_signature"]
        )
        assert found == receipt(job(world))


@pytest.mark.parametrize("change", [("vmaf", "vnaf"), ("rcp_run-1", "rcp_run-2"), ("0.003", "0.0")])
def test_an_altered_receipt_is_noticed(world: World, change: tuple[str, str]) -> None:
    said = fields(world, SECRET)
    text = said["receipt"].replace(*change)
    assert text != said["receipt"]
    with pytest.raises(InvalidSignature):
        verify_receipt(secret=SECRET, text=text, signature=said["receipt_signature"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "a", "created_at": "x"}', "no json"])
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(InvalidSignature):
        verify_receipt(secret=SECRET, text=text, signature="v1,abc")


def test_another_secret_does_not_fit(world: World) -> None:
    said = fields(world, SECRET)
    with pytest.raises(InvalidSignature):
        verify_receipt(secret=OTHER, text=said["receipt"], signature=said["receipt_signature"])
