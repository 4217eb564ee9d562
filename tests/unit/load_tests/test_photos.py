"""Photos of load tests: known questions, and photos that no cache has seen."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from load_tests import requests
from load_tests.client.questions import PhotosError, as_new, read_photos, read_questions
from serve.api.photos import read_photo
from serve.settings import Limits as PhotoLimits

DEMO = Path("bundles/demo/photos")


def test_the_demo_photos_come_with_questions_and_known_answers() -> None:
    photos = read_photos(DEMO)
    assert len(photos) == 10
    assert all(question.answer for photo in photos for question in photo.questions)
    rows = [json.loads(line) for line in (DEMO / "questions.jsonl").read_text().splitlines()]
    assert sorted(read_questions(DEMO)) == sorted(
        ((DEMO / row["photo"]).read_bytes(), row["question"]) for row in rows
    )


def large_jpeg() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 1200)).convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.parametrize("jpeg", [read_photos(DEMO)[0].jpeg, large_jpeg()])
def test_a_photo_is_news_to_the_stages_and_shows_the_same(jpeg: bytes) -> None:
    received = [read_photo(each, PhotoLimits()).jpeg for each in (jpeg, as_new(jpeg), as_new(jpeg))]
    assert len(set(received)) == 3
    shown = set()
    for each in received:
        with Image.open(io.BytesIO(each)) as image:
            shown.add(image.tobytes())
    assert len(shown) == 1


def test_a_folder_without_questions_is_asked_about_in_general(tmp_path: Path) -> None:
    (tmp_path / "mine.JPG").write_bytes(read_photos(DEMO)[0].jpeg)
    [photo] = read_photos(tmp_path)
    assert photo.questions
    assert all(question.answer is None for question in photo.questions)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ('{"photo": "a.jpg"}', "questions.jsonl:1 is not an object with photo and question"),
        ("[]", "questions.jsonl:1 is not an object"),
        ("{", "questions.jsonl:1 is not an object"),
        ('{"photo": "a.jpg", "question": "?"}', "a.jpg cannot be read"),
        ('{"photo": "questions.jsonl", "question": "?"}', "is not a JPEG"),
        ("", "There are no photos"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, rows: str, complaint: str
) -> None:
    (tmp_path / "questions.jsonl").write_text(rows)
    with pytest.raises(PhotosError, match=complaint) as caught:
        read_photos(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_png_that_claims_too_many_pixels_is_small() -> None:
    assert len(requests.endless_png()) < 200
