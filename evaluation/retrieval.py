"""Whether the retriever finds examples of the same question, and CLIP the right photo.

Recall@16 is measured against the most that sixteen examples can hold: a bank that asks about the
colour of a mug a hundred times cannot show more than sixteen of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bank.index import ExampleBank
from deployments.messages import Example
from evaluation.metrics import Score, ranks_of_own, share
from evaluation.topics import Topic, topic

AT = 16


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Relevant is an example of the same kind and subject as the question."""

    recall: Score
    chance: float
    """Recall of as many examples drawn at random."""
    first: Score
    """Share of questions whose most similar example is relevant."""
    answerable: float
    """Share of questions for which the bank has a relevant example."""


def score_retrieval(
    topics: Sequence[Topic], found: Sequence[Sequence[Example]], bank: ExampleBank
) -> RetrievalScores:
    """Return how many of the relevant examples are among the first sixteen."""
    relevant = Counter(topic(example.question, example.answer) for example in bank.examples)
    recalls, chances, firsts = [], [], []
    for own, examples in zip(topics, found, strict=True):
        if not relevant[own]:
            continue
        right = [topic(example.question, example.answer) == own for example in examples[:AT]]
        most = min(AT, relevant[own])
        recalls.append(sum(right) / most)
        chances.append(min(AT, len(bank)) * relevant[own] / len(bank) / most)
        firsts.append(bool(right and right[0]))
    return RetrievalScores(
        recall=share(recalls),
        chance=float(np.mean(chances)) if chances else 0.0,
        first=share(firsts),
        answerable=len(recalls) / max(1, len(topics)),
    )


def score_matching(photos: NDArray[np.float32], captions: NDArray[np.float32]) -> dict[str, Score]:
    """Return how often a photo's own caption is among the 1, 5 and 10 nearest of all captions.

    Both are unit vectors of shape (n, d). A caption that is as near counts as nearer.
    """
    ranks = ranks_of_own(photos @ captions.T)
    return {
        f"image to caption, first {k}": share([bool(r <= k) for r in ranks]) for k in (1, 5, 10)
    }
