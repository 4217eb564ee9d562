"""Rows of annotation files: what each field means, under its own or a data set's published name.

A bad row is reported with its line and reason, and the rest is kept. Repeated tags are kept:
"chair, chair" means two of them.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bank.answers import most_common_answer
from bank.examples import MAX_LINE_CHARACTERS, Example, check
from bank.photo_files import StoredPhoto

Fields = Mapping[str, object]
Record = tuple[int, Fields | str]
"""A row's line, and its fields or the reason why it has none."""

MAX_ANSWERS = 1000
"""Answers that people gave to one question; VQA has ten."""

_UNSEEN = re.compile(r"[^\S ]|[\x00-\x1f\x7f\u200b-\u200f\ufeff\ue000-\uf8ff]")
"""White space other than a blank, control characters, and private-use characters that word
processors use for bullets."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A valid row: an example and, if the row names one, its photo.

    A photo is a file name, or COCO's number of it, or the photo as the file stores it. An example
    with a photo may have neither caption nor tags; `bank.describing` makes them.
    """

    line: int
    example: Example
    photo: str | int | StoredPhoto | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out; lines of a file without lines are its rows, from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """The rows of a file, in its order."""

    rows: tuple[Annotation, ...]
    bad: tuple[BadRow, ...]


def clean_text(text: str) -> str:
    """Return the text with each run of white space and invisible characters as one blank."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def clean_tags(text: str) -> tuple[str, ...]:
    """Return the labels in a text of tags, in lower case, in order, with repeats."""
    parts = re.split(r"[,;|\n]|\.(?:\s|$)", text)
    tags = (clean_text(part).strip(" .\"'").casefold() for part in parts)
    return tuple(word for tag in tags if tag for word in _apart(tag))


def _apart(tag: str) -> list[str]:
    """Return the words of a tag with repeats ("chair chair door" lost its commas), else the tag."""
    words = tag.split()
    return words if len(set(words)) < len(words) else [tag]


def annotation_of(line: int, fields: Fields | str) -> Annotation:
    """Return the row's annotation.

    Raises:
        ValueError: Says which field is wrong and why.
    """
    if isinstance(fields, str):
        raise ValueError(fields)  # noqa: TRY004 - the reason why the line has no fields
    photo = _photo(fields)
    example = Example(
        id=text_of(fields, "id") or text_of(fields, "question_id") or f"line-{line}",
        caption=text_of(fields, "caption"),
        tags=_tags(fields),
        question=text_of(fields, "question"),
        answer=re.sub(r"(?<![. ]) ?\.$", "", answer_of(fields)),
    )
    check(example, described=photo is None)
    return Annotation(line, example, photo)


def answer_of(fields: Fields) -> str:
    """Return the row's answer: its own, else that of most people, else the right choice.

    Raises:
        ValueError: The answers are in no published form.
    """
    if fields.get("answer") is not None:
        return text_of(fields, "answer")
    for name in ("answers", "direct_answers"):
        if fields.get(name):
            return _most_common(fields[name], name)
    if fields.get("multiple_choice_answer") is not None:
        return text_of(fields, "multiple_choice_answer")
    return _choice(fields)


def _most_common(listed: object, name: str) -> str:
    """Return the answer of most people.

    They are listed as texts or objects with `answer`, as a text that Python lists them in (hub
    data sets), or as an object of each answer's worth.
    """
    if isinstance(listed, str) and len(listed) <= MAX_LINE_CHARACTERS:
        try:
            listed = ast.literal_eval(listed)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f"{name} is not a list") from None
    if not isinstance(listed, list | dict):
        raise ValueError(f"{name} is not a list")  # noqa: TRY004 - one reason among others
    if len(listed) > MAX_ANSWERS:
        raise ValueError(f"more than {MAX_ANSWERS} {name}")
    pairs = listed.items() if isinstance(listed, dict) else [(each, 1) for each in listed]
    votes: dict[str, float] = {}
    for given, worth in pairs:
        answer = text_of(given if isinstance(given, dict) else {"answer": given}, "answer")
        if isinstance(worth, bool) or not isinstance(worth, int | float):
            raise ValueError(f"the worth of answer {answer!r} is not a number")  # noqa: TRY004
        if answer:
            votes[answer] = votes.get(answer, 0) + worth
    return most_common_answer(votes) if votes else ""


def _choice(fields: Fields) -> str:
    choices, place = fields.get("choices"), fields.get("correct_choice_idx")
    if not isinstance(choices, list) or not isinstance(place, int):
        return ""
    if not 0 <= place < len(choices):
        raise ValueError(f"correct_choice_idx {place} is none of {len(choices)} choices")
    return text_of({"answer": choices[place]}, "answer")


def _photo(fields: Fields) -> str | int | StoredPhoto | None:
    photo = fields.get("image")
    if isinstance(photo, StoredPhoto):
        return photo
    name = text_of(fields, "photo") or text_of(fields, "image")
    if name:
        return name
    number = text_of(fields, "image_id")
    return int(number) if re.fullmatch(r"[0-9]{1,12}", number) else None


def _tags(fields: Fields) -> tuple[str, ...]:
    listed = fields.get("tags")
    if not isinstance(listed, list):
        return clean_tags(_raw(fields, "tags"))
    tags = (text_of({"tags": item}, "tags").casefold() for item in listed)
    return tuple(tag for tag in tags if tag)


def _raw(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not text")  # noqa: TRY004 - one reason among others of a row
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise ValueError(f"{name} is not valid UTF-8")
    return value


def text_of(fields: Fields, name: str) -> str:
    """Return a field's text, cleaned; an absent one is empty.

    Raises:
        ValueError: It is not text.
    """
    return clean_text(_raw(fields, name))
