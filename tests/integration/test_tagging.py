"""Both engines against transformers' own pipelines and post-processing."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import (
    AutoModelForObjectDetection,
    DetrForSegmentation,
    DetrImageProcessorPil,
    RTDetrImageProcessorPil,
    pipeline,
)

from models.pixels import Rgb, decode_jpeg
from models.settings import EngineSettings
from models.tagging import Tag, load
from training.checkpoints import detr, rt_detr
from training.checkpoints.photos import coloured_rectangles
from training.drawing import draw, draw_jpeg
from training.export.parts import export_part
from training.scenes import sample_scene

DEMO = Path("bundles/demo/tagger")
PHOTOS = Path("../shared/data/photos")
PANOPTIC_THRESHOLD = 0.7
_LAST_THING = 90

Box = tuple[float, ...]

# RT-DETRv2 recommends powers of two for its authors' CUDA kernel, which nobody here uses.
pytestmark = pytest.mark.filterwarnings("ignore:You'd better set embed_dim:UserWarning")


@pytest.fixture(scope="module")
def panoptic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("panoptic")
    detr.make_detr_panoptic(folder, shortest_edge=128)
    export_part("tagger", folder)
    return folder


@pytest.fixture(scope="module")
def small_detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("detr")
    detr.make_small_detr(folder)
    export_part("tagger", folder)
    return folder


@pytest.fixture(scope="module", params=[rt_detr.make_rt_detr, rt_detr.make_rt_detr_v2])
def r18(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("r18")
    request.param(folder, side=320)
    export_part("tagger", folder)
    return folder


@pytest.fixture(scope="module")
def scenes() -> list[Rgb]:
    return [decode_jpeg(draw_jpeg(sample_scene(seed, "test"))) for seed in range(6)]


def assert_same(found: tuple[Tag, ...], expected: list[tuple[str, float, Box]]) -> None:
    """Labels equal, boxes within a pixel; order among equal places does not count."""
    assert len(expected) > 1, "the reference found too little to compare"
    ours = sorted((tag.label, tag.score, tag.box) for tag in found)
    for (label, score, box), (wanted_label, wanted_score, wanted_box) in zip(
        ours, sorted(expected), strict=True
    ):
        assert label == wanted_label
        assert score == pytest.approx(wanted_score, abs=1e-4)
        np.testing.assert_allclose(box, wanted_box, atol=1.0)


def of_pipeline(folder: Path, photo: Rgb) -> list[tuple[str, float, Box]]:
    """Labels, scores and boxes of transformers' pipeline, with uncountable labels joined."""
    segment = pipeline(
        "image-segmentation",
        model=DetrForSegmentation.from_pretrained(folder),
        image_processor=DetrImageProcessorPil.from_pretrained(folder),
    )
    segments: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for number, part in enumerate(
        segment(
            Image.fromarray(photo),
            threshold=PANOPTIC_THRESHOLD,
            mask_threshold=0.5,
            overlap_mask_area_threshold=0.8,
        )
    ):
        countable = int(part["label"].split()[-1]) <= _LAST_THING
        segments[part["label"], number if countable else -1].append(part)
    return [
        (label, max(part["score"] for part in parts), box_of([part["mask"] for part in parts]))
        for (label, _), parts in segments.items()
    ]


def box_of(masks: list[Image.Image]) -> Box:
    pixels = np.any([np.asarray(mask) > 0 for mask in masks], axis=0)
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_panoptic_tags_equal_the_reference_pipelines(panoptic: Path, engine: str) -> None:
    model = load(
        panoptic,
        EngineSettings(engine=engine),
        score_threshold=PANOPTIC_THRESHOLD,
        max_tags=200,
    )
    photos = coloured_rectangles((240, 320), (300, 200))
    for photo, found in zip(photos, model.tag(photos), strict=True):
        assert_same(found, of_pipeline(panoptic, photo))


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_detr_boxes_equal_the_reference(small_detr: Path, engine: str) -> None:
    model = load(small_detr, EngineSettings(engine=engine), score_threshold=0.3, max_tags=200)
    processor = DetrImageProcessorPil.from_pretrained(small_detr)
    reference = AutoModelForObjectDetection.from_pretrained(small_detr)
    photos = coloured_rectangles((120, 160), (90, 200))
    for photo, found in zip(photos, model.tag(photos), strict=True):
        expected = reference_boxes(reference, processor, photo, threshold=0.3)
        assert_same(found, found_once(expected))


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_rt_detr_boxes_equal_the_reference(r18: Path, engine: str) -> None:
    model = load(r18, EngineSettings(engine=engine), max_tags=300)
    processor = RTDetrImageProcessorPil.from_pretrained(r18)
    reference = AutoModelForObjectDetection.from_pretrained(r18)
    photos = coloured_rectangles((240, 320), (300, 200), (111, 400))
    for photo, found in zip(photos, model.tag(photos), strict=True):
        expected = reference_boxes(reference, processor, photo, threshold=0.5)
        assert_same(found, found_once(expected))


def test_the_weights_of_rt_detr_have_the_published_names_and_are_stored_once(r18: Path) -> None:
    weights = r18 / "model.safetensors"
    with safe_open(weights, "np") as file:
        names = set(file.keys())
    assert "model.encoder.encoder.0.layers.0.self_attn.out_proj.weight" in names
    assert "model.decoder.layers.0.fc1.weight" in names
    assert (r18 / "model.onnx").stat().st_size < weights.stat().st_size / 10


def found_once(boxes: list[tuple[str, float, Box]]) -> list[tuple[str, float, Box]]:
    """Without the less sure of two boxes of one label that overlap by more than 0.7."""
    kept: list[tuple[str, float, Box]] = []
    for label, score, box in sorted(boxes, key=lambda one: -one[1]):
        if all(label != other or overlap(box, place) <= 0.7 for other, _, place in kept):
            kept.append((label, score, box))
    return kept


def reference_boxes(
    model: Any, processor: Any, photo: Rgb, *, threshold: float
) -> list[tuple[str, float, Box]]:
    """Transformers' own boxes, cut at the photo's border."""
    height, width = photo.shape[:2]
    inputs = processor(images=Image.fromarray(photo), return_tensors="pt")
    with torch.inference_mode():
        outputs = model(pixel_values=inputs.pixel_values)
    (result,) = processor.post_process_object_detection(
        outputs, threshold=threshold, target_sizes=[(height, width)]
    )
    boxes = result["boxes"].numpy().clip(0, [width, height, width, height])
    labels = (model.config.id2label[int(number)] for number in result["labels"])
    return [
        (label, float(score), tuple(box))
        for label, score, box in zip(labels, result["scores"], boxes, strict=True)
    ]


def agrees(tag: Tag, one: tuple[str, float, Box]) -> bool:
    label, score, box = one
    return (
        tag.label == label
        and abs(tag.score - score) < 1e-4
        and np.allclose(tag.box, box, atol=1.0, rtol=0)
    )


def overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (area(one) + area(other) - shared)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_the_demo_taggers_boxes_equal_the_reference(scenes: list[Rgb], engine: str) -> None:
    model = load(DEMO, EngineSettings(engine=engine), score_threshold=0.2, max_tags=200)
    processor = RTDetrImageProcessorPil.from_pretrained(DEMO)
    reference = AutoModelForObjectDetection.from_pretrained(DEMO, dtype=torch.float32)
    compared = 0
    for photo, found in zip(scenes, model.tag(scenes), strict=True):
        expected = reference_boxes(reference, processor, photo, threshold=0.2)
        assert found
        assert all(any(agrees(tag, one) for one in expected) for tag in found)
        compared += len(found)
    assert compared > len(scenes)


def test_the_demo_tags_are_the_same_on_both_engines(scenes: list[Rgb]) -> None:
    onnx, torch_ = (load(DEMO, EngineSettings(engine=engine)) for engine in ("onnx", "torch"))
    for found, expected in zip(onnx.tag(scenes), torch_.tag(scenes), strict=True):
        assert found
        assert [tag.label for tag in found] == [tag.label for tag in expected]
        assert all(
            agrees(tag, (o.label, o.score, o.box)) for tag, o in zip(found, expected, strict=True)
        )


def test_a_photos_tags_do_not_depend_on_the_batch(scenes: list[Rgb]) -> None:
    model = load(DEMO, EngineSettings())
    together = model.tag(scenes)
    for photo, tags in zip(scenes, together, strict=True):
        (alone,) = model.tag([photo])
        assert [tag.label for tag in alone] == [tag.label for tag in tags]
        centres = [tag.box[0] + tag.box[2] for tag in tags]
        assert len(centres) > 1
        assert centres == sorted(centres)


def test_the_surest_tags_are_kept(scenes: list[Rgb]) -> None:
    everything = load(DEMO, EngineSettings(), score_threshold=0.1).tag(scenes[:1])[0]
    (surest,) = load(DEMO, EngineSettings(), score_threshold=0.1, max_tags=1).tag(scenes[:1])[0]
    assert surest.score == max(tag.score for tag in everything)


def assert_tags_within_borders(photos: list[Rgb], score_threshold: float) -> None:
    model = load(DEMO, EngineSettings(), score_threshold=score_threshold)
    for photo, tags in zip(photos, model.tag(photos), strict=True):
        height, width = photo.shape[:2]
        assert tags
        assert all(0 <= tag.box[0] < tag.box[2] <= width for tag in tags)
        assert all(0 <= tag.box[1] < tag.box[3] <= height for tag in tags)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1600, 300), (90, 700), (33, 17)])
def test_a_photo_of_any_shape_is_tagged_within_its_borders(size: tuple[int, int]) -> None:
    # Cut through people and things, so that boxes would like to go on outside.
    rooms = [draw(sample_scene(seed, "test")) for seed in range(4)]
    cut = [room.crop((170, 130, 490, 370)).resize(size) for room in rooms]
    assert_tags_within_borders([np.asarray(photo) for photo in cut], score_threshold=0.02)


def test_photos_that_people_took_are_tagged_within_their_borders() -> None:
    files = sorted(PHOTOS.glob("*.jpg"))
    if not files:
        pytest.skip("photos of people are kept outside the repository")
    photos = [decode_jpeg(file.read_bytes()) for file in files]
    assert_tags_within_borders(photos, score_threshold=0.02)
