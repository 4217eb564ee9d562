from pathlib import Path

import pytest

from models.bundle import BundleError
from serve.cli.preflight import check_files
from serve.settings import AppSettings

PARTS = ("captioner", "tagger", "clip", "answerer")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that has a graph for each part, and a bank."""
    lines = [f"{part}: {{path: {part}}}" for part in PARTS]
    text = "\n".join(["name: test", "version: '7'", *lines, "bank: bank"])
    (tmp_path / "bundle.yaml").write_text(text)
    (tmp_path / "bank").mkdir()
    for part in PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "model.onnx").touch()
    return tmp_path


def check(bundle: Path, **settings: object) -> None:
    check_files(AppSettings.model_validate({"bundle": str(bundle), **settings}))


def test_a_whole_bundle_passes(bundle: Path) -> None:
    check(bundle)


@pytest.mark.parametrize("part", [*PARTS, "bank"])
def test_a_part_that_is_not_there_is_named(bundle: Path, part: str) -> None:
    folder = bundle / part
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(BundleError, match=part):
        check(bundle)


def test_a_part_without_the_files_of_its_engine_is_named_by_its_stage(bundle: Path) -> None:
    (bundle / "clip" / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"retriever .*engine onnx.*no \*\.onnx"):
        check(bundle)


def test_an_engine_that_is_not_installed_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "serve.cli.preflight.find_spec", lambda name: None if name == "torch" else object()
    )
    with pytest.raises(BundleError, match="tagger is set to engine torch, but torch is not"):
        check(bundle, tagger={"engine": {"engine": "torch"}})


def test_a_language_model_elsewhere_needs_no_files(bundle: Path) -> None:
    text = (bundle / "bundle.yaml").read_text()
    (bundle / "bundle.yaml").write_text(
        text.replace("answerer: {path: answerer}", "answerer: {openai: {model: m}}")
    )
    (bundle / "answerer" / "model.onnx").unlink()
    check(bundle)
