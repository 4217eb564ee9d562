import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bank.describing import Describe, Description, describe_photos
from bank.photo_files import StoredPhoto, photo_file
from models.pixels import Rgb


@dataclass
class FakeModels:
    """Describes a photo by its shade, and breaks down after a number of batches."""

    lasts: int = 99
    batches: list[list[int]] = field(default_factory=list)
    loaded: int = 0

    def load(self) -> Describe:
        self.loaded += 1
        return self.describe

    def describe(self, photos: Sequence[Rgb]) -> list[Description]:
        if len(self.batches) == self.lasts:
            raise KeyboardInterrupt
        shades = [int(np.mean(photo)) for photo in photos]
        self.batches.append(shades)
        return [Description(f"a room of shade {shade}", ("mug", "mug")) for shade in shades]


@pytest.fixture
def photos(tmp_path: Path) -> list[StoredPhoto]:
    files = [tmp_path / f"{shade}.png" for shade in range(5)]
    for shade, file in enumerate(files):
        Image.new("RGB", (8, 6), (shade, shade, shade)).save(file)
    return [photo_file(file) for file in files]


def test_photos_are_described_in_batches_with_progress(
    tmp_path: Path, photos: list[StoredPhoto]
) -> None:
    models, done = FakeModels(), []

    made = describe_photos(
        photos,
        models.load,
        tmp_path / "bank.unfinished.jsonl",
        made_by="a",
        batch=2,
        progress=lambda n, of: done.append((n, of)),
    )

    assert [made[photo].caption for photo in photos] == [f"a room of shade {i}" for i in range(5)]
    assert models.batches == [[0, 1], [2, 3], [4]]
    assert done == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, photos: list[StoredPhoto]) -> None:
    journal, models = tmp_path / "bank.unfinished.jsonl", FakeModels(lasts=1)
    with pytest.raises(KeyboardInterrupt):
        describe_photos(photos, models.load, journal, made_by="a", batch=2)
    with journal.open("a") as lines:
        lines.write('{"photo": "cut sho')

    again = FakeModels()
    made = describe_photos(photos, again.load, journal, made_by="a", batch=2)
    third = FakeModels()

    assert again.batches == [[2, 3], [4]]
    assert made[photos[0]] == Description("a room of shade 0", ("mug", "mug"))
    assert describe_photos(photos, third.load, journal, made_by="a") == made
    assert third.loaded == 0
    assert len([json.loads(line) for line in journal.read_text().splitlines()]) == 6


def test_what_other_models_said_or_was_said_of_another_photo_is_not_taken(
    tmp_path: Path, photos: list[StoredPhoto]
) -> None:
    journal = tmp_path / "bank.unfinished.jsonl"
    describe_photos(photos, FakeModels().load, journal, made_by="a")
    Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / "3.png")
    changed, other = FakeModels(), FakeModels()

    describe_photos(photos, changed.load, journal, made_by="a")
    describe_photos(photos, other.load, journal, made_by="b")

    assert changed.batches == [[9]]
    assert other.batches == [[0, 1, 2, 9, 4]]


def test_one_photo_under_two_names_is_described_once(tmp_path: Path) -> None:
    stored = BytesIO()
    Image.new("RGB", (8, 6)).save(stored, "PNG")
    twice = [StoredPhoto(name, stored.getvalue) for name in ("one", "two")]
    models = FakeModels()

    made = describe_photos(twice, models.load, tmp_path / "journal", made_by="a")

    assert models.batches == [[0]]
    assert made[twice[0]] == made[twice[1]]
