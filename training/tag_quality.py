"""How well found tags match a scene's: F1 at IoU 0.5, and the share of photos with every tag right.

The second figure is what the answerer feels: its prompt lists the labels from left to right, and
one miss, one ghost or two swapped neighbours spoil it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from training.scenes import Box, Scene, centre_x, tags

Found = tuple[str, float, Box]
"""label, score, box in pixels of 640x480."""


@dataclass(frozen=True)
class Quality:
    """Shares in 0..1 at one score threshold; `exact_lists` counts photos with every tag right."""

    threshold: float
    precision: float
    recall: float
    exact_lists: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def __str__(self) -> str:
        return (
            f"F1 {self.f1:.4f} precision {self.precision:.4f} recall {self.recall:.4f} "
            f"exact lists {self.exact_lists:.4f} at threshold {self.threshold:.2f}"
        )


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def matches(scene: Scene, found: Sequence[Found]) -> int:
    """Return how many found tags match a true tag each: same label, IoU at least 0.5."""
    free = tags(scene)
    hits = 0
    for label, _, box in sorted(found, key=lambda tag: -tag[1]):
        near = [tag for tag in free if tag[0] == label and overlap(tag[1], box) >= 0.5]
        if near:
            free.remove(max(near, key=lambda tag: overlap(tag[1], box)))
            hits += 1
    return hits


def measure(scenes: Sequence[Scene], found: Sequence[Sequence[Found]], threshold: float) -> Quality:
    """Return the quality of the tags with a score of at least `threshold`."""
    hits = guesses = truths = exact = 0
    for scene, tags_found in zip(scenes, found, strict=True):
        kept = [tag for tag in tags_found if tag[1] >= threshold]
        hits += matches(scene, kept)
        guesses += len(kept)
        truth = [label for label, _ in tags(scene)]
        truths += len(truth)
        exact += truth == [tag[0] for tag in sorted(kept, key=lambda tag: centre_x(tag[2]))]
    return Quality(threshold, hits / max(guesses, 1), hits / max(truths, 1), exact / len(scenes))


def best(scenes: Sequence[Scene], found: Sequence[Sequence[Found]]) -> Quality:
    """Return the quality at the score threshold from 0.20 to 0.80 with the highest F1."""
    tried = [measure(scenes, found, percent / 100) for percent in range(20, 81, 5)]
    return max(tried, key=lambda quality: quality.f1)
