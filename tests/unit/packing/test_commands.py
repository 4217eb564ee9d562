"""`admirer bundle show`, `verify` and `list`, and builds that end before anything is exported."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.hub import Hub
from support.repositories import write_repository
from typer.testing import CliRunner

from models.bundle import Bundle, BundleError
from models.manifest import MANIFEST, FileEntry, Manifest, PartEntry
from packing.commands import app

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PARTS = ("captioner", "tagger", "clip", "answerer")


@pytest.fixture
def run() -> Any:
    runner = CliRunner(env={"COLUMNS": "120"})
    return lambda *arguments: runner.invoke(app, [str(each) for each in arguments])


def write_bundle(folder: Path) -> Path:
    """Write a bundle whose weights are a few bytes, with its manifest."""
    content = {part: {"path": part} for part in PARTS}
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        (folder / part / "model.safetensors").write_bytes(part.encode())
    description = {"name": "mine", "version": "3", **content}
    (folder / "bundle.yaml").write_text(yaml.safe_dump(description))
    files = [
        FileEntry(
            path=file.relative_to(folder).as_posix(),
            size=file.stat().st_size,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            origin="downloaded",
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    entry = PartEntry(
        repo="someone/one",
        revision="main",
        commit=COMMIT,
        licence="mit",
        architecture="CLIPModel",
        parity={"vector": 1e-6},
    )
    manifest = Manifest(
        name="mine",
        version="3",
        source={},
        parts=dict.fromkeys(PARTS, entry),
        tools={"torch": "2"},
        files=tuple(files),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundles" / "mine")


def damage(bundle: Path, how: str) -> None:
    file = bundle / "clip" / "model.safetensors"
    if how == "changed":
        file.write_bytes(b"CLIP")
    elif how == "cut":
        file.write_bytes(b"cli")
    elif how == "gone":
        file.unlink()
    else:
        (bundle / "clip" / "more.bin").write_bytes(b"")


def test_a_whole_bundle_is_verified(run: Any, bundle: Path) -> None:
    result = run("verify", bundle)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "5 files are as the manifest says" in result.stdout


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("changed", "clip/model.safetensors is not what was built"),
        ("cut", "clip/model.safetensors is not what was built"),
        ("gone", "clip/model.safetensors is missing"),
        ("added", "clip/more.bin is not in the manifest"),
    ],
)
def test_verify_names_the_file_that_differs(run: Any, bundle: Path, how: str, line: str) -> None:
    damage(bundle, how)
    result = run("verify", bundle)
    assert result.exit_code == 1
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bundle_without_a_manifest_cannot_be_verified(run: Any) -> None:
    result = run("verify", "bundles/demo")
    assert result.exit_code == 1
    assert "has no manifest.json" in result.stderr


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_bundle_that_does_not_fit_its_manifest_is_not_loaded(bundle: Path, how: str) -> None:
    assert Bundle.load(bundle).name == "mine"
    damage(bundle, how)
    with pytest.raises(BundleError, match=r"clip/model\.safetensors"):
        Bundle.load(bundle)


def test_a_manifest_that_cannot_be_read_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="is not a manifest"):
        Bundle.load(bundle)


def test_show_prints_repositories_commits_licences_and_sizes(run: Any, bundle: Path) -> None:
    result = run("show", bundle)
    assert result.exit_code == 0
    for text in ("mine 3", "someone/one", COMMIT[:12], "mit", "vector 1e-06", "torch 2"):
        assert text in result.stdout


def test_show_knows_bundles_without_a_manifest(run: Any) -> None:
    result = run("show", "bundles/demo")
    assert result.exit_code == 0
    assert "It has no manifest.json" in result.stdout


def test_list_shows_every_bundle_and_what_is_wrong(run: Any, bundle: Path) -> None:
    other = bundle.with_name("other")
    shutil.copytree(bundle, other)
    damage(other, "gone")
    result = run("list", bundle.parent)
    assert result.exit_code == 0
    assert "mine" in result.stdout
    assert "is missing" in " ".join(result.stdout.split())


def test_a_folder_without_bundles_is_said_to_be_one(run: Any, tmp_path: Path) -> None:
    for folder, line in ((tmp_path, "holds no bundles"), (tmp_path / "x", "no such folder")):
        result = run("list", folder)
        assert result.exit_code == 1
        assert line in result.stderr


def write_source(folder: Path, **changes: object) -> Path:
    parts: dict[str, object] = {part: {"repo": "someone/a-captioner"} for part in PARTS[:3]}
    parts["answerer"] = {"openai": {"model": "gpt-4.1-mini"}}
    file = folder / "source.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "version": "1", **parts, **changes}))
    return file


def test_a_build_that_is_refused_leaves_nothing(run: Any, hub: Hub, tmp_path: Path) -> None:
    write_repository(hub.root, "someone/a-captioner")
    result = run("build", write_source(tmp_path), "--out", tmp_path / "out" / "mine")
    assert result.exit_code == 1
    assert "a tagger can be" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not any("model.safetensors" in each.path for each in hub.asked), "nothing large yet"


def test_a_disk_without_room_is_said_before_anything_large_is_fetched(
    run: Any, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, name in (("tagger", "DetrForSegmentation"), ("clip", "CLIPModel")):
        write_repository(hub.root, f"a/{part}", config__json=f'{{"architectures": ["{name}"]}}')
    write_repository(hub.root, "a/captioner")
    parts = {part: {"repo": f"a/{part}"} for part in PARTS[:3]}
    source = write_source(tmp_path, **parts)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _place: usage)
    result = run("build", source, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "MB are needed; free some" in result.stderr
    assert not any("model.safetensors" in each.path for each in hub.asked)


def test_what_is_no_bundle_is_not_overwritten(run: Any, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    result = run("build", write_source(tmp_path), "--out", tmp_path / "out", "--replace")
    assert result.exit_code == 1
    assert "has no manifest.json; choose another --out" in result.stderr
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"
    assert not hub.asked


def test_examples_that_are_not_there_are_said_first(run: Any, hub: Hub, tmp_path: Path) -> None:
    source = write_source(tmp_path, bank={"annotations": "none.jsonl"})
    result = run("build", source, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "none.jsonl: No such file" in result.stderr
    assert not hub.asked
