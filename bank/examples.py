"""Solved examples, and the folder format of an example bank.

    examples.jsonl   one JSON object a line: id, caption, tags (list), question, answer
    image.npy        (photos, d) float32    unit CLIP vectors of the distinct photos
    print.npy        (photos, 64) uint8     see `fingerprint`
    text.npy         (questions, d) float32 unit CLIP vectors of the distinct questions
    photo.npy        (n,) int32             each example's row in image, -1 without one
    question.npy     (n,) int32             each example's row in text
    bank.json        format, clip, revision
    index.faiss      of a bank of more than 100,000 examples: see `bank.large_index`

Photos and questions that several examples share are stored once: the demo bank has about six
questions for each photo, and people ask the same few questions about every photo.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

EXAMPLES_FILE = "examples.jsonl"
ABOUT_FILE = "bank.json"
INDEX_FILE = "index.faiss"
ARRAYS = ("image.npy", "print.npy", "text.npy", "photo.npy", "question.npy")
FORMAT = "admirer-bank-2"
FILES = frozenset({EXAMPLES_FILE, ABOUT_FILE, *ARRAYS, INDEX_FILE, "vectors.safetensors"})
"""What a bank's folder may hold; the last is of the first format."""

MAX_EXAMPLES = 1_000_000
MAX_LINE_CHARACTERS = 65_536
MAX_CHARACTERS: Mapping[str, int] = {
    "id": 200, "caption": 2_000, "tag": 100, "question": 1_000, "answer": 500,
}  # fmt: skip
MAX_TAGS = 200

Similarity = Literal["image_question", "image", "question", "random"]
"""What a search compares: the mean of image and question (PICa), one of them, or nothing."""


class BankError(ValueError):
    """A bank or an annotation file is unusable; the message is one line for users."""


@dataclass(frozen=True, slots=True)
class Example:
    """A solved question of the example bank."""

    id: str
    caption: str
    tags: tuple[str, ...]
    question: str
    answer: str
    similarity: float = 0.0
    """Cosine similarity to the query, in [-1, 1]."""


def check(example: Example, *, described: bool = True) -> None:
    """Check that an example is complete and within limits.

    Args:
        example: What is checked.
        described: Whether it must have a caption or tags.

    Raises:
        ValueError: Says which field is wrong and why.
    """
    for name in ("id", "question", "answer"):
        if not getattr(example, name):
            raise ValueError(f"{name} is empty")
    if described and not example.caption and not example.tags:
        raise ValueError("caption and tags are both empty")
    for name in ("id", "caption", "question", "answer"):
        if len(getattr(example, name)) > MAX_CHARACTERS[name]:
            raise ValueError(f"{name} is over {MAX_CHARACTERS[name]} characters")
    if len(example.tags) > MAX_TAGS:
        raise ValueError(f"more than {MAX_TAGS} tags")
    if any(not tag or len(tag) > MAX_CHARACTERS["tag"] for tag in example.tags):
        raise ValueError(f"a tag is empty or over {MAX_CHARACTERS['tag']} characters")


def write_examples(examples: Iterable[Example], file: Path) -> None:
    """Write the stored form, one example a line."""
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for example in examples:
            row = asdict(example)
            del row["similarity"]
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_examples(file: Path) -> tuple[Example, ...]:
    """Read the stored form.

    Raises:
        BankError: The file is missing, or a line of it is invalid. We wrote the file, so one
            bad line means that it is damaged, and nothing of it is used.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            return tuple(_parse(line, f"{file}:{number}") for number, line in enumerate(lines, 1))
    except OSError as error:
        raise BankError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BankError(f"{file} is not UTF-8") from None


def _parse(line: str, place: str) -> Example:
    try:
        row = json.loads(line)
        example = Example(**{**row, "tags": tuple(row["tags"])})
        check(example)
    except (ValueError, TypeError, KeyError) as error:
        raise BankError(f"{place} is not an example: {error}") from None
    return example
