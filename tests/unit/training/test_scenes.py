from collections import Counter
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import dataset
from training.drawing import FULL_SIZE, TRAINING_SIZE, draw, draw_jpeg
from training.palette import PAINT
from training.scenes import (
    COLOURS,
    HEIGHT,
    HELD_OUT_CLOTHES,
    HELD_OUT_THINGS,
    LABELS,
    MIN_CENTRE_GAP,
    THINGS,
    WIDTH,
    Box,
    Person,
    Scene,
    Split,
    Thing,
    canonical_caption,
    caption_variants,
    centre_x,
    mirrored,
    sample_scene,
    tags,
)
from training.tag_quality import measure

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SCENES = [sample_scene(seed, "train") for seed in range(400)]


def person(box: Box, hat: str | None = None, glasses: bool = False, hand: bool = False) -> Person:
    return Person("black", "bob", "tan", "red", glasses, hat, hand, box)


def covered(box: Box, by: Box) -> float:
    width = max(0.0, min(box[2], by[2]) - max(box[0], by[0]))
    height = max(0.0, min(box[3], by[3]) - max(box[1], by[1]))
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def test_a_seed_is_the_same_scene_on_every_machine() -> None:
    assert canonical_caption(sample_scene(0, "train")) == (
        "on the left, a person with black hair in a blue shirt raising a hand; in the middle, "
        "a person with gray hair in a red shirt with a purple hat; on the right, a person with "
        "black hair in a purple shirt with glasses and a black hat. there is a green cat."
    )
    assert tags(sample_scene(7, "test")) == tags(sample_scene(7, "test"))


def test_the_splits_share_no_scene() -> None:
    drawn = {split: {tuple(tags(sample_scene(s, split))) for s in range(150)} for split in SPLITS}
    assert all(len(scenes) == 150 for scenes in drawn.values())
    assert not drawn["train"] & drawn["validation"]
    assert not drawn["train"] & drawn["test"]
    assert not drawn["validation"] & drawn["test"]


def test_held_out_combinations_are_in_test_and_never_in_train() -> None:
    def pairs(split: Split) -> tuple[set[tuple[str, str]], set[tuple[str, str | None]]]:
        scenes = [sample_scene(seed, split) for seed in range(400)]
        things = {(thing.label, thing.colour) for scene in scenes for thing in scene.things}
        return things, {(p.shirt, p.hat) for scene in scenes for p in scene.people}

    train_things, train_clothes = pairs("train")
    assert len(train_things) == len(THINGS) * len(COLOURS) - len(HELD_OUT_THINGS)
    assert not train_things & HELD_OUT_THINGS
    assert not train_clothes & HELD_OUT_CLOTHES
    test_things, test_clothes = pairs("test")
    assert test_things >= HELD_OUT_THINGS
    assert test_clothes >= HELD_OUT_CLOTHES


def test_every_count_of_people_and_things_occurs_and_labels_are_distinct() -> None:
    assert set(Counter(len(scene.people) for scene in SCENES)) == {1, 2, 3}
    assert set(Counter(len(scene.things) for scene in SCENES)) == {0, 1, 2, 3, 4, 5, 6}
    for scene in SCENES:
        assert len({thing.label for thing in scene.things}) == len(scene.things)


def test_boxes_lie_in_the_photo_and_left_to_right_is_never_a_close_call() -> None:
    for scene in SCENES:
        found = tags(scene)
        centres = [centre_x(box) for _, box in found]
        assert all(b - a >= MIN_CENTRE_GAP for a, b in pairwise(centres))
        for label, (x0, y0, x1, y1) in found:
            assert label in LABELS
            assert 0 <= x0 < x1 <= WIDTH
            assert 0 <= y0 < y1 <= HEIGHT


def test_no_head_is_hidden_and_no_thing_is_hidden_by_more_than_a_quarter() -> None:
    for scene in SCENES:
        bodies = [p.box for p in scene.people]
        for index, body in enumerate(bodies):
            assert all(covered(body, other) == 0 for other in bodies[index + 1 :])
        for thing in scene.things:
            assert sum(covered(thing.box, body) for body in bodies) <= 0.25
            others = [other.box for other in scene.things if other is not thing]
            assert all(covered(thing.box, other) == 0 for other in others)


def test_the_canonical_caption_names_people_then_things_from_left_to_right() -> None:
    left, right = (10.0, 200.0, 180.0, 480.0), (400.0, 200.0, 570.0, 480.0)
    scene = Scene(
        seed=0,
        split="test",
        room="hall",
        people=(person(left, hat="blue", glasses=True, hand=True), person(right)),
        things=(Thing("mug", "red", (200.0, 10.0, 300.0, 100.0)),
                Thing("clock", "green", (320.0, 10.0, 420.0, 110.0))),
    )  # fmt: skip
    assert canonical_caption(scene) == (
        "on the left, a person with black hair in a red shirt with glasses and a blue hat raising "
        "a hand; on the right, a person with black hair in a red shirt. "
        "there is a red mug, a green clock."
    )
    assert [label for label, _ in tags(scene)] == ["person", "mug", "clock", "person"]


def test_an_empty_room_with_one_person_has_one_sentence() -> None:
    scene = Scene(0, "test", "hall", (person((10.0, 200.0, 180.0, 480.0), hat="green"),), ())
    assert canonical_caption(scene) == "a person with black hair in a red shirt with a green hat."


def test_caption_variants_start_with_the_canonical_one_and_differ() -> None:
    for scene in SCENES[:50]:
        variants = caption_variants(scene)
        assert variants[0] == canonical_caption(scene)
        assert len(set(variants)) == len(variants) >= 4


def test_a_mirrored_scene_is_reversed_and_mirrors_back() -> None:
    for scene in SCENES[:50]:
        flipped = mirrored(scene)
        assert [label for label, _ in tags(flipped)] == [label for label, _ in tags(scene)][::-1]
        assert mirrored(flipped) == scene


def test_a_thing_is_drawn_in_its_box_with_its_colour() -> None:
    box = (200.0, 150.0, 320.0, 270.0)
    for colour in COLOURS:
        scene = Scene(3, "test", "hall", (), (Thing("ball", colour, box),))
        seen = np.asarray(draw(scene, TRAINING_SIZE)).astype(int)[89, 130]
        distances = {name: int(abs(seen - paint).sum()) for name, paint in PAINT.items()}
        assert min(distances, key=lambda name: distances[name]) == colour


@pytest.mark.parametrize("size", [FULL_SIZE, TRAINING_SIZE])
def test_a_photo_is_rgb_of_the_size_asked_for_and_the_same_each_time(size: tuple[int, int]) -> None:
    photo = draw(SCENES[0], size)
    assert (photo.mode, photo.size) == ("RGB", size)
    assert draw_jpeg(SCENES[0], size) == draw_jpeg(SCENES[0], size)


def test_the_dataset_gives_each_scene_with_its_own_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "FOLDER", tmp_path)
    monkeypatch.setattr(dataset, "SHARD_SCENES", 2)
    data = dataset.Dataset("train", 1, 3)
    assert dataset.rendered_count("train") == 4
    assert [scene.seed for scene, _ in data] == [1, 2, 3]
    for scene, jpeg in data:
        assert jpeg == draw_jpeg(scene, TRAINING_SIZE)
        assert Image.open(BytesIO(jpeg)).size == TRAINING_SIZE
    with pytest.raises(IndexError):
        data[3]


def test_the_truth_measures_as_perfect_and_a_missed_or_moved_box_does_not() -> None:
    scenes = SCENES[:20]
    truth = [[(label, 0.9, box) for label, box in tags(scene)] for scene in scenes]
    assert measure(scenes, truth, 0.5).f1 == 1.0
    assert measure(scenes, truth, 0.5).exact_lists == 1.0
    missed = [found[1:] for found in truth]
    assert measure(scenes, missed, 0.5).recall < 1.0
    moved = [[(label, score, (0.0, 0.0, 9.0, 9.0)) for label, score, _ in f] for f in truth]
    assert measure(scenes, moved, 0.5).precision == 0.0
    assert measure(scenes, truth, 0.95).recall == 0.0
