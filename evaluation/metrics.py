"""Scores of answers, tags and retrieval, with confidence intervals.

All are strict: an answer is right or wrong as a whole, and a tie in a ranking counts against us.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bank.answers import normalise_answer
from models.tagging import Tag

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """A share in [0, 1] with its bootstrap interval of 95 %, over `count` cases."""

    value: float
    low: float
    high: float
    count: int

    def as_json(self) -> dict[str, float]:
        """Return the score with four digits after the point."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def is_right(answer: str, truth: str) -> bool:
    """Return whether the answer is the true one after normalisation; nothing is half right."""
    return normalise_answer(answer) == normalise_answer(truth)


def ratio(
    parts: Sequence[float], wholes: Sequence[float], *, seed: int = 0, rounds: int = 1000
) -> Score:
    """Return sum(parts) / sum(wholes), one pair a case, with its interval over the cases.

    Cases are drawn again, not parts: the facts of one photo are not independent.
    """
    part, whole = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    if not len(part) or not whole.sum():
        return Score(0.0, 0.0, 1.0, len(part))
    drawn = np.random.default_rng(seed).integers(0, len(part), (rounds, len(part)))
    below = whole[drawn].sum(axis=1)
    shares = part[drawn].sum(axis=1)[below > 0] / below[below > 0]
    low, high = np.quantile(shares, (0.025, 0.975))
    return Score(float(part.sum() / whole.sum()), float(low), float(high), len(part))


def share(right: Sequence[bool] | Sequence[float], *, seed: int = 0) -> Score:
    """Return the mean of cases that are each in [0, 1]."""
    return ratio([float(case) for case in right], [1.0] * len(right), seed=seed)


def iou(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def matched_tags(
    found: Sequence[Tag], truth: Sequence[tuple[str, Box]], *, at_iou: float = 0.5
) -> int:
    """Return how many tags are right: greedy, surest first, each true box at most once."""
    left = list(truth)
    matched = 0
    for tag in sorted(found, key=lambda tag: -tag.score):
        fitting = [
            (iou(tag.box, box), place)
            for place, (label, box) in enumerate(left)
            if label == tag.label
        ]
        overlap, place = max(fitting, default=(0.0, -1))
        if overlap >= at_iou:
            del left[place]
            matched += 1
    return matched


def f1(matched: Sequence[int], found: Sequence[int], true: Sequence[int]) -> Score:
    """Return 2 * matched / (found + true) over all photos."""
    wholes = [one + other for one, other in zip(found, true, strict=True)]
    return ratio([2 * count for count in matched], wholes)


def ranks_of_own(similarities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rank, 1 is best, of each row's own column, shape (n,) of (n, n).

    Every other column that is as similar ranks before it: a model that gives all the same vector
    comes last and not first.
    """
    own = similarities.diagonal()[:, None]
    others = ~np.eye(len(similarities), dtype=bool)
    ranks: NDArray[np.int64] = 1 + ((similarities >= own) & others).sum(axis=1)
    return ranks
