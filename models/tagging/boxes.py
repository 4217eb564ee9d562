"""Post-processing of object detection: from logits and relative boxes to boxes in pixels.

The same as transformers' `post_process_object_detection` of RT-DETR (with focal loss) and of DETR,
in numpy; but boxes are clipped to the photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]

MOST_OVERLAP = 0.7
"""IoU above which two boxes of one label are duplicates."""


@dataclass(frozen=True, slots=True)
class Found:
    """A class with its score and its box in pixels of the photo."""

    label: int
    score: float
    box: Box


def boxes_of_sigmoid(
    logits: NDArray[Any], boxes: NDArray[Any], *, size: tuple[int, int], score_threshold: float
) -> list[Found]:
    """Read one photo's outputs where each query may hold several labels (RT-DETR).

    Args:
        logits: Shape (queries, labels).
        boxes: Shape (queries, 4): centre x, y, width and height, relative to the photo.
        size: Height and width of the photo in pixels.
        score_threshold: Scores must be above it.

    Returns:
        At most one for each query, highest score first.
    """
    scores = sigmoid(logits.astype(np.float32))
    order = np.argsort(-scores, axis=None, kind="stable")[: len(logits)]
    queries, labels = np.unravel_index(order, scores.shape)
    return _found(labels, scores[queries, labels], boxes[queries], size, score_threshold)


def boxes_of_softmax(
    logits: NDArray[Any], boxes: NDArray[Any], *, size: tuple[int, int], score_threshold: float
) -> list[Found]:
    """Read one photo's outputs with a last class "no object" (DETR).

    Arguments and result are those of `boxes_of_sigmoid`.
    """
    scores = softmax(logits.astype(np.float32))[:, :-1]
    labels = scores.argmax(axis=-1)
    best = scores.max(axis=-1)
    order = np.argsort(-best, kind="stable")
    return _found(labels[order], best[order], boxes[order], size, score_threshold)


def without_duplicates(found: Sequence[Found]) -> list[Found]:
    """Drop boxes that overlap an earlier one with the same label (non-maximum suppression)."""
    kept: list[Found] = []
    for one in found:
        if not any(
            one.label == other.label and _overlap(one.box, other.box) > MOST_OVERLAP
            for other in kept
        ):
            kept.append(one)
    return kept


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sigmoid; exact for very negative logits too, which masks compare."""
    small = np.exp(-np.abs(logits))
    probabilities: NDArray[np.float32] = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return probabilities


def _found(
    labels: NDArray[np.intp],
    scores: NDArray[np.float32],
    boxes: NDArray[Any],
    size: tuple[int, int],
    score_threshold: float,
) -> list[Found]:
    corners = _corners(boxes, size)
    return [
        Found(int(label), float(score), tuple(box))
        for label, score, box in zip(labels, scores, corners.tolist(), strict=True)
        if score > score_threshold and box[2] > box[0] and box[3] > box[1]
    ]


def _corners(boxes: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size
    centres, sides = boxes[:, :2].astype(np.float32), boxes[:, 2:].astype(np.float32)
    scale = np.array([width, height, width, height], np.float32)
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) * scale
    return np.clip(corners, 0, scale)


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
