"""Both engines against transformers' own image processor, generate and tokenizer."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, VisionEncoderDecoderModel, ViTImageProcessorPil

from models.captioning import load
from models.pixels import Rgb
from models.settings import EngineSettings
from training.checkpoints import vit_gpt2
from training.checkpoints.photos import noisy_gradients

DEMO = Path("bundles/demo/captioner")
GENERATION: dict[str, dict[str, object]] = {
    "plain": {},
    "long and early": {"length_penalty": 2.0, "early_stopping": True},
    "short and never early": {"length_penalty": -1.0, "early_stopping": "never"},
    "forced ends": {"forced_bos_token_id": 5, "forced_eos_token_id": 3},
    "two ends": {"eos_token_id": [3, 40]},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    vit_gpt2.make_small_captioner(folder)
    return folder


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("production")
    vit_gpt2.make_production_captioner(folder)
    yield folder
    shutil.rmtree(folder)  # 2 GB


class Reference:
    """Captions as the checkpoint's model card computes them."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._model = VisionEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._processor = ViTImageProcessorPil.from_pretrained(folder)

    def __call__(self, photos: list[Rgb], **options: Any) -> tuple[list[list[int]], list[str]]:
        images = [Image.fromarray(photo) for photo in photos]
        pixels = self._processor(images=images, return_tensors="pt").pixel_values
        written = self._model.generate(pixels, do_sample=False, **options)
        captions = self._tokenizer.batch_decode(written, skip_special_tokens=True)
        ends = self._model.generation_config.eos_token_id
        return [
            cut(row, ends if isinstance(ends, list) else [ends]) for row in written[:, 1:].tolist()
        ], [caption.strip() for caption in captions]


def cut(row: list[int], ends: list[int]) -> list[int]:
    """The row without what `generate` fills it up with after its end."""
    found = [index for index, token in enumerate(row) if token in ends]
    return row[: found[0] + 1] if found else row


def engines() -> list[EngineSettings]:
    return [EngineSettings(engine="onnx"), EngineSettings(engine="torch")]


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("name", GENERATION)
def test_both_engines_write_the_ids_and_captions_of_transformers(
    small: Path, tmp_path: Path, name: str, num_beams: int
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(small, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | GENERATION[name]))
    photos = noisy_gradients(7)
    ids, captions = Reference(folder)(photos, num_beams=num_beams, max_new_tokens=24)
    assert len({tuple(row) for row in ids}) > 2, "the photos must matter"
    for engine in engines():
        model = load(folder, engine, num_beams=num_beams, max_new_tokens=24)
        assert model.caption_ids(photos) == ids
        assert model.caption(photos) == captions


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_photo_has_the_same_caption_alone_and_in_a_batch(small: Path, num_beams: int) -> None:
    photos = noisy_gradients(5, seed=4)
    model = load(small, EngineSettings(), num_beams=num_beams, max_new_tokens=20)
    together = model.caption_ids(photos)
    assert [model.caption_ids([photo])[0] for photo in photos] == together
    assert model.caption_ids([]) == []


def test_more_new_tokens_than_the_decoder_has_positions_are_refused(small: Path) -> None:
    for engine in engines():
        with pytest.raises(ValueError, match="64"):
            load(small, engine, num_beams=1, max_new_tokens=65)


def test_weights_are_stored_once(small: Path) -> None:
    graphs = [small / "encoder.onnx", small / "decoder.onnx"]
    weights = (small / "model.safetensors").stat().st_size
    sizes = [graph.stat().st_size for graph in graphs]
    assert b"model.safetensors" in graphs[0].read_bytes()
    assert sum(sizes) < weights


@pytest.mark.timeout(900)  # 240 million weights; about 40 s where two cores are free
def test_the_production_checkpoint_is_captioned_as_transformers_does(production: Path) -> None:
    photos = noisy_gradients(2, seed=1)
    reference = Reference(production)
    expected = {beams: reference(photos, num_beams=beams, max_new_tokens=6) for beams in (1, 4)}
    del reference
    for num_beams, (ids, captions) in expected.items():
        assert ids[0] != ids[1], "the photos must matter"
        model = load(production, EngineSettings(), num_beams=num_beams, max_new_tokens=6)
        assert model.caption_ids(photos) == ids
        assert model.caption(photos) == captions


@pytest.mark.parametrize("num_beams", [1, 4])
def test_the_demo_captioner_says_the_same_on_both_engines(num_beams: int) -> None:
    from training.drawing import draw
    from training.scenes import sample_scene

    photos = [_rgb(draw(sample_scene(seed, "test"))) for seed in range(8)]
    onnx, torch_ = (
        load(DEMO, engine, num_beams=num_beams, max_new_tokens=110) for engine in engines()
    )
    assert onnx.caption_ids(photos) == torch_.caption_ids(photos)


def _rgb(image: Image.Image) -> Rgb:
    import numpy as np

    return np.asarray(image)
