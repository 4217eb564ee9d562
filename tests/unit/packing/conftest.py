"""A hub, and its real client told where it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub import Hub, running_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of no repositories yet, and an empty cache."""
    # The client reads its variables when it is imported, which another test may have done.
    from huggingface_hub import close_session, constants

    close_session()
    (tmp_path / "repositories").mkdir()
    with running_hub(tmp_path / "repositories") as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("time.sleep", lambda _seconds: None)
        yield hub
    close_session()
