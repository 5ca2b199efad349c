"""Containers are walked in as many steps as they have parts, however their parts overlap."""

from __future__ import annotations

import io

import pytest

from tests.hostile.bases import Bases
from tests.hostile.everything import everything
from transcoder import layouts

_READS_MAX = 500_000
"""Files of 60,000 parts: a walk that began anew in each of them would be a billion reads."""


class _Counted(io.BytesIO):
    """Counts its reads, and ends a walk that has no end."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        self.reads += 1
        assert self.reads < _READS_MAX, "the walk goes over the same parts again and again"
        return super().read(size)


@pytest.mark.parametrize(
    ("demuxer", "name"),
    [
        ("mov", "tracks_that_overlap"),
        ("mov", "boxes_by_the_hundred_thousand"),
        ("mov", "index_ten_thousand_deep"),
        ("mov", "handler_deep_in_tracks"),
        ("matroska", "matroska_tracks_that_overlap"),
        ("matroska", "matroska_chapters_five_thousand_deep"),
        ("matroska", "matroska_size_of_72_petabytes"),
        ("wav", "wav_of_a_billion_chunks"),
        ("avi", "avi_lists_three_thousand_deep"),
    ],
)
def test_a_layout_is_read_in_few_steps(demuxer: str, name: str, bases: Bases) -> None:
    data = next(one for one in everything() if one.name == name).make(bases)
    file = _Counted(data)
    layouts.LAYOUTS[demuxer](file, len(data))
    assert file.reads > 0
