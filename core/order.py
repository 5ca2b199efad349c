"""What a sender asks for besides the bytes: how the result is handed back, and what is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from core.errors import InvalidField
from core.subtitles import language


class Contract(StrEnum):
    """The front door that a job came through; each spells states as its own document does."""

    HANDSHAKE = "handshake"  # POST /video/receive, POST /uploads
    COMPRESS = "compress"  # POST /compress/


class Delivery(StrEnum):
    """How a result is handed back, and so what `completed` means."""

    WEBHOOK = "webhook"  # posted to the store webhook; completed once the LMS confirms
    SFTP = "sftp"  # put into the LMS's storage; completed once its confirmation API answers 2xx


class QualityLevel(StrEnum):
    """How much may be lost: `core.qualities` has what each means for pictures and recordings."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    ULTRA = "ultra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for. `quality` None is the deployment's own preset.

    `ladder` names the set of renditions that is made of a recording besides, `variants` the sizes
    of an image, `image_format` what an image is turned into; None keeps its own. `subtitles` says
    that some came with the recording, for its set; `subtitles_language` is their BCP 47 tag.
    """

    contract: Contract = Contract.HANDSHAKE
    delivery: Delivery = Delivery.WEBHOOK
    quality: QualityLevel | None = None
    ladder: str | None = None
    variants: tuple[str, ...] = ()
    image_format: str | None = None
    subtitles: bool = False
    subtitles_language: str | None = None


DEFAULT: Final = Order()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """What the operator allows: the settings behind each choice.

    `delivery` None leaves each contract its own way: SFTP for COMPRESS where `has_sftp`, else the
    webhook. With `override` a sender may choose. `has_links` says that sets of renditions can be
    handed back, which is by URLs.
    """

    delivery: Delivery | None = None
    override: bool = False
    has_sftp: bool = False
    has_links: bool = True

    def default_for(self, contract: Contract) -> Delivery:
        """Return how a result is handed back where the sender does not say."""
        if self.delivery is not None:
            return self.delivery
        by_file = contract is Contract.COMPRESS and self.has_sftp
        return Delivery.SFTP if by_file else Delivery.WEBHOOK


AS_DOCUMENTED: Final = OrderRules()
"""Each contract in its own way, and no choice for senders."""
FIELDS: Final = ("delivery", "quality", "renditions", "variants", "format")
"""The fields of a form, or members of an announcement, that make an order."""
VARIANTS: Final = ("thumbnail", "medium", "large", "original")
"""The sizes of an image that can be asked for (row A2)."""
FORMATS: Final = ("keep", "webp", "avif")
"""What an image can be turned into."""
LADDERS: Final = ("hls", "full")
"""The sets of renditions that can be made of a recording."""


def read_order(fields: Mapping[str, str], contract: Contract, rules: OrderRules) -> Order:
    """Return what a sender's fields ask for; raises InvalidField that names the field.

    Fields of other names are passed over; an empty one counts as absent.
    """
    said = {name: value for name in FIELDS if (value := fields.get(name, "").strip())}
    given = said.get("format")
    return Order(
        contract=contract,
        delivery=_delivery(said.get("delivery"), contract, rules),
        quality=QualityLevel(_one_of("quality", said["quality"], tuple(QualityLevel)))
        if "quality" in said
        else None,
        ladder=_ladder(said["renditions"], rules) if "renditions" in said else None,
        variants=_variants(said.get("variants", "")),
        image_format=None if given in (None, "keep") else _one_of("format", given, FORMATS),
    )


def check_fits(order: Order, *, is_image: bool) -> None:
    """Raise InvalidField for what cannot be made of such a file."""
    if is_image and order.ladder is not None:
        raise InvalidField("renditions are made of recordings; for an image ask for variants")
    if not is_image and (order.variants or order.image_format):
        raise InvalidField("variants and format are for images; for a recording ask for renditions")


def with_subtitles(order: Order, tag: str) -> Order:
    """Return the order with subtitles in a language, "" for one that is not told.

    Raises InvalidField for no BCP 47 tag, and where no set is ordered that they could go into.
    """
    if order.ladder is None:
        raise InvalidField("subtitles go into a set: ask for renditions too")
    known = language(tag) if tag else None
    if tag and known is None:
        raise InvalidField("subtitles_language must be a BCP 47 tag, such as en or pt-BR")
    return replace(order, subtitles=True, subtitles_language=known)


def order_fields(order: Order) -> dict[str, str]:
    """Return the order as the fields that `order_of` reads again."""
    said = {
        "contract": order.contract.value,
        "delivery": order.delivery.value,
        "quality": order.quality.value if order.quality else "",
        "renditions": order.ladder or "",
        "variants": ",".join(order.variants),
        "format": order.image_format or "",
    }
    return {name: value for name, value in said.items() if value}


def order_of(fields: Mapping[str, str]) -> Order:
    """Return the order that `order_fields` wrote; raises ValueError for what it never writes."""
    contract = Contract(fields.get("contract", Contract.HANDSHAKE))
    anything = OrderRules(delivery=None, override=True, has_sftp=True)
    try:
        return read_order({"delivery": Delivery.WEBHOOK.value, **fields}, contract, anything)
    except InvalidField as error:
        raise ValueError(error.detail) from error


def _delivery(asked: str | None, contract: Contract, rules: OrderRules) -> Delivery:
    usual = rules.default_for(contract)
    if asked is None:
        return usual
    chosen = Delivery(_one_of("delivery", asked, tuple(Delivery)))
    if chosen is not usual and not rules.override:
        raise InvalidField(f"delivery is {usual} here; the operator lets callers choose none")
    if chosen is Delivery.SFTP and not rules.has_sftp:
        raise InvalidField("delivery by sftp is not set up here; leave the field out")
    return chosen


def _ladder(asked: str, rules: OrderRules) -> str:
    if not rules.has_links:
        raise InvalidField(
            "renditions cannot be handed back here until the operator sets PUBLIC_URL"
        )
    return _one_of("renditions", asked, LADDERS)


def _variants(asked: str) -> tuple[str, ...]:
    names = [name.strip() for name in asked.split(",") if name.strip()]
    chosen = {_one_of("variants", name, VARIANTS) for name in names}
    return tuple(name for name in VARIANTS if name in chosen)


def _one_of(field: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise InvalidField(f"{field} must be one of {', '.join(allowed)}")
    return value
