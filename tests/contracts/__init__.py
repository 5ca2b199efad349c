"""One suite for each port; every adapter passes it.

An adapter joins with a class in the port's `test_*.py` that says how to make it.
"""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.job_store",
    "tests.contracts.message_bus",
    "tests.contracts.object_store",
    "tests.contracts.courier",
)
