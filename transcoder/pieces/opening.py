"""How the children of this folder open a source. Imports PyAV and nothing of Lectern's."""

from __future__ import annotations

from typing import Any

import av
from av.stream import Discard

from transcoder.pieces.asking import Asked, Spliced

BUFFER_BYTES = 1 << 16


def open_source(wish: dict[str, Any], splice: tuple[int, int] | None = None) -> Any:
    """Open the source behind `wish["fd"]` with its own demuxer and the allowed decoders only.

    With `splice` only its head and what follows from a cluster or fragment on.
    """
    asked = Asked(wish["fd"], wish["size"])
    options = {
        "format_whitelist": wish["demuxer"],
        "max_streams": str(wish["max_streams"]),
        "codec_whitelist": wish["decoders"],
        "max_pixels": str(wish["max_pixels"]),
    }
    return av.open(
        Spliced(asked, *splice) if splice else asked,
        format=wish["demuxer"],
        options=options,
        buffer_size=BUFFER_BYTES,
    )


def only(container: Any, index: int) -> Any:
    """Return the stream `index`; the bytes of all others are not read where that is possible."""
    for stream in container.streams:
        if stream.index != index:
            stream.discard = Discard.all
    return container.streams[index]
