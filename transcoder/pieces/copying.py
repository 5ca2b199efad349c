"""How the children of this folder write packets into a small file. Imports only PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av

PICTURE_FORMATS = {"mov": ("mp4", "mov"), "matroska": ("matroska",)}
"""A picture stays in the family of its container, which knows its codecs and its rotation."""
SOUND_FORMATS = ("mp4", "mov")
"""Their audio tracks count samples, so that every packet keeps its exact place."""
MILLISECONDS = Fraction(1, 1000)
"""All that the Matroska muxer counts in."""
UNORDERED = 1 << 40


class Copy:
    """One stream in a file of its own, its first tick at 0."""

    def __init__(self, template: Any, file: Any, form: str, time_base: Fraction) -> None:
        self.matroska = form == "matroska"
        if self.matroska and time_base != MILLISECONDS:
            raise ValueError("its clock does not count milliseconds")
        if time_base.numerator != 1:
            raise ValueError("its clock has an odd unit")
        options = {"avoid_negative_ts": "disabled"}
        if not self.matroska:
            options = {"use_editlist": "0"}
            if template.type == "video":
                options["video_track_timescale"] = str(time_base.denominator)
        self.container = av.open(file, "w", format=form, options=options)
        self.stream = self.container.add_stream_from_template(template, opaque=True)
        self.stream.time_base = time_base
        self.time_base = time_base
        self.count = 0

    def put(self, packet: Any, time: int, decoded: int, duration: int) -> None:
        """Append a packet with the times given; Matroska knows no decoding times."""
        packet.stream = self.stream
        packet.time_base = self.time_base
        packet.pts = time
        packet.dts = self.count - UNORDERED if self.matroska else decoded
        packet.duration = duration
        self.container.mux_one(packet)
        self.count += 1

    def close(self) -> None:
        """Write the index."""
        self.container.close()


def form_for(
    template: Any, forms: Iterable[str], packets: list[Any], time_base: Fraction
) -> tuple[str | None, str | None]:
    """Return the first of `forms` that takes these packets, and why the last one does not."""
    reason = None
    for form in forms:
        reason = refusal(template, form, packets, time_base)
        if reason is None:
            return form, None
    return None, reason


def refusal(template: Any, form: str, packets: list[Any], time_base: Fraction) -> str | None:
    """Return why `form` does not take these packets, or None."""
    try:
        copy = Copy(template, io.BytesIO(), form, time_base)
        for number, packet in enumerate(packets):
            decoded = number if packet.dts is None else packet.dts - (packets[0].dts or 0)
            copy.put(packet, max(decoded, 0), max(decoded, 0), packet.duration or 0)
        copy.close()
    except (av.error.FFmpegError, ValueError) as error:
        return str(error)[:100]
    return None
