"""A bundle's file, and where its parts are looked for."""

import shutil
from pathlib import Path

import pytest
import yaml

from models.bundle import (
    Bundle,
    BundleError,
    HubPart,
    LocalPart,
    OpenAiPart,
    SampleQuestion,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"
PARTS = {
    "captioner": {"path": "captioner"},
    "tagger": {"repo": "someone/a-tagger", "revision": REVISION},
    "clip": {"path": "clip"},
    "answerer": {"openai": {"model": "gpt-4.1-mini"}},
}


def write(folder: Path, **changes: object) -> Path:
    content = {"name": "mine", "version": "3", **PARTS, **changes}
    path = folder / "bundle.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("path", ["bundles/demo", "bundles/hub.yaml"])
def test_the_bundles_of_this_repository_are_valid(path: str) -> None:
    assert Bundle.load(path).name == Path(path).stem


def test_the_hub_bundle_pins_every_public_checkpoint() -> None:
    bundle = Bundle.load("bundles/hub.yaml")
    for part in (bundle.captioner, bundle.tagger, bundle.clip):
        assert isinstance(part, HubPart)
    assert isinstance(bundle.answerer, OpenAiPart)


def test_a_local_part_lies_beside_the_bundles_file(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path))
    (tmp_path / "captioner").mkdir()
    assert bundle.folder(bundle.captioner) == tmp_path / "captioner"
    with pytest.raises(BundleError, match="clip is not there"):
        bundle.folder(bundle.clip)


def test_a_hub_part_lies_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = Path("models--someone--a-tagger", "snapshots", REVISION)
    (tmp_path / "cache" / "hub" / snapshot).mkdir(parents=True)
    bundle = Bundle.load(write(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    assert bundle.folder(bundle.tagger) == tmp_path / "cache" / "hub" / snapshot
    shutil.move(tmp_path / "cache" / "hub", tmp_path / "elsewhere")
    assert bundle.folder(bundle.tagger, models_dir=tmp_path / "elsewhere").is_dir()


def test_a_missing_hub_part_says_what_to_fetch(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path))
    with pytest.raises(BundleError, match=f"hf download someone/a-tagger --revision {REVISION}"):
        bundle.folder(bundle.tagger, models_dir=tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"speed": "fast"},
        {"tagger": {"path": "tagger", "colour": "red"}},
        {"tagger": {"repo": "someone/a-tagger", "revision": "main"}},
        {"tagger": {"repo": "someone/a-tagger"}},
        {"captioner": {"openai": {"model": "gpt-4.1-mini"}}},
        {"clip": None},
    ],
)
def test_what_a_bundle_must_not_say_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.load(write(tmp_path, **changes))


def test_a_file_that_is_missing_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle.load(tmp_path)
    (tmp_path / "bundle.yaml").write_text("name: [")
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.load(tmp_path)


def test_a_bundle_may_do_without_examples(tmp_path: Path) -> None:
    assert Bundle.load(write(tmp_path)).bank_folder() is None
    (tmp_path / "bank").mkdir()
    assert Bundle.load(write(tmp_path, bank="bank")).bank_folder() == tmp_path / "bank"


def test_every_part_is_named_with_its_revision(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path, clip=LocalPart(path="c").model_dump()))
    assert bundle.revisions() == {
        "captioner": "mine/captioner@3",
        "tagger": f"someone/a-tagger@{REVISION}",
        "clip": "mine/c@3",
        "answerer": "gpt-4.1-mini",
    }


def test_the_sample_question_is_the_first_about_the_bundles_photos(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path))
    assert bundle.sample_question() is None
    (tmp_path / "photos").mkdir()
    rows = tmp_path / "photos" / "questions.jsonl"
    rows.write_text('{"photo": "room.jpg", "question": "what is it?", "answer": "a mug"}\n[]\n')
    assert bundle.sample_question() is None, "the photo is missing"
    photo = tmp_path / "photos" / "room.jpg"
    photo.write_bytes(b"")
    assert bundle.sample_question() == SampleQuestion(photo, "what is it?")
    rows.write_text("[]\n")
    assert bundle.sample_question() is None
