"""The API against a small model of what it must answer, call after call."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.errors import LecternError
from core.events import Claimed, Delivered, DeliveryRefused, StepFailed
from core.job import Failure, output_key
from functions.sweep import remove_orphans, wake_jobs
from functions.uploads import finish_uploads
from tests.fakes import an_encoded, put, sha256_of
from tests.http import forms
from tests.http.door import KEYS, Door, a_door
from tests.http.forms import Lecture

TORTURE: Final = bool(os.environ.get("LECTERN_TORTURE"))
RUNS: Final = int(os.environ.get("LECTERN_MODEL_RUNS", "5000" if TORTURE else "40"))
IDS: Final = st.sampled_from(["v-1", "v-2"])
ORGANIZATIONS: Final = st.sampled_from(["org-1", "org-1", "org-2"])
FILES: Final = (forms.recording(300), forms.recording(300, filler=b"another "))
WHICH: Final = st.sampled_from([0, 0, 1])
_RESULT: Final = b"a result"
_ALIVE: Final = {"queued", "processing", "storing", "stored"}
_AGAIN: Final = {"failed", "store_failed", "expired", "cancelled"}
"""States in which the same id may be sent anew."""
