"""Name a recording's text tracks and languages as JSON. Runs in the sandbox.

`python -I texts_child.py {"file": …, "demuxer": …, "max_streams": …}`; imports nothing of Lectern,
decodes nothing.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import av
import av.error

LANGUAGE_CHARS: Final = 35
"""Characters of the longest tag that RFC 5646 asks programs to keep."""


def main(argument: str) -> int:
    """Print a list of streams: index, kind, codec, language."""
    wish: dict[str, Any] = json.loads(argument)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": wish["demuxer"],
        "max_streams": str(wish["max_streams"]),
    }
    try:
        with av.open(f"file:{wish['file']}", format=wish["demuxer"], options=options) as container:
            facts = [_stream(stream) for stream in container.streams]
    except (av.error.FFmpegError, ValueError, OverflowError):
        facts = []
    sys.stdout.write(json.dumps(facts))
    return 0


def _stream(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    language = stream.metadata.get("language", "")
    return {
        "index": stream.index,
        "kind": stream.type or "data",
        "codec": context.codec.canonical_name if context else "",
        "language": "".join(c for c in language if c.isprintable())[:LANGUAGE_CHARS],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
