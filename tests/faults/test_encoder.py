"""An encoder that fails in every way, in the middle of the real way of a recording."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from core.errors import LecternError
from tests.faults.encoder_faults import FAULTS, Fault
from tests.faults.scene import Scene, nothing_left
from tests.faults.shares import share

_GROWTH_KIB_MAX = 64 * 1024
"""What this process may grow by while a program talks to it without end."""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", share(FAULTS, 28), ids=lambda fault: fault.name)
def test_an_encoder_that(fault: Fault, scene: Scene, tmp_path: Path) -> None:
    """Each failure has its own name, or does no harm; nothing is left of it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with nothing_left(tmp_path):
        if fault.ends is None:
            result = scene.encode(fault.does, tmp_path, budget_s=fault.budget_s)
            assert result.media.duration_s == pytest.approx(1.0, abs=0.1)
        else:
            with pytest.raises(LecternError) as caught:
                scene.encode(fault.does, tmp_path, budget_s=fault.budget_s)
            assert type(caught.value) is fault.ends
            assert fault.says in caught.value.detail
            assert "/" not in caught.value.detail.replace("N/A", "")
    assert scene.heard.percents == sorted(scene.heard.percents)
    assert all(0 <= percent <= 100 for percent in scene.heard.percents)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _GROWTH_KIB_MAX
