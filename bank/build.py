"""Build a bank folder from solved questions and their photos.

Photos are opened a batch at a time, so that many photos need the memory of a few. Only their
vectors are stored: a bank contains no pictures.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bank.examples import (
    EXAMPLES_FILE,
    FILES,
    INDEX_FILE,
    BankError,
    Example,
    check,
    write_examples,
)
from bank.fingerprints import GRID, fingerprint
from bank.large_index import EXACT_UP_TO, write_index
from bank.vectors import BankVectors, MadeBy, write_vectors
from models.clip import ClipModel
from models.pixels import Rgb

BATCH = 32

_Key = TypeVar("_Key")
OpenPhoto = Callable[[], Rgb]
Progress = Callable[[int, int], None]
"""Called with the number done and the total, photos and questions together."""


@dataclass(frozen=True, slots=True)
class Solved:
    """An example and a function that opens its photo; examples with one opener share a photo."""

    example: Example
    open_photo: OpenPhoto | None = None


def build(
    rows: Iterable[Solved],
    clip: ClipModel,
    out: Path,
    *,
    made_by: MadeBy,
    exact_up_to: int = EXACT_UP_TO,
    progress: Progress = lambda done, total: None,
) -> None:
    """Embed every distinct photo and question, and write the bank folder `out`.

    A bank that is there is replaced once the new one is whole. One of more than `exact_up_to`
    examples gets an index.

    Raises:
        BankError: There is no row, an id repeats, an example exceeds a limit, or `out` holds
            something else than a bank.
    """
    _check_place(out)
    rows = tuple(rows)
    _check(rows)
    photo_rows, openers = _distinct([row.open_photo for row in rows if row.open_photo is not None])
    question_rows, questions = _distinct([row.example.question for row in rows])
    total = len(openers) + len(questions)
    text = _embed_questions(questions, clip, lambda done: progress(done, total))
    image, prints = _embed_photos(
        openers, clip, text.shape[1], lambda done: progress(len(questions) + done, total)
    )
    photo = np.full(len(rows), -1, np.int32)
    photo[[row.open_photo is not None for row in rows]] = photo_rows
    vectors = BankVectors(
        image=image,
        prints=prints,
        text=text,
        photo=photo,
        question=np.array(question_rows, np.int32),
        made_by=made_by,
    )
    with _whole(out) as folder:
        write_examples((row.example for row in rows), folder / EXAMPLES_FILE)
        write_vectors(vectors, folder)
        if len(rows) > exact_up_to:
            write_index(vectors, folder / INDEX_FILE)


def _check_place(out: Path) -> None:
    if out.exists() and not (out.is_dir() and {file.name for file in out.iterdir()} <= FILES):
        raise BankError(f"{out} is there already and holds something else than a bank")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Yield a folder to write to, which becomes `out` if nothing fails."""
    fresh, old = (out.with_name(f"{out.name}.{state}") for state in ("unfinished", "replaced"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _check(rows: Sequence[Solved]) -> None:
    if not rows:
        raise BankError("there is no example to build a bank of")
    if len({row.example.id for row in rows}) < len(rows):
        raise BankError("two examples have one id")
    for row in rows:
        try:
            check(row.example)
        except ValueError as error:
            raise BankError(f"example {row.example.id!r}: {error}") from None


def _distinct(keys: Sequence[_Key]) -> tuple[list[int], list[_Key]]:
    """Return each key's place among the distinct keys, and those in order of first use."""
    places: dict[_Key, int] = {}
    return [places.setdefault(key, len(places)) for key in keys], list(places)


def _embed_questions(
    questions: Sequence[str], clip: ClipModel, done: Callable[[int], None]
) -> NDArray[np.float32]:
    vectors = []
    for start in range(0, len(questions), BATCH):
        batch = questions[start : start + BATCH]
        vectors.append(clip.embed_texts(batch))
        done(start + len(batch))
    return np.concatenate(vectors)


def _embed_photos(
    openers: Sequence[OpenPhoto], clip: ClipModel, dimension: int, done: Callable[[int], None]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return vectors, shape (photos, dimension), and fingerprints, shape (photos, 64)."""
    vectors = [np.zeros((0, dimension), np.float32)]
    prints = [np.zeros((0, GRID * GRID), np.uint8)]
    for start in range(0, len(openers), BATCH):
        photos = [open_photo() for open_photo in openers[start : start + BATCH]]
        vectors.append(clip.embed_photos(photos))
        prints.append(np.stack([fingerprint(photo) for photo in photos]))
        done(start + len(photos))
    return np.concatenate(vectors), np.concatenate(prints)
