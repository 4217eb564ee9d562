"""Both engines against transformers' own SigLIP, and our token ids against its tokenizer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import Siglip2Tokenizer, SiglipImageProcessorPil, SiglipModel

from models.clip import load
from models.clip.words import Words
from models.settings import EngineSettings
from training.checkpoints import clip, siglip
from training.checkpoints.photos import coloured_rectangles
from training.export.parts import export_part

PHOTOS = coloured_rectangles((224, 300), (250, 200), (64, 500))
TEXTS = [*clip.TEXTS, "WHAT IS ON THE TABLE?", "ΟΔΟΣ İstanbul 🙂"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    siglip.make_small_siglip2(folder)
    export_part("clip", folder)
    return folder


def reference_ids(folder: Path) -> torch.Tensor:
    tokenizer: Any = Siglip2Tokenizer.from_pretrained(folder)
    inputs = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )
    ids: torch.Tensor = inputs.input_ids
    return ids


def unit(vectors: torch.Tensor) -> NDArray[np.float32]:
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_vectors_equal_transformers(small: Path, engine: str) -> None:
    reference = SiglipModel.from_pretrained(small, dtype=torch.float32)
    processor = SiglipImageProcessorPil.from_pretrained(small)
    pixels = processor(images=[Image.fromarray(photo) for photo in PHOTOS], return_tensors="pt")
    with torch.inference_mode():
        of_photos = unit(reference.get_image_features(**pixels).pooler_output)
        of_texts = unit(reference.get_text_features(reference_ids(small)).pooler_output)
    # Vectors that are all alike would be equal for the wrong reason.
    assert np.ptp(of_photos, axis=0).max() > 0.01
    assert np.ptp(of_texts, axis=0).max() > 0.01
    model = load(small, EngineSettings(engine=engine))
    np.testing.assert_allclose(model.embed_photos(PHOTOS), of_photos, atol=1e-4)
    np.testing.assert_allclose(model.embed_texts(TEXTS), of_texts, atol=1e-4)
    for photo, vector in zip(PHOTOS, of_photos, strict=True):
        np.testing.assert_allclose(model.embed_photos([photo])[0], vector, atol=1e-4)


def test_texts_are_lower_cased_and_padded_as_by_the_tokenizer_of_siglip2(small: Path) -> None:
    ids, mask = Words.from_folder(small)(TEXTS)
    np.testing.assert_array_equal(ids, reference_ids(small).numpy())
    assert ids.shape == mask.shape == (len(TEXTS), 64)
    assert mask.all()


def test_a_text_that_is_too_long_keeps_its_end(small: Path) -> None:
    words = Words.from_folder(small)
    ids, _ = words(["two red clocks and a mug" * 20])
    assert words.tokenizer.id_to_token(ids[0, -1]) == "<eos>"


def test_no_texts_are_refused(small: Path) -> None:
    with pytest.raises(ValueError, match="no texts"):
        Words.from_folder(small)([])


def test_a_tower_loads_without_the_other(small: Path) -> None:
    for engine in ("onnx", "torch"):
        model = load(small, EngineSettings(engine=engine), towers=["text"])
        assert model.embed_texts(["a clock"]).shape == (1, 96)
        with pytest.raises(RuntimeError, match="without its image tower"):
            model.embed_photos(PHOTOS)
