"""Run one of the children that touch pixels, and read what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import DamagedSource, EncodeFailed, EncoderMissing, MediaTooComplex
from transcoder.child import command
from transcoder.runner import Bounds, Collector, Exit, Outgrown, run

_ANSWER_BYTES_MAX: Final = 64 * limits.KIB
"""Bytes of a child's answer: four variants of about 300 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Runs children inside `folder`; `deadline` is on the monotonic clock."""

    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(self, module: str, wish: Mapping[str, Any], *, file_bytes: int) -> dict[str, Any]:
        """Return what the child says; `file_bytes` bounds each file that it writes.

        Raises DamagedSource, MediaTooComplex, EncodeFailed, and what `runner.run` raises.
        """
        answer = Collector(most=_ANSWER_BYTES_MAX)
        try:
            ended = run(
                command(self.python, f"transcoder.images.{module}", wish),
                folder=self.folder,
                python=self.python,
                bounds=Bounds(
                    memory_bytes=limits.IMAGE_MEMORY_BYTES,
                    file_bytes=file_bytes,
                    deadline=min(self.deadline, time.monotonic() + limits.IMAGE_WALL_S),
                ),
                listener=answer,
                stop=self.stop,
            )
        except Outgrown:
            raise EncodeFailed("the encoder wrote more than it may over this image") from None
        return _read(answer, ended)


def _read(answer: Collector, ended: Exit) -> dict[str, Any]:
    if ended.status != 0:
        _raise_for_exit(ended)
    try:
        facts: dict[str, Any] = json.loads(answer.data)
    except ValueError as error:
        raise EncodeFailed("the image's decoder gave no answer that can be read") from error
    kind = facts.get("error")
    if kind == "damaged":
        raise DamagedSource(f"the image is damaged, send it again: {facts['reason']}")
    if kind == "memory":
        raise MediaTooComplex(f"the image cannot be made smaller: {facts['reason']}")
    if kind:
        raise EncodeFailed(f"the image cannot be made smaller: {facts['reason']}")
    return facts


def _raise_for_exit(ended: Exit) -> None:
    """A child that dies has no words of its own; a missing library is not the image's fault."""
    last = (ended.tail.strip().splitlines() or ["no reason given"])[-1]
    if "MemoryError" in last or "memory" in ended.tail:
        raise MediaTooComplex("the image needs more memory than a step may use")
    if "ModuleNotFoundError" in last or "ImportError" in last:
        raise EncoderMissing(f"the image's decoder cannot run: {last[:100]}")
    raise EncodeFailed("the image's decoder failed over this file")
