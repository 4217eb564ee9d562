"""Where the answerer's attention heads should look while it learns to read its prompt.

A small language model finds out by itself that it should look back only after tens of millions
of tokens. Shown for each word which words some of its heads should attend to, it does so after a
few hundred steps. Only training knows of this; the checkpoint is a plain Llama.

A causal model knows a description at its last word: of "a red mug" it is "mug", since "red" has
not seen what it describes. So heads look at nouns, which the heads below have told their colours.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from training.questions import STRANGERS, UNKNOWN, Question
from training.scenes import THINGS

Head = Literal[
    "previous_tag", "place", "hair", "subject", "kind",
    "present", "earlier_tags", "direction", "second",
    "answer", "other", "count", "after", "order",
]  # fmt: skip

HEADS: dict[Head, tuple[int, int]] = {
    "previous_tag": (0, 1), "place": (1, 0), "hair": (1, 1), "subject": (1, 2), "kind": (1, 3),
    "earlier_tags": (2, 1), "present": (2, 0), "direction": (2, 2), "second": (2, 3),
    "answer": (3, 0), "other": (3, 1), "count": (3, 2), "after": (3, 3),
    "order": (4, 0),
}  # fmt: skip
"""Layer and number of each guided head, from what is nearest to the words to the answer itself.

Within a description: a tag to the tag before it; a word about a person to that person's place;
a shirt to the hair of who wears it; a tag to all tags before it.
From an answer to its question: the word that it turns on; the word that tells its kind; left or
right; the second thing that is compared. From a thing in a question to its tag.
From an answer to the description or to a solved example: the word that holds the answer; the
second thing's tag; all that is counted; the tag after; the second thing's tag if the first is left
of it."""
PREVIOUS = (0, 0)
"""The head that looks at the word before, everywhere."""

NOWHERE = 0
"""The first word of every prompt: what a head looks at that finds nothing."""


@dataclass(frozen=True)
class Look:
    """The word at one offset looks at the words at others, in equal shares."""

    head: Head
    at: int
    on: tuple[int, ...]


@dataclass(frozen=True)
class Context:
    """The caption and the tags that a question is about, and where each begins in the text."""

    caption: str
    caption_at: int
    tags: tuple[str, ...]
    tags_at: int
    """Offset of the first tag."""

    def tag_offsets(self) -> list[int]:
        """Return where each tag begins."""
        starts, at = [], self.tags_at
        for tag in self.tags:
            starts.append(at)
            at += len(tag) + len(", ")
        return starts


@dataclass(frozen=True)
class Asked:
    """A question with its answer, and where each begins in the text."""

    question: Question
    question_at: int
    assistant_at: int
    """Offset of the token from which the answer's first word is predicted."""
    answer_at: int

    def points(self) -> list[int]:
        """Return the offsets of the words from which a word of the answer is predicted."""
        words = re.finditer(r"\S+", self.question.answer)
        return [self.assistant_at, *(self.answer_at + word.start() for word in words)][:-1]


def inside(context: Context) -> Iterator[Look]:
    """Yield the attention targets within a description."""
    yield from _inside_caption(context)
    starts = context.tag_offsets()
    head = context.tags_at - len(": ")
    for place, start in enumerate(starts):
        yield Look("previous_tag", start, (starts[place - 1] if place else head,))
        yield Look("earlier_tags", start, (head, *starts[:place]))


def _inside_caption(context: Context) -> Iterator[Look]:
    start = context.caption_at
    for part in context.caption.split(".")[0].split(";"):
        place = re.search(r"on the (?P<side>left|right)|in the (?P<middle>middle)", part)
        if place:
            at = start + place.start(place.lastgroup or 0)
            for word in re.finditer(r"[a-z]+", part[place.end() :]):
                yield Look("place", start + place.end() + word.start(), (at,))
        hair, shirt = re.search(r"with (\w+) hair", part), re.search(r"in a (\w+) (shirt)", part)
        if hair and shirt:
            yield Look("hair", start + shirt.start(2), (start + hair.start(1),))
        start += len(part) + 1


def to_question(asked: Asked, context: Context) -> Iterator[Look]:
    """Yield the attention targets from answer to question, and from question to description."""
    text = asked.question.question.lower()
    found: dict[Head, re.Match[str] | None] = {
        "subject": _last(rf"\b{_subject(asked.question)}\b", text),
        "kind": re.search(_KIND_WORDS[asked.question.kind], text),
    }
    if asked.question.kind in ("beside", "side"):
        found["direction"] = re.search(r"\b(left|right)\b", text)
    if asked.question.kind == "side":
        found["second"] = _last(r"\w+", text)
    last_word = asked.answer_at + asked.question.answer.rfind(" ") + 1
    for head, word in found.items():
        if word is not None:
            at = (asked.question_at + word.start(),)
            yield from (Look(head, point, at) for point in (*asked.points(), last_word))
    for word in re.finditer(_THING_WORDS, text):
        tag = _tag(context, word.group())
        yield Look("present", asked.question_at + word.start(), (tag or NOWHERE,))


def to_answer(asked: Asked, context: Context, solved: dict[str, int]) -> Iterator[Look]:
    """Yield the targets from answer to description or, by `subject`, to solved examples."""
    for head, on in _sources(asked, context, solved):
        yield from (Look(head, point, on) for point in asked.points())


def _sources(
    asked: Asked, context: Context, solved: dict[str, int]
) -> Iterator[tuple[Head, tuple[int, ...]]]:
    question = asked.question
    if question.kind in ("owner", "room"):
        known = solved.get(question.subject) if question.answer != UNKNOWN else None
        yield "answer", (NOWHERE if known is None else known,)
    elif question.kind in ("count_people", "count_wearing"):
        yield "count", (NOWHERE, *_counted(question, context))
    elif question.kind == "missing":
        listed = question.question.lower().find(question.answer)
        yield "answer", (asked.question_at + listed,)
    elif question.kind == "side":
        yield from _compared(question, context)
    elif question.kind == "beside":
        yield from _neighbours(question, context)
    else:
        at = _FINDERS[question.kind](question, context)
        if at is not None:
            yield "answer", (at,)


def _counted(question: Question, context: Context) -> list[int]:
    if question.kind == "count_people":
        return [at for at, tag in _placed(context) if tag == "person"]
    word = {"hand": "raising"}.get(question.subject, question.subject)
    caption = context.caption
    return [context.caption_at + m.start() for m in re.finditer(rf"\b{word}\b", caption)]


def _compared(question: Question, context: Context) -> Iterator[tuple[Head, tuple[int, ...]]]:
    text = question.question.lower()
    one, other = _tag(context, question.subject), _tag(context, re.findall(r"\w+", text)[-1])
    if one is not None and other is not None:
        yield "answer", (one,)
        yield "other", (other,)
        yield "order", (other if one < other else NOWHERE,)


def _neighbours(question: Question, context: Context) -> Iterator[tuple[Head, tuple[int, ...]]]:
    """Yield the thing itself, which knows the tag before it, and the tag after it."""
    starts = context.tag_offsets()
    if question.subject in context.tags:
        place = context.tags.index(question.subject)
        yield "answer", (starts[place],)
        yield "after", (starts[place + 1] if place + 1 < len(starts) else NOWHERE,)


def _placed(context: Context) -> Sequence[tuple[int, str]]:
    return list(zip(context.tag_offsets(), context.tags, strict=True))


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


def _presence(question: Question, context: Context) -> int | None:
    return _tag(context, question.subject) or NOWHERE


def _knowledge(question: Question, context: Context) -> int | None:
    return _tag(context, question.answer) if question.answer in THINGS else NOWHERE


def _tag(context: Context, label: str) -> int | None:
    return next((at for at, tag in _placed(context) if tag == label), None)


def _word(context: Context, words: str, start: int = 0) -> int | None:
    """Return the offset of the first of the words, or None; `words` has a space before it."""
    at = context.caption.find(words, max(start, 0))
    return context.caption_at + at + 1 if at >= 0 else None


def _last(pattern: str, text: str) -> re.Match[str] | None:
    return max(re.finditer(pattern, text), key=lambda match: match.start(), default=None)


def _subject(question: Question) -> str:
    """Return the noun that the answer depends on; empty for a "missing" question."""
    if question.kind == "hair_colour" or question.subject == "alone":
        return "shirt"
    return "(?!)" if question.kind == "missing" else question.subject.split()[-1]


_THING_WORDS = rf"\b({'|'.join((*THINGS, *STRANGERS))})\b"
_KIND_WORDS = {
    "count_people": "many", "count_wearing": "many", "thing_colour": "colou?r",
    "shirt_colour": "colou?r", "hat_colour": "colou?r", "hair_colour": r"\bhair\b",
    "who_wears": "who", "beside": "directly", "side": r"\bto\b", "presence": "is|do",
    "missing": "these", "knowledge": "what|which", "owner": "whose|owns", "room": "room",
}  # fmt: skip
_FINDERS: dict[str, Callable[[Question, Context], int | None]] = {
    "thing_colour": _thing,
    "shirt_colour": _shirt,
    "hat_colour": lambda _, context: _word(context, " hat"),
    "hair_colour": _hair,
    "who_wears": _feature,
    "presence": _presence,
    "knowledge": _knowledge,
}
