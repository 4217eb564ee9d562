"""Holds what makes these tests quick: the heavy libraries stay out."""

import sys

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that does other work too.
settings.register_profile("admirer", deadline=None)
settings.load_profile("admirer")

HEAVY = ("ray", "torch", "transformers", "onnxruntime")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a test file whose imports load a heavy library."""
    loaded = [name for name in HEAVY if name in sys.modules]
    if loaded and all("/unit/" in item.path.as_posix() for item in session.items):
        raise pytest.UsageError(f"tests/unit loads {', '.join(loaded)}")
