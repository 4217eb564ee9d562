"""The two programs of Prometheus that `make prometheus` puts into .tools."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".tools" / "prometheus"


def program(name: str) -> Path:
    """Return where `prometheus` or `promtool` lies, or skip the test that needs it.

    With ADMIRER_REQUIRE_PROMETHEUS=1 in the environment the test fails instead.
    """
    path = FOLDER / name
    if not path.exists():
        reason = f"there is no {name}: make prometheus says why"
        if os.environ.get("ADMIRER_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
