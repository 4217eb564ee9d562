"""Panoptic post-processing: from DETR's masks to labelled boxes.

The rules of transformers' `post_process_panoptic_segmentation` (Carion et al. 2020, section 4.4),
in numpy and one mask at a time, so that memory does not grow with the number of segments: a pixel
belongs to the query whose mask, weighted by its score, is strongest there; a segment is dropped if
others won too much of its mask; segments of a stuff class are merged.

Two differences: here a segment after a merged one never reuses the id of another (in transformers
it can, and then two labels share pixels), and a merged segment is listed once, with the highest
score of its parts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tagging.boxes import Found, sigmoid, softmax

MASK_THRESHOLD = 0.5
LEAST_SHARE_WON = 0.8


@dataclass(frozen=True, slots=True)
class _Segment:
    label: int
    score: float
    queries: tuple[int, ...]


def segments(
    logits: NDArray[Any],
    masks: NDArray[Any],
    *,
    size: tuple[int, int],
    score_threshold: float,
    stuff: Collection[int] = (),
    mask_threshold: float = MASK_THRESHOLD,
    least_share_won: float = LEAST_SHARE_WON,
) -> list[Found]:
    """Read one photo's outputs.

    Args:
        logits: Shape (queries, classes + 1); the last class is "nothing here".
        masks: Shape (queries, h, w), logits.
        size: Height and width of the photo in pixels.
        score_threshold: A query's score must be above it.
        stuff: Classes whose segments are merged.
        mask_threshold: Score times mask from which a pixel belongs to the query's mask.
        least_share_won: A segment must win more than this share of its mask.

    Returns:
        One for each segment, in the order of queries; upper bounds of boxes are exclusive.
    """
    probabilities = softmax(logits.astype(np.float32))
    labels, scores = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    nothing = logits.shape[-1] - 1
    kept = np.flatnonzero((labels != nothing) & (scores > score_threshold))
    if not kept.size:
        return []
    labels, scores = labels[kept], scores[kept]
    winner, own = _winners(masks[kept], scores, size, mask_threshold)
    won = np.bincount(winner.ravel(), minlength=len(kept))
    standing = [
        query
        for query in range(len(kept))
        if own[query] and won[query] / own[query] > least_share_won
    ]
    return [
        Found(segment.label, segment.score, _box(np.isin(winner, segment.queries)))
        for segment in _joined(standing, labels.tolist(), scores.tolist(), stuff)
    ]


def _winners(
    masks: NDArray[Any], scores: NDArray[np.float32], size: tuple[int, int], mask_threshold: float
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Return the query that won each pixel, and the number of pixels in each query's mask."""
    best = np.full(size, -1, np.float32)
    winner = np.zeros(size, np.int16)
    own = np.zeros(len(masks), np.int64)
    for query, (mask, score) in enumerate(zip(masks, scores, strict=True)):
        weighted = _resized(sigmoid(mask.astype(np.float32)), size) * score
        own[query] = np.count_nonzero(weighted >= mask_threshold)
        stronger = weighted > best
        np.copyto(best, weighted, where=stronger)
        winner[stronger] = query
    return winner, own


def _joined(
    standing: list[int], labels: list[int], scores: list[float], stuff: Collection[int]
) -> list[_Segment]:
    found: list[_Segment] = []
    places: dict[int, int] = {}
    for query in standing:
        label, score = labels[query], scores[query]
        place = places.get(label)
        if place is None:
            if label in stuff:
                places[label] = len(found)
            found.append(_Segment(label, score, (query,)))
        else:
            before = found[place]
            found[place] = _Segment(label, max(before.score, score), (*before.queries, query))
    return found


def _box(pixels: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _resized(mask: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the mask resized: bilinear, no antialiasing, as torch's `align_corners=False`."""
    above, below, down = _neighbours(mask.shape[0], size[0])
    left, right, across = _neighbours(mask.shape[1], size[1])
    rows = mask[above] + (mask[below] - mask[above]) * down[:, None]
    whole: NDArray[np.float32] = rows[:, left] + (rows[:, right] - rows[:, left]) * across
    return whole


def _neighbours(
    have: int, want: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each target index its two source neighbours and the weight of the second."""
    place = np.maximum((np.arange(want) + 0.5) * (have / want) - 0.5, 0).astype(np.float32)
    before = np.minimum(place.astype(np.intp), have - 1)
    return before, np.minimum(before + 1, have - 1), place - before.astype(np.float32)
