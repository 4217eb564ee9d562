"""Weights of published repositories become one safetensors file, and no code of theirs runs."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from packing.errors import PackingError
from packing.weights import to_safetensors

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.float16)}


def converted(folder: Path) -> dict[str, torch.Tensor]:
    assert to_safetensors(folder, "clip")
    assert [file.name for file in folder.iterdir()] == ["model.safetensors"]
    return load_file(folder / "model.safetensors")


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_of_tensors_is_converted_exactly(tmp_path: Path, *, is_zip: bool) -> None:
    file = tmp_path / "pytorch_model.bin"
    torch.save(WEIGHTS, file, _use_new_zipfile_serialization=is_zip)
    assert are_equal(converted(tmp_path), WEIGHTS)


def test_tied_and_transposed_weights_are_written_whole(tmp_path: Path) -> None:
    tied = {"a": WEIGHTS["a"], "same": WEIGHTS["a"], "turned": WEIGHTS["a"].T}
    torch.save(tied, tmp_path / "pytorch_model.bin")
    assert are_equal(converted(tmp_path), tied)


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_shards_are_joined(tmp_path: Path, kind: str) -> None:
    stem = "pytorch_model" if kind == "bin" else "model"
    for number, (name, value) in enumerate(WEIGHTS.items(), 1):
        file = tmp_path / f"{stem}-0000{number}-of-00002.{kind}"
        (torch.save if kind == "bin" else save_file)({name: value}, file)
    index = {"weight_map": dict.fromkeys(WEIGHTS, "any")}
    (tmp_path / f"{stem}.{kind}.index.json").write_text(json.dumps(index))
    assert are_equal(converted(tmp_path), WEIGHTS)


def test_a_shard_that_is_missing_is_noticed(tmp_path: Path) -> None:
    save_file({"a": WEIGHTS["a"]}, tmp_path / "model-00001-of-00002.safetensors")
    index = {"weight_map": dict.fromkeys(WEIGHTS, "any")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(PackingError, match="names b, which no shard holds"):
        to_safetensors(tmp_path, "clip")


class Code:
    """Runs a program when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f'{sys.executable} -c \'open("{self.trace}", "w")\'',)


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path, *, is_zip: bool) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "clip").mkdir()
    file = tmp_path / "clip" / "pytorch_model.bin"
    torch.save({"a": Code(trace)}, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(PackingError, match="holds more than tensors"):
        to_safetensors(tmp_path / "clip", "clip")
    assert not trace.exists()
    assert not (tmp_path / "clip" / "model.safetensors").exists()
    torch.load(file, weights_only=False)
    assert trace.exists(), "or else the test proves nothing"


@pytest.mark.parametrize("content", [{"a": 1}, [WEIGHTS["a"]]])
def test_anything_but_names_and_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(PackingError, match="not a mapping of names to tensors"):
        to_safetensors(tmp_path, "clip")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model-00001-of-00001.safetensors"])
@pytest.mark.parametrize("kept", [0, 40, 300])
def test_truncated_weights_are_one_line(tmp_path: Path, name: str, kept: int) -> None:
    file = tmp_path / name
    (torch.save if name.endswith("bin") else save_file)(WEIGHTS, file)
    file.write_bytes(file.read_bytes()[:kept] if kept < file.stat().st_size - 8 else b"")
    with pytest.raises(PackingError, match=rf"clip: {name} cannot be read|holds more than"):
        to_safetensors(tmp_path, "clip")
