"""Where in a prompt an answer can be read: the words that the answerer is shown while it learns.

A small language model finds out by itself that it should look back only after tens of millions
of tokens. Shown for each answer which words to attend to, it does so after a few hundred steps.
The words are those at which a causal model knows the answer: of "a red mug" it is "mug", since
"red" has not seen what it describes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from training.questions import Question
from training.scenes import THINGS

Head = Literal["answer", "other", "place", "hair", "subject"]
"""What one attention head is shown: the word that holds the answer; the second thing that a
question compares; for each word about a person, that person's place; for a shirt, the hair of
who wears it; for an answer, the subject of its question."""

Span = tuple[int, int]
"""Head and tail of a guide, both offsets of characters: which word looks, and at which."""


@dataclass(frozen=True)
class Context:
    """The caption and the tag line that a question is about, and where each begins in the text."""

    caption: str
    caption_at: int
    tags: tuple[str, ...]
    tags_at: int
    """Of the first tag."""


def inside_caption(context: Context) -> Iterator[tuple[Head, Span]]:
    """What binds a description together: words to the person's place, a shirt to the hair."""
    start = context.caption_at
    for part in context.caption.split(".")[0].split(";"):
        place = re.search(r"on the (?P<side>left|right)|in the (?P<middle>middle)", part)
        if place:
            at = start + place.start(place.lastgroup or 0)
            for word in re.finditer(r"[a-z]+", part[place.end() :]):
                yield "place", (start + place.end() + word.start(), at)
        hair, shirt = re.search(r"with (\w+) hair", part), re.search(r"in a (\w+) shirt", part)
        if hair and shirt:
            yield "hair", (start + shirt.start(1), start + hair.start(1))
            yield "hair", (start + shirt.end(1) + 1, start + hair.start(1))
        start += len(part) + 1


def subject(question: Question) -> int | None:
    """The offset in the question's text of the word that it turns on, where there is one."""
    words = question.subject.split()
    key = words[-1]
    if question.kind == "who_wears":
        key = {"raises": "raises", "has": words[1]}.get(words[0], words[-1])
        key = words[2] if len(words) == 4 else key
    found = re.search(rf"\b{re.escape(key)}\b", question.question.lower())
    return found.start() if found else None


def answers(question: Question, context: Context) -> Iterator[tuple[Head, int]]:
    """The words of the context that the answer depends on; none for counts and what is absent."""
    find = _FINDERS.get(question.kind)
    at = find(question, context) if find else None
    if at is not None:
        yield "answer", at
    if question.kind == "side":
        other = _tag(context, question.question.lower().rstrip("?").split()[-1])
        if other is not None:
            yield "other", other


def _thing(question: Question, context: Context) -> int | None:
    return _word(context, f" {question.subject}", context.caption.find(". "))


def _shirt(question: Question, context: Context) -> int | None:
    alone = question.subject == "alone"
    return _word(context, " shirt", 0 if alone else context.caption.find(question.subject))


def _hair(question: Question, context: Context) -> int | None:
    at = _word(context, f" {question.subject} shirt")
    return None if at is None else at + len(question.subject) + 1


def _feature(question: Question, context: Context) -> int | None:
    verb, *words = question.subject.split()
    if verb == "raises":
        return _word(context, " raising")
    if words in (["a", "hat"], ["glasses"]):
        return _word(context, f" {words[-1]}")
    colour, noun = words[-2:]
    at = _word(context, f" {colour} {noun}")
    return None if at is None else at + len(colour) + 1


def _beside(question: Question, context: Context) -> int | None:
    """Of the neighbour to the right the neighbour itself, which knows what precedes it."""
    at = _tag(context, question.subject)
    if at is None or "left" in question.question:
        return at
    after = context.tags.index(question.subject) + 1 < len(context.tags)
    return at + len(question.subject) + len(", ") if after else None


def _knowledge(question: Question, context: Context) -> int | None:
    return _tag(context, question.answer) if question.answer in THINGS else None


def _tag(context: Context, label: str) -> int | None:
    if label not in context.tags:
        return None
    before = context.tags[: context.tags.index(label)]
    return context.tags_at + sum(len(tag) + len(", ") for tag in before)


def _word(context: Context, words: str, start: int = 0) -> int | None:
    """Where the first of the words begins; `words` has a space before it."""
    at = context.caption.find(words, max(start, 0))
    return context.caption_at + at + 1 if at >= 0 else None


_FINDERS: dict[str, Callable[[Question, Context], int | None]] = {
    "thing_colour": _thing,
    "shirt_colour": _shirt,
    "hat_colour": lambda _, context: _word(context, " hat"),
    "hair_colour": _hair,
    "who_wears": _feature,
    "beside": _beside,
    "side": lambda question, context: _tag(context, question.subject),
    "presence": lambda question, context: _tag(context, question.subject),
    "knowledge": _knowledge,
}
