"""Holds what makes these tests quick: the heavy libraries stay out. And the API without models.

What only tests need is imported in functions: pytest-xdist's own process reads this file before it
starts those that collect and run tests, and they would wait for it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_stages import FakeStages

from models.bundle import Bundle

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

HEAVY = ("ray", "torch", "transformers", "onnxruntime")


def pytest_collectstart() -> None:
    """Give examples any length: it says nothing on a machine that does other work too."""
    from hypothesis import settings

    settings.register_profile("admirer", deadline=None)
    settings.load_profile("admirer")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a test file whose imports load a heavy library."""
    loaded = [name for name in HEAVY if name in sys.modules]
    if loaded and all("/unit/" in item.path.as_posix() for item in session.items):
        raise pytest.UsageError(f"tests/unit loads {', '.join(loaded)}")


@pytest.fixture
def stages() -> FakeStages:
    return FakeStages()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    parts = "".join(
        f"{part}: {{path: {part}}}\n" for part in ("captioner", "tagger", "clip", "answerer")
    )
    (tmp_path / "bundle.yaml").write_text(f"name: test\nversion: '7'\n{parts}")
    return Bundle.load(tmp_path)


@pytest.fixture
def client(stages: FakeStages, bundle: Bundle) -> "Iterator[TestClient]":
    from fastapi.testclient import TestClient
    from support.api_app import app

    with TestClient(app(stages, bundle)) as client:
        yield client
