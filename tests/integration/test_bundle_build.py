"""`admirer bundle build` from a hub, through the hub's real client: the demo's models come back."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.hub import Fault, Hub, running_hub

from models import captioning
from models.bundle import Bundle
from models.manifest import Manifest
from models.pixels import read_rgb
from models.settings import EngineSettings
from training.checkpoints.blip import make_small_blip
from training.checkpoints.qwen import make_small_qwen2, make_small_qwen3
from training.checkpoints.rt_detr import make_rt_detr_v2
from training.checkpoints.siglip import make_small_siglip2

DEMO = Path("bundles/demo")
PARTS = ("captioner", "tagger", "clip", "answerer")
SMALL = {
    "ADMIRER_CAPTIONER__MAX_NEW_TOKENS": "8",
    "ADMIRER_TAGGER__MAX_TAGS": "1",
    "ADMIRER_ASSEMBLER__INSTRUCTION": "Answer.",
}
"""Small checkpoints have few positions, and tokens of a letter or two."""
ADMIRER = Path(sys.executable).with_name("admirer")


@dataclass
class World:
    """A hub of the demo's checkpoints, and a folder for everything else."""

    hub: Hub
    folder: Path

    def source(self, **changes: object) -> Path:
        content: dict[str, object] = {"name": "tried", "version": "1"}
        content |= {part: {"repo": f"demo/{part}"} for part in PARTS}
        file = self.folder / "source.yaml"
        file.write_text(yaml.safe_dump(content | changes))
        return file

    def run(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key[:3] != "HF_"}
        environment |= {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "hf")}
        return subprocess.run(
            [ADMIRER, "bundle", *map(str, arguments)],
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def downloads(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.hub.paths(origin="store")]


def write_repositories(root: Path) -> None:
    """Write the demo's checkpoints, without graphs; the captioner's weights as a pickle."""
    import torch
    from safetensors.torch import load_file

    for part in PARTS:
        folder = root / "demo" / part
        shutil.copytree(DEMO / part, folder, ignore=shutil.ignore_patterns("*.onnx"))
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# Drawn rooms\n")
        (folder / "LICENSE").write_text("MIT\n")
    weights = root / "demo" / "captioner" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    write_repositories(tmp_path / "repositories")
    with running_hub(tmp_path / "repositories") as hub:
        yield World(hub, tmp_path)


def failed(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a build that failed."""
    assert result.returncode == 1, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert lines == result.stderr.splitlines()[-1:]
    assert "Traceback" not in result.stderr
    return lines[0]


def manifest_of(folder: Path) -> Manifest:
    manifest = Manifest.load(folder)
    assert manifest is not None
    return manifest


def caption(folder: Path) -> list[str]:
    bundle = Bundle.load(folder)
    place = bundle.folder(bundle.captioner)
    model = captioning.load(place, EngineSettings(), num_beams=1, max_new_tokens=30)
    with (DEMO / "photos" / "photo-01.jpg").open("rb") as photo:
        return model.caption([read_rgb(photo)])


def test_a_source_becomes_a_bundle_that_serves_and_is_built_once(world: World) -> None:
    rows = (DEMO / "bank" / "examples.jsonl").read_text().splitlines()[:20]
    (world.folder / "solved.jsonl").write_text("\n".join(rows))
    source = world.source(bank={"annotations": "solved.jsonl"})
    out = world.folder / "bundles" / "tried"
    built = world.run("build", source, "--out", out)
    assert built.returncode == 0, built.stderr
    assert "To download: " in built.stderr

    manifest = manifest_of(out)
    commits = {name: part.commit for name, part in manifest.parts.items()}
    assert commits == {part: world.hub.commit(f"demo/{part}") for part in PARTS}
    assert {part.licence for part in manifest.parts.values()} == {"mit"}
    assert manifest.parts["tagger"].parity["compared_tags"] > 0
    origins = {file.path: file.origin for file in manifest.files}
    assert origins["captioner/model.safetensors"] == "converted"
    assert origins["clip/model.safetensors"] == "downloaded"
    assert origins["answerer/model.onnx"] == "exported"
    assert {f"{part}/{name}" for part in PARTS for name in ("LICENSE", "README.md")} <= set(origins)
    assert "captioner/pytorch_model.bin" not in origins
    assert caption(out) == caption(DEMO)
    bank = Bundle.load(out).bank_folder()
    assert bank is not None
    assert len((bank / "examples.jsonl").read_text().splitlines()) == 20
    assert world.run("verify", out).returncode == 0
    assert [each.name for each in out.parent.iterdir()] == ["tried"]

    made, asked = out.stat().st_ino, len(world.hub.asked)
    again = world.run("build", source, "--out", out)
    assert again.returncode == 0
    assert "is up to date" in again.stderr
    assert out.stat().st_ino == made
    new = {each.path for each in world.hub.asked[asked:] if "/demo/" in each.path}
    assert new == {f"/api/models/demo/{part}/revision/main" for part in PARTS}

    # The hub's branch moves.
    card = world.hub.root / "demo" / "clip" / "README.md"
    card.write_text(card.read_text() + "More.\n")
    assert "add --replace" in failed(world.run("build", source, "--out", out))
    assert out.stat().st_ino == made


def test_the_source_for_laptops_becomes_a_bundle_that_answers(world: World) -> None:
    source = Path("bundles/laptop.yaml")
    named = yaml.safe_load(source.read_text())
    place = {part: world.hub.root / named[part]["repo"] for part in PARTS}
    make_small_blip(place["captioner"])
    make_rt_detr_v2(place["tagger"], side=320)
    shutil.copytree(world.hub.root / "demo" / "clip", place["clip"])
    make_small_qwen2(place["answerer"])
    out = world.folder / "bundles" / "laptop"
    built = world.run("build", source, "--out", out)
    assert built.returncode == 0, built.stderr
    photo = DEMO / "photos" / "photo-01.jpg"
    asked = subprocess.run(
        [ADMIRER, "ask", photo, "what is there?", "--bundle", out, "--explain"],
        env=os.environ | SMALL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert "laptop@1" in asked.stdout


def test_a_source_of_siglip_and_a_sharded_qwen_becomes_a_bundle(world: World) -> None:
    make_small_siglip2(world.hub.root / "small" / "siglip2")
    make_small_qwen3(world.hub.root / "small" / "qwen3")
    source = world.source(clip={"repo": "small/siglip2"}, answerer={"repo": "small/qwen3"})
    out = world.folder / "bundles" / "tried"
    built = world.run("build", source, "--out", out)
    assert built.returncode == 0, built.stderr
    parts = manifest_of(out).parts
    assert parts["clip"].parity["vector"] < 1e-4
    assert parts["answerer"].parity["different_answers"] == 0
    assert world.run("verify", out).returncode == 0


def test_a_pinned_bundle_needs_no_hub_once_its_files_are_cached(world: World) -> None:
    parts: dict[str, Any] = {
        part: {"repo": f"demo/{part}", "revision": world.hub.commit(f"demo/{part}")}
        for part in PARTS[:3]
    }
    source = world.source(**parts, answerer={"openai": {"model": "gpt-4.1-mini"}})
    out = world.folder / "tried"
    assert world.run("build", source, "--out", out).returncode == 0
    weights = world.downloads()
    assert sorted(weights) == ["model.safetensors", "model.safetensors", "pytorch_model.bin"]
    asked = len(world.hub.asked)
    assert "is up to date" in world.run("build", source, "--out", out).stderr

    other = world.folder / "other"
    offline = world.run("build", source, "--out", other, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert len(world.hub.asked) == asked
    first, second = manifest_of(out), manifest_of(other)
    assert first.files == second.files, "the same source makes the same bytes"
    assert first.parts == second.parts


def test_a_build_that_broke_keeps_nothing_but_the_cache(world: World) -> None:
    out = world.folder / "bundles" / "tried"
    world.hub.faults.append(Fault("answerer/-/model.safetensors", status=404))
    line = failed(world.run("build", world.source(), "--out", out))
    assert "answerer (demo/answerer): the hub answers 404" in line
    assert list(out.parent.iterdir()) == []
    assert world.downloads().count("pytorch_model.bin") == 1

    config = world.hub.root / "demo" / "answerer" / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"num_hidden_layers": 50}))
    line = failed(world.run("build", world.source(), "--out", out))
    assert "the checkpoint has no weights for" in line
    assert list(out.parent.iterdir()) == []
    assert world.downloads().count("pytorch_model.bin") == 1, "it was in the cache"


def test_a_server_refuses_a_truncated_bundle_before_ray_starts(tmp_path: Path) -> None:
    bundle = tmp_path / "demo"
    shutil.copytree(DEMO, bundle)
    files = [
        {"path": "clip/model.safetensors", "size": 7, "sha256": "0" * 64, "origin": "downloaded"}
    ]
    content = {"name": "demo", "version": "1", "source": {}, "parts": {}, "tools": {}}
    (bundle / "manifest.json").write_text(json.dumps(content | {"files": files}))
    result = subprocess.run(
        [ADMIRER, "serve", "--bundle", str(bundle)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "clip/model.safetensors has" in result.stderr
    assert result.stderr.count("\n") == 1
