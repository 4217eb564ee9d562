"""Beam search with transformers' semantics: length penalty, early stopping, forced tokens.

The first token comes from one row for each input, not from `num_beams` equal rows, so the
encoder's output and the first run are never repeated.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.generation import Ids, Scores, Step
from models.generation.rules import Rules

_NOT_FULL = np.float32(-1e9)


@dataclass(slots=True)
class _Finished:
    """The best finished hypotheses of one input, best first."""

    size: int
    texts: list[tuple[np.float32, list[int]]] = field(default_factory=list)
    can_improve: bool = True

    @property
    def is_full(self) -> bool:
        return len(self.texts) == self.size

    @property
    def worst(self) -> np.float32:
        return self.texts[-1][0] if self.is_full else _NOT_FULL

    def add(self, texts: list[tuple[np.float32, list[int]]]) -> None:
        self.texts = sorted(self.texts + texts, key=lambda text: -text[0])[: self.size]


@dataclass(slots=True)
class _Beams:
    """The open beams of every input, each input's best first."""

    ids: NDArray[np.int64]
    """Shape (inputs, beams, length)."""
    scores: NDArray[np.float32]
    """Sum of log-probabilities, shape (inputs, beams)."""


def beam_search(
    first: Scores, step: Step, rules: Rules, *, num_beams: int, max_new_tokens: int
) -> list[list[int]]:
    """Return the ids of each input's best hypothesis, its end-of-text token included.

    Args:
        first: Scores of the first token, one row for each input: shape (inputs, vocabulary).
        step: The decoder. The first call's parents are inputs; afterwards the row of beam b
            of input i is i * num_beams + b.
        rules: The checkpoint's generation rules.
        num_beams: Beam width.
        max_new_tokens: Longest text, in tokens.
    """
    inputs = len(first)
    beams = _Beams(np.empty((inputs, 1, 0), np.int64), np.zeros((inputs, 1), np.float32))
    finished = [_Finished(num_beams) for _ in range(inputs)]
    scores = first
    for position in range(max_new_tokens):
        is_last = position == max_new_tokens - 1
        candidates, parents = _extend(
            beams,
            rules.forced(_log_softmax(scores), position, max_new_tokens),
            count=max(2, 1 + len(rules.eos_token_ids)) * num_beams,
        )
        ends = np.isin(candidates.ids[..., -1], rules.eos_token_ids) | is_last
        _collect(finished, candidates, ends, rules)
        beams, parents = _keep_open(candidates, parents, ends, num_beams)
        _judge(finished, beams, rules, max_new_tokens if rules.early_stopping == "never" else None)
        if is_last or not any(_goes_on(one, rules) for one in finished):
            break
        scores = step(beams.ids[..., -1].reshape(-1), parents)
    return [one.texts[0][1] for one in finished]


def _log_softmax(scores: Scores) -> Scores:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    log_probabilities: Scores = shifted - normaliser
    return log_probabilities


def _extend(beams: _Beams, log_probabilities: Scores, *, count: int) -> tuple[_Beams, Ids]:
    """Return the `count` best one-token continuations of each input, and the row of each."""
    inputs, rows = beams.scores.shape
    vocabulary = log_probabilities.shape[-1]
    totals = log_probabilities.reshape(inputs, rows, vocabulary) + beams.scores[..., None]
    totals = totals.reshape(inputs, rows * vocabulary)
    count = min(count, totals.shape[1])
    best = np.argpartition(-totals, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(totals, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    row, token = best // vocabulary, best % vocabulary
    ids = np.concatenate(
        [np.take_along_axis(beams.ids, row[..., None], axis=1), token[..., None]], axis=2
    )
    parents = row + np.arange(inputs)[:, None] * rows
    return _Beams(ids, np.take_along_axis(totals, best, axis=1)), parents


def _collect(
    finished: list[_Finished], candidates: _Beams, ends: NDArray[np.bool_], rules: Rules
) -> None:
    """Add the finished ones of each input's best `num_beams` candidates.

    Further candidates exist only so that enough open ones remain.
    """
    length = np.float32(candidates.ids.shape[2] ** rules.length_penalty)
    for index, one in enumerate(finished):
        if _goes_on(one, rules):
            ended = np.flatnonzero(ends[index, : one.size])
            one.add(
                [
                    (candidates.scores[index, rank] / length, candidates.ids[index, rank].tolist())
                    for rank in ended
                ]
            )


def _keep_open(
    candidates: _Beams, parents: Ids, ends: NDArray[np.bool_], num_beams: int
) -> tuple[_Beams, Ids]:
    """Return each input's best `num_beams` open candidates, and their parent rows."""
    open_first = np.argsort(ends, axis=1, kind="stable")[:, :num_beams]
    kept = _Beams(
        np.take_along_axis(candidates.ids, open_first[..., None], axis=1),
        np.take_along_axis(candidates.scores, open_first, axis=1),
    )
    return kept, np.take_along_axis(parents, open_first, axis=1).reshape(-1)


def _judge(finished: list[_Finished], beams: _Beams, rules: Rules, longest: int | None) -> None:
    """Mark the inputs of which no open beam can beat the finished hypotheses any more."""
    hopeful = longest if longest and rules.length_penalty > 0 else beams.ids.shape[2]
    length = np.float32(hopeful**rules.length_penalty)
    for one, best in zip(finished, beams.scores[:, 0], strict=True):
        one.can_improve = one.can_improve and bool(best / length > one.worst)


def _goes_on(one: _Finished, rules: Rules) -> bool:
    return one.can_improve and not (rules.early_stopping is True and one.is_full)
