"""Measure a rendition's segments in a sandboxed child, and read what the child says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import BadOutput
from core.segments import File, Segment, Track
from transcoder.ladder.command import INIT, SEGMENTS
from transcoder.runner import Bounds, Collector, run

_CHILD: Final = Path(__file__).with_name("segments_child.py")
_ANSWER_BYTES_MAX: Final = 16 * limits.MIB
"""Bytes of the child's answer: a day of segments of 6 s are 14,400, of 300 bytes each."""
SEGMENTS_MAX: Final = 50_000
"""Segments of one rendition: a day's at two seconds, with room."""
_MEMORY_BYTES: Final = limits.GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Measures renditions in `folder`; `deadline` is on the monotonic clock."""

    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(self, name: str) -> Track:
        """Return what the rendition in the folder `name` holds.

        Raises BadOutput where it is not fragmented MP4 as planned, and what `runner.run` raises.
        """
        answer = Collector(most=_ANSWER_BYTES_MAX)
        wish = {"folder": name, "init": INIT, "segment": SEGMENTS, "most": SEGMENTS_MAX}
        ended = run(
            [self.python, "-I", "-B", str(_CHILD), json.dumps(wish)],
            folder=self.folder,
            python=self.python,
            bounds=Bounds(memory_bytes=_MEMORY_BYTES, file_bytes=0, deadline=self.deadline),
            listener=answer,
            stop=self.stop,
        )
        if ended.status:
            raise BadOutput(f"the segments of {name} cannot be measured")
        return read(name, json.loads(answer.data))


def read(name: str, facts: Mapping[str, Any]) -> Track:
    """Return the child's facts as a Track; files are named with their folder."""
    if error := facts.get("error"):
        raise BadOutput(f"the segments of {name} are damaged: {error}")
    return Track(
        name=name,
        kind=facts["kind"],
        codecs=facts["codecs"],
        timescale=facts["timescale"],
        width=facts["width"],
        height=facts["height"],
        channels=facts["channels"],
        sample_rate=facts.get("sample_rate", 0),
        shift=facts["shift"],
        init=_file(name, facts["init"]),
        segments=tuple(_segment(name, segment) for segment in facts["segments"]),
    )


def _segment(name: str, facts: Mapping[str, Any]) -> Segment:
    rest = {key: value for key, value in facts.items() if key not in {"name", "size", "sha256"}}
    return Segment(file=_file(name, facts), **rest)


def _file(folder: str, facts: Mapping[str, Any]) -> File:
    return File(name=f"{folder}/{facts['name']}", size=facts["size"], sha256=facts["sha256"])
