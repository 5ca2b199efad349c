"""What a sender asks for, and what the operator allows."""

from __future__ import annotations

import pytest

from core.errors import InvalidField
from core.ladder import LADDERS as MADE_LADDERS
from core.order import (
    AS_DOCUMENTED,
    DEFAULT,
    LADDERS,
    Contract,
    Delivery,
    Order,
    OrderRules,
    QualityLevel,
    check_fits,
    order_fields,
    order_of,
    read_order,
)
from core.presets import LECTURE, SMART
from core.qualities import RECORDINGS, in_quality

BOTH = OrderRules(has_sftp=True, override=True)


def test_without_a_word_each_contract_goes_its_own_way() -> None:
    side_by_side = OrderRules(has_sftp=True)
    ways = {contract: read_order({}, contract, side_by_side).delivery for contract in Contract}
    assert ways == {Contract.HANDSHAKE: Delivery.WEBHOOK, Contract.COMPRESS: Delivery.SFTP}
    for contract in Contract:
        assert read_order({}, contract, AS_DOCUMENTED).delivery is Delivery.WEBHOOK


@pytest.mark.parametrize("way", Delivery)
@pytest.mark.parametrize("contract", Contract)
def test_the_operators_choice_holds_for_both_contracts(way: Delivery, contract: Contract) -> None:
    rules = OrderRules(delivery=way, has_sftp=True)
    assert read_order({}, contract, rules).delivery is way


def test_a_sender_chooses_only_where_the_operator_lets_it() -> None:
    asked = {"delivery": "sftp"}
    assert read_order(asked, Contract.HANDSHAKE, BOTH).delivery is Delivery.SFTP
    with pytest.raises(InvalidField, match="operator"):
        read_order(asked, Contract.HANDSHAKE, OrderRules(has_sftp=True))
    with pytest.raises(InvalidField, match="not set up"):
        read_order(asked, Contract.HANDSHAKE, OrderRules(override=True))
    same = read_order({"delivery": "webhook"}, Contract.HANDSHAKE, AS_DOCUMENTED)
    assert same.delivery is Delivery.WEBHOOK


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delivery", "pigeon"),
        ("quality", "best"),
        ("quality", "LOW"),
        ("renditions", "dash"),
        ("variants", "thumbnail,huge"),
        ("format", "gif"),
    ],
)
def test_a_wrong_word_is_refused_by_the_name_of_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidField, match=f"^{field} must be one of "):
        read_order({field: value}, Contract.COMPRESS, BOTH)


def test_a_full_order_is_read_and_comes_back_from_its_fields() -> None:
    said = {
        "delivery": "sftp",
        "quality": "ultra",
        "variants": "medium,thumbnail, medium",
        "format": "webp",
        "other": "ignored",
    }
    order = read_order(said, Contract.COMPRESS, BOTH)
    assert order == Order(
        contract=Contract.COMPRESS,
        delivery=Delivery.SFTP,
        quality=QualityLevel.ULTRA,
        variants=("thumbnail", "medium"),
        image_format="webp",
    )
    assert order_of(order_fields(order)) == order
    assert order_of({}) == DEFAULT
    ladder = read_order({"renditions": "full"}, Contract.HANDSHAKE, BOTH)
    assert order_of(order_fields(ladder)) == ladder


def test_images_have_no_renditions_and_recordings_no_variants() -> None:
    check_fits(Order(ladder="hls"), is_image=False)
    check_fits(Order(variants=("medium",), image_format="webp"), is_image=True)
    check_fits(DEFAULT, is_image=True)
    with pytest.raises(InvalidField, match="ask for variants"):
        check_fits(Order(ladder="hls"), is_image=True)
    for order in (Order(variants=("medium",)), Order(image_format="webp")):
        with pytest.raises(InvalidField, match="ask for renditions"):
            check_fits(order, is_image=False)


def test_the_words_are_those_of_what_is_made() -> None:
    assert set(LADDERS) == set(MADE_LADDERS)
    assert set(RECORDINGS) == set(QualityLevel)


def test_qualities_grow_in_every_respect_and_medium_is_the_preset_itself() -> None:
    for preset in (LECTURE, SMART):
        assert in_quality(preset, QualityLevel.MEDIUM) == preset
        assert in_quality(preset, None) is preset
        made = [in_quality(preset, level) for level in QualityLevel]
        assert [each.crf for each in made] == sorted((each.crf for each in made), reverse=True)
        for measure in ("lines", "video_rate_max", "audio_rate_per_channel"):
            figures = [getattr(each, measure) for each in made]
            assert figures == sorted(figures)
    aims = [quality.target.mean for quality in RECORDINGS.values()]
    assert aims == sorted(set(aims))
