"""Photos with questions about them, from a folder laid out like `bundles/demo/photos`.

Stages cache results of recent photos, and photos of real users are new. So each is sent with a
comment of its own: other bytes, the same pixels, the same answer.
"""

import functools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROWS = "questions.jsonl"
_ASKED_OF_ANY_PHOTO = ("what is in the photo?", "how many people are there?")
_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_APPLICATION_SEGMENTS = range(0xE0, 0xF0)


class PhotosError(ValueError):
    """One sentence that says why the folder cannot be used."""


class Question(NamedTuple):
    """What is asked, and the answer where it is known."""

    text: str
    answer: str | None


class Photo(NamedTuple):
    """A JPEG and what is asked about it."""

    jpeg: bytes
    questions: tuple[Question, ...]


class PhotoQuestion(NamedTuple):
    """One question about one photo, ready to be sent."""

    photo: bytes
    question: str


@functools.cache
def read_photos(folder: Path) -> tuple[Photo, ...]:
    """Return the JPEGs of a folder, with the questions of its `questions.jsonl` if it has one.

    A row is an object with `photo`, `question` and, where it is known, `answer`.

    Raises:
        PhotosError: There is no such folder, nothing in it, or a row or photo is not as described.
    """
    if not folder.is_dir():
        raise PhotosError(f"{folder} is not a folder of photos.")
    rows = folder / ROWS
    asked = dict(_asked(rows)) if rows.exists() else _anything(folder)
    if not asked:
        raise PhotosError(f"There are no photos (*.jpg) and no {ROWS} in {folder}.")
    return tuple(Photo(_jpeg(path), questions) for path, questions in asked.items())


def _anything(folder: Path) -> dict[Path, tuple[Question, ...]]:
    questions = tuple(Question(text, None) for text in _ASKED_OF_ANY_PHOTO)
    files = sorted(each for each in folder.iterdir() if each.suffix.lower() in {".jpg", ".jpeg"})
    return dict.fromkeys(files, questions)


def _asked(rows: Path) -> Iterator[tuple[Path, tuple[Question, ...]]]:
    by_photo: dict[Path, list[Question]] = {}
    for number, line in enumerate(rows.read_text("utf-8").splitlines(), 1):
        try:
            row: dict[str, Any] = json.loads(line)
            question = Question(str(row["question"]), row.get("answer"))
            by_photo.setdefault(rows.parent / row["photo"], []).append(question)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise PhotosError(
                f"{rows}:{number} is not an object with photo and question."
            ) from None
    for path, questions in by_photo.items():
        yield path, tuple(questions)


def _jpeg(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotosError(f"{path} cannot be read ({error.strerror}).") from None
    if not data.startswith(_START_OF_IMAGE):
        raise PhotosError(f"{path} is not a JPEG.")
    return data


def read_questions(folder: Path) -> list[PhotoQuestion]:
    """Return all questions about all photos of a folder, those about one photo together.

    Raises:
        PhotosError: As `read_photos`.
    """
    return [
        PhotoQuestion(photo.jpeg, question.text)
        for photo in read_photos(folder)
        for question in photo.questions
    ]


def as_new(jpeg: bytes, comment: bytes | None = None) -> bytes:
    """Return the same picture as unique bytes, by a comment segment (ITU T.81).

    The comment comes after the application segments, since JFIF wants its own to be the first.
    """
    text = comment if comment is not None else secrets.token_hex(8).encode()
    at = len(_START_OF_IMAGE)
    while jpeg[at] == 0xFF and jpeg[at + 1] in _APPLICATION_SEGMENTS:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg[:at] + _COMMENT + (len(text) + 2).to_bytes(2, "big") + text + jpeg[at:]
