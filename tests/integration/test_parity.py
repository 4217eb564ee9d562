"""Graphs that compute something else than transformers are noticed."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from packing.errors import PackingError
from packing.parity import measure

DEMO = Path("bundles/demo")


@pytest.mark.filterwarnings("ignore:You'd better set embed_dim")
@pytest.mark.parametrize("part", ["captioner", "tagger", "clip", "answerer"])
def test_graphs_that_read_other_weights_are_refused(tmp_path: Path, part: str) -> None:
    folder = tmp_path / part
    shutil.copytree(DEMO / part, folder)
    weights = load_file(folder / "model.safetensors")
    # Changes what lies at the offsets that the graphs name, and nothing for transformers.
    name = max(weights, key=lambda each: weights[each].numel())
    other = {"0": torch.full_like(weights[name], 0.01), **weights}
    save_file(other, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PackingError, match=rf"{part}: the exported graphs differ"):
        measure(part, folder, threads=1)
