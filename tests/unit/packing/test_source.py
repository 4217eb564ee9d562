"""What a source may say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from packing.errors import PackingError
from packing.source import Checkpoint, read_source

PARTS: dict[str, Any] = {
    "captioner": {"repo": "a/b", "revision": "v1"},
    "tagger": {"repo": "a/b"},
    "clip": {"repo": "a/b", "revision": "0" * 40},
    "answerer": {"repo": "a/b"},
}


def write(folder: Path, **changes: object) -> Path:
    file = folder / "source.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "version": "1", **PARTS, **changes}))
    return file


def test_a_branch_is_main_unless_the_source_says_more(tmp_path: Path) -> None:
    source = read_source(write(tmp_path))
    assert source.tagger == Checkpoint(repo="a/b", revision="main")
    assert list(source.checkpoints()) == ["captioner", "tagger", "clip", "answerer"]


def test_a_model_behind_the_openai_api_is_no_checkpoint(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, answerer={"openai": {"model": "gpt-4.1-mini"}}))
    assert "answerer" not in source.checkpoints()


def test_the_bundle_of_public_checkpoints_is_a_source_too() -> None:
    assert read_source(Path("bundles/hub.yaml")).captioner.repo.startswith("nlpconnect/")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"speed": "fast"}, "speed"),
        ({"tagger": {"repo": "no-owner"}}, r"tagger\.repo"),
        ({"tagger": {"repo": "a/b", "revision": "a b"}}, r"tagger\.revision"),
        ({"tagger": {"path": "tagger"}}, "tagger"),
        ({"name": "a/b"}, "name"),
        ({"bank": {"photos": "x"}}, r"bank\.annotations"),
    ],
)
def test_what_a_source_must_not_say_is_named(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(PackingError, match=rf"is not a source: {named}"):
        read_source(write(tmp_path, **changes))


def test_a_file_that_is_missing_a_folder_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match="no such source"):
        read_source(tmp_path / "nothing.yaml")
    with pytest.raises(PackingError, match="is a folder"):
        read_source(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(PackingError, match="is not a source"):
        read_source(tmp_path / "bad.yaml")
