"""Both engines against transformers' own CLIP, and our tokenizers against its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
)

from bank.photo_files import read_photo as read_for_the_bank
from models.clip import ClipModel, load
from models.clip.words import Words
from models.pixels import Rgb, decode_jpeg
from models.settings import EngineSettings
from models.text import load_tokenizer
from serve.api.photos import read_photo as read_for_the_app
from serve.settings import Limits
from training.checkpoints import clip
from training.checkpoints.photos import coloured_rectangles
from training.drawing import draw, draw_jpeg
from training.export.parts import export_part
from training.scenes import canonical_caption, sample_scene

DEMO = Path("bundles/demo/clip")
SCENES = [sample_scene(seed, "test") for seed in range(12)]
SCENE_TEXTS = [canonical_caption(scene) for scene in SCENES] + ["what tells the time?"]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("production")
    clip.make_clip_base_patch16(folder)
    export_part("clip", folder)
    yield folder
    shutil.rmtree(folder)  # 600 MB


@pytest.fixture(scope="module")
def scene_photos() -> list[Rgb]:
    return [decode_jpeg(draw_jpeg(scene)) for scene in SCENES]


def reference_photos(folder: Path, photos: list[Rgb]) -> NDArray[np.float32]:
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    images = [Image.fromarray(photo) for photo in photos]
    with torch.inference_mode():
        inputs = processor(images=images, return_tensors="pt")
        return unit(model.get_image_features(**inputs).pooler_output)


def reference_texts(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=CLIPTextConfig.from_pretrained(folder).max_position_embeddings,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model.get_text_features(inputs.input_ids, attention_mask=inputs.attention_mask)
        return unit(output.pooler_output)


def unit(vectors: torch.Tensor) -> NDArray[np.float32]:
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def assert_vectors(model: ClipModel, folder: Path, photos: list[Rgb], texts: list[str]) -> None:
    of_photos, of_texts = reference_photos(folder, photos), reference_texts(folder, texts)
    # Vectors that are all alike would be equal for the wrong reason.
    assert np.ptp(of_photos, axis=0).max() > 0.01
    assert np.ptp(of_texts, axis=0).max() > 0.01
    np.testing.assert_allclose(model.embed_photos(photos), of_photos, atol=1e-4)
    np.testing.assert_allclose(model.embed_texts(texts), of_texts, atol=1e-4)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_production_vectors_equal_transformers(production: Path, engine: str) -> None:
    model = load(production, EngineSettings(engine=engine))
    photos = coloured_rectangles((224, 300), (250, 200))
    assert_vectors(model, production, photos, clip.TEXTS)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_demo_vectors_equal_transformers(scene_photos: list[Rgb], engine: str) -> None:
    model = load(DEMO, EngineSettings(engine=engine))
    assert_vectors(model, DEMO, scene_photos, [*SCENE_TEXTS, " ".join(SCENE_TEXTS)])


def test_the_demo_clip_finds_the_caption_of_a_scene(scene_photos: list[Rgb]) -> None:
    model = load(DEMO, EngineSettings())
    captions = model.embed_texts(SCENE_TEXTS[: len(SCENES)])
    best = (model.embed_photos(scene_photos) @ captions.T).argmax(axis=1)
    assert (best == np.arange(len(SCENES))).mean() > 0.5


def test_vectors_have_unit_length(scene_photos: list[Rgb]) -> None:
    model = load(DEMO, EngineSettings())
    vectors = np.concatenate([model.embed_photos(scene_photos), model.embed_texts(SCENE_TEXTS)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode"), [("clear.png", "RGBA"), ("clear.webp", "RGBA"), ("gray16.png", "I;16")]
)
def test_bank_and_app_make_one_vector_of_a_file(name: str, mode: str, tmp_path: Path) -> None:
    photo = draw(SCENES[0])
    if mode == "RGBA":
        clear_on_the_left = Image.new("L", photo.size, 255)
        clear_on_the_left.paste(0, (0, 0, 320, 480))
        photo.putalpha(clear_on_the_left)
    else:
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) << 8)
    photo.save(tmp_path / name)
    app = decode_jpeg(read_for_the_app((tmp_path / name).read_bytes(), Limits()).jpeg)
    vectors = load(DEMO, EngineSettings()).embed_photos([read_for_the_bank(tmp_path / name), app])
    assert vectors[0] @ vectors[1] > 0.99


def test_a_tower_loads_without_the_other(tmp_path: Path, scene_photos: list[Rgb]) -> None:
    for path in DEMO.iterdir():
        if path.name != "image.onnx":
            shutil.copy(path, tmp_path)
    model = load(tmp_path, EngineSettings(), towers=["text"])
    assert model.embed_texts(["a clock"]).shape[0] == 1
    with pytest.raises(RuntimeError, match="without its image tower"):
        model.embed_photos(scene_photos)


def test_a_text_that_is_too_long_keeps_its_end_of_text_token(production: Path) -> None:
    ids, mask = Words.from_folder(production)(clip.TEXTS)
    end = load_tokenizer(production).token_to_id(clip.END)
    assert ids.shape[1] == 77
    last = mask.sum(axis=1) - 1
    assert (ids[np.arange(len(ids)), last] == end).all()
    assert ((ids == end).argmax(axis=1) == last).all()


def test_a_tokenizer_made_from_vocabulary_and_merges_equals_transformers(tmp_path: Path) -> None:
    clip.write_clip_words(tmp_path, vocabulary_size=600)
    reference = CLIPTokenizer.from_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    for text in clip.TEXTS:
        assert ours.encode(text).ids == reference(text).input_ids
