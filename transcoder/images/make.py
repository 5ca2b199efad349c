"""Make one image small: read its headers, plan, make, judge."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import BadOutput, EncodeFailed
from core.image_files import read_image
from core.image_parts import Cleaned
from core.image_verdict import MadeFacts, Short, below_bar, image_verdict, kept_remarks
from core.images import (
    BAD_PROFILE,
    ENDINGS,
    ImageFormat,
    ImageInfo,
    ImagePlan,
    Likeness,
    Variant,
    VariantPlan,
    image_order,
    image_plan,
)
from core.order import Order
from transcoder.images.program import Program

_CLEAN: Final = "clean"
_SAME: Final = Likeness(mean=1.0, low=1.0)
ENCODED: Final = "encoded"
KEPT: Final = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """One variant that has passed its verdict. `width` and `height` are as it is looked at.

    `action` is `encoded`, or `kept` where its pixels are the source's own, without its metadata.
    """

    variant: Variant
    path: Path
    size: int
    sha256: str
    width: int
    height: int
    format: ImageFormat
    action: str
    likeness: Likeness


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImages:
    """All variants in the order that they were asked for; `work_s` the seconds it took."""

    source: ImageInfo
    images: tuple[MadeImage, ...]
    warnings: tuple[str, ...]
    work_s: float


def make_images(
    source: Path,
    folder: Path,
    *,
    order: Order,
    python: str,
    budget_s: float,
    stop: Callable[[], bool],
) -> MadeImages:
    """Make what `order` asks for of `source`, in the private `folder`; everything stays there.

    No result is larger than the source, has more pixels, or holds metadata. `python` is that of
    the environment that pyvips is installed in; `budget_s` bounds the wall time. Raises
    UnsupportedType or TooLarge for what is not taken, a MediaError for what is the file's fault, a
    PassingFailure for what may pass, and Interrupted within 2 s after `stop()` has become true.
    """
    began = time.monotonic()
    cleaned = read_image(_bounded(source))
    plan = image_plan(cleaned.info, image_order(order))
    shop = _Shop(
        program=Program(python=python, folder=folder, deadline=began + budget_s, stop=stop),
        cleaned=cleaned,
        plan=plan,
    )
    told = shop.make()
    facts = shop.judge()
    images = tuple(shop.finish(variant, facts) for variant in plan.variants)
    return MadeImages(
        source=cleaned.info,
        images=images,
        warnings=(*plan.warnings, *told, *shop.warnings(facts)),
        work_s=time.monotonic() - began,
    )


def _bounded(source: Path) -> bytes:
    """Read no more than shows that it is too large."""
    with source.open("rb") as file:
        return file.read(limits.IMAGE_BYTES_MAX + 1)


@dataclass(slots=True, kw_only=True)
class _Shop:
    program: Program
    cleaned: Cleaned
    plan: ImagePlan
    tried: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def make(self) -> list[str]:
        """Encode what is worth it; returns what there is to tell of its colours.

        The source is decoded even where nothing is encoded: damage must not pass.
        """
        answer, told = self._encode(), []
        if answer.get("unusable") == "profile":
            self._leave_profile_out()
            answer, told = self._encode(), [BAD_PROFILE]
        self.tried = {found["name"]: found for found in answer["made"]}
        for plan in self._encoded():
            _tidy(self._path(plan, plan.encode or ImageFormat.PNG))
        if any(self._encoded()):
            told += [f"the image: {words}" for words in answer["told"]]
        return told

    def _encode(self) -> dict[str, Any]:
        (self.program.folder / _CLEAN).write_bytes(self.cleaned.data)
        wished = [self._wish(plan) for plan in self._apart() if plan.encode]
        most = max((wish["most"] for wish in wished), default=0)
        return self.program("maker_child", self._source() | {"variants": wished}, file_bytes=most)

    def _leave_profile_out(self) -> None:
        """Go on with the image as if it had never had a colour profile."""
        bare = read_image(self.cleaned.data, profile=False)
        info = replace(self.cleaned.info, profile=False, gamma=bare.info.gamma)
        self.cleaned = Cleaned(info=info, data=bare.data)

    def judge(self) -> dict[str, MadeFacts]:
        """Look at all results in a process of their own; raises BadOutput."""
        made = [self._wish(plan) for plan in self._encoded()]
        if not made:
            return {}
        wish = self._source() | {"variants": made}
        try:
            answer = self.program("judge_child", wish, file_bytes=0)
        except EncodeFailed as error:
            raise BadOutput(f"a result cannot be read again: {error}") from error
        facts = {found["name"]: self._facts(found) for found in answer["made"]}
        for plan in self._encoded():
            defects = image_verdict(self.cleaned.info, plan, facts[plan.variant])
            if defects:
                raise BadOutput(f"the {plan.variant} is not what was planned: {'; '.join(defects)}")
        return facts

    def finish(self, plan: VariantPlan, judged: Mapping[str, MadeFacts]) -> MadeImage:
        """Return a judged result, or the source's own pixels."""
        info, twin = self.cleaned.info, self._twin(plan)
        facts = judged.get(twin.variant)
        if facts is None or plan.encode is None:
            kept = ImageFormat(info.kind.value)
            path = self._path(plan, kept)
            path.write_bytes(self.cleaned.data)
            width, height = info.displayed
            return _made(plan, path, (width, height), kept, KEPT, _SAME)
        size, path = (facts.width, facts.height), self._path(plan, plan.encode)
        if twin is not plan:
            path.write_bytes(self._path(twin, plan.encode).read_bytes())
        return _made(plan, path, size, plan.encode, ENCODED, facts.likeness)

    def warnings(self, facts: Mapping[str, MadeFacts]) -> Iterator[str]:
        """Tell of what is not as it was asked for."""
        for plan in self.plan.variants:
            found = facts.get(self._twin(plan).variant)
            if found is not None:
                told = below_bar(self.plan, plan, found, self._short(self._twin(plan)))
                if told:
                    yield told
            else:
                yield from kept_remarks(self.cleaned.info, plan)

    def _short(self, plan: VariantPlan) -> Short | None:
        """Return what kept the maker below the bar: it goes up to its last number, if it may.

        WebP without losses reaches every bar, so only its size can be in the way.
        """
        tried = self.tried[plan.variant]
        if tried["low"] >= self.plan.quality.bar:
            return None
        numbers = self.plan.quality.numbers.get(plan.encode or ImageFormat.PNG)
        highest = numbers is not None and tried["number"] >= numbers.steps[-1]
        return Short.FORMAT if highest and plan.encode is not ImageFormat.WEBP else Short.SIZE

    def _encoded(self) -> Iterator[VariantPlan]:
        return (
            plan for plan in self._apart() if plan.encode and self._path(plan, plan.encode).exists()
        )

    def _apart(self) -> Iterator[VariantPlan]:
        """Yield one variant of each size: the others are copies of it."""
        return (plan for plan in self.plan.variants if self._twin(plan) is plan)

    def _twin(self, plan: VariantPlan) -> VariantPlan:
        size = (plan.width, plan.height)
        return next(each for each in self.plan.variants if (each.width, each.height) == size)

    def _path(self, plan: VariantPlan, form: ImageFormat) -> Path:
        return self.program.folder / f"{plan.variant}.{ENDINGS[form]}"

    def _source(self) -> dict[str, Any]:
        info = self.cleaned.info
        return {
            "file": _CLEAN,
            "kind": info.kind.value,
            "width": info.width,
            "height": info.height,
            "orientation": info.orientation,
            "frames": info.frames,
            "gamma": info.gamma,
            "profile": info.profile,
        }

    def _wish(self, plan: VariantPlan) -> dict[str, Any]:
        if plan.encode is None:
            raise ValueError("a variant that is kept is not encoded")
        numbers = self.plan.quality.numbers.get(plan.encode)
        return {
            "name": plan.variant.value,
            "file": self._path(plan, plan.encode).name,
            "format": plan.encode.value,
            "width": plan.width,
            "height": plan.height,
            "plainer": plan.plainer,
            "lossless": plan.lossless,
            "lossy": plan.lossy,
            "moving": plan.moving,
            "steps": numbers.steps if numbers else (),
            "full_chroma": numbers.full_chroma if numbers else 0,
            "bar": self.plan.quality.bar,
            "most": int(len(self.cleaned.data) * (1 - plan.least_saving)),
        }

    def _facts(self, found: Mapping[str, Any]) -> MadeFacts:
        """Return the judge's facts, with what is read off the file itself."""
        plan = next(plan for plan in self.plan.variants if plan.variant == found["name"])
        path = self._path(plan, plan.encode or ImageFormat.PNG)
        form, metadata = _held(path)
        return MadeFacts(
            size=path.stat().st_size,
            format=form,
            width=found["width"],
            height=found["height"],
            frames=found["frames"],
            likeness=Likeness(mean=found["mean"], low=found["low"]),
            metadata=(*found["metadata"], *metadata),
        )


_AVIF_BRAND: Final = b"ftypavif"


def _tidy(path: Path) -> None:
    """Leave out what the encoder adds of its own, such as a PNG's dots an inch."""
    data = path.read_bytes()
    if data[4:12] != _AVIF_BRAND:
        path.write_bytes(read_image(data).data)


def _held(path: Path) -> tuple[ImageFormat, tuple[str, ...]]:
    """Return what a result is by its content, and what it holds besides the picture."""
    data = path.read_bytes()
    if data[4:12] == _AVIF_BRAND:
        return ImageFormat.AVIF, ()
    info = read_image(data).info
    return ImageFormat(info.kind.value), info.dropped


def _made(
    plan: VariantPlan,
    path: Path,
    size: tuple[int, int],
    form: ImageFormat,
    action: str,
    likeness: Likeness,
) -> MadeImage:
    data = path.read_bytes()
    return MadeImage(
        variant=plan.variant,
        path=path,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=size[0],
        height=size[1],
        format=form,
        action=action,
        likeness=likeness,
    )
