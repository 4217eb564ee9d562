"""Conversations as token ids, with what each token counts in the loss and where heads should look.

Answers count fully, except where nothing before them tells (the owner of a thing, the first time
that it is asked). Tags count a little: they repeat the caption's nouns, and predicting them makes
the model learn to look back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from training.attention_targets import (
    Asked,
    Context,
    Head,
    Look,
    inside,
    to_answer,
    to_question,
)
from training.conversations import ASSISTANT, END, INSTRUCTION, SYSTEM, USER, Conversation, Turn
from training.questions import UNKNOWN

TAG_WEIGHT = 0.2


@dataclass(frozen=True)
class TokenLook:
    """A `Look` by the places of its tokens."""

    head: Head
    at: int
    on: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """Token ids; of the same length the loss weight of each (0 where it is not predicted)."""

    ids: list[int]
    weights: list[float]
    looks: tuple[TokenLook, ...]


def encode(tokenizer: Tokenizer, conversation: Conversation) -> Encoded:
    """Return the tokens of the chat template for the instruction and these turns, with answers."""
    text = _Text()
    text.add(f"{SYSTEM}{INSTRUCTION}{END}")
    for turn in conversation:
        text.add_turn(turn)
    return text.encoded(tokenizer)


class _Text:
    """The text of a conversation as it grows."""

    def __init__(self) -> None:
        self._text = ""
        self._ends: list[tuple[int, float]] = []
        self._looks: list[Look] = []
        self._context = Context("", 0, (), 0)
        self._solved: dict[str, int] = {}

    def add(self, piece: str, weight: float = 0.0) -> int:
        """Append the piece; return where it begins."""
        start = len(self._text)
        self._text += piece
        self._ends.append((len(self._text), weight))
        return start

    def add_turn(self, turn: Turn) -> None:
        """Append a question with its description, if it has one, and its answer."""
        before, tag_line, after = _split_at_tags(turn)
        user_at = self.add(f"{USER}{before}")
        tags_at = self.add(tag_line, TAG_WEIGHT) + tag_line.find(": ") + len(": ")
        self.add(f"{after}{END}")
        question_at = len(self._text) - len(f"{turn.question.question}{END}")
        if turn.caption or turn.tags:
            caption_at = user_at + len(USER) + len("Context: ")
            self._context = Context(turn.caption, caption_at, turn.tags, tags_at)
            self._looks += inside(self._context)
        assistant_at = self.add(ASSISTANT)
        answer_at = self.add(f"{turn.question.answer}{END}", turn.weight)
        asked = Asked(turn.question, question_at, assistant_at, answer_at)
        self._looks += to_question(asked, self._context)
        if turn.weight:
            self._looks += to_answer(asked, self._context, self._solved)
        if turn.question.kind in ("owner", "room") and turn.question.answer != UNKNOWN:
            self._solved[turn.question.subject] = answer_at

    def encoded(self, tokenizer: Tokenizer) -> Encoded:
        """Encode the whole text at once: a piece alone would be given a space at its start."""
        encoding = tokenizer.encode(self._text, add_special_tokens=False)
        token_at = [0] * len(self._text)
        for token, (start, stop) in enumerate(encoding.offsets):
            token_at[start:stop] = [token] * (stop - start)
        looks = (
            TokenLook(look.head, token_at[look.at], tuple(token_at[at] for at in look.on))
            for look in self._looks
        )
        return Encoded(encoding.ids, list(self._weights(encoding.offsets)), tuple(looks))

    def _weights(self, offsets: Sequence[tuple[int, int]]) -> Iterator[float]:
        place = 0
        for _, stop in offsets:
            while stop > self._ends[place][0]:
                place += 1
            yield self._ends[place][1]


def _split_at_tags(turn: Turn) -> tuple[str, str, str]:
    if not turn.tags:
        return turn.user, "", ""
    start = turn.user.index("Tags:") - len("\n" if turn.caption else "")
    stop = turn.user.index("\nQuestion:")
    return turn.user[:start], turn.user[start:stop], turn.user[stop:]
