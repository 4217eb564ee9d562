"""A tag model on either engine: preprocessing, network, post-processing.

Photos whose sizes differ after preprocessing run as separate batches, so that the tags of a photo
do not depend on the other photos of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pixels import Rgb
from models.preprocessing import PixelValues, Preprocessor
from models.tagging import Tag
from models.tagging.boxes import Found, boxes_of_sigmoid, boxes_of_softmax, without_duplicates
from models.tagging.families import Family
from models.tagging.panoptic import segments

Network = Callable[[PixelValues], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""From (n, 3, height, width) to the two arrays that `families.OUTPUTS` names."""


@dataclass(frozen=True)
class Detector:
    """A `TagModel`."""

    preprocess: Preprocessor
    network: Network
    family: Family
    score_threshold: float
    max_tags: int

    def tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        """Return each photo's tags, left to right by the centre of their boxes."""
        tags: list[tuple[Tag, ...]] = [()] * len(photos)
        for indices, pixel_values in self.preprocess.by_size(photos):
            logits, regions = self.network(pixel_values)
            for index, scores, places in zip(indices, logits, regions, strict=True):
                height, width = photos[index].shape[:2]
                tags[index] = self._arranged(self._found(scores, places, (height, width)))
        return tags

    def _found(
        self, logits: NDArray[Any], regions: NDArray[Any], size: tuple[int, int]
    ) -> list[Found]:
        """Return the detections, highest confidence first."""
        if self.family.kind == "panoptic":
            return segments(
                logits,
                regions,
                size=size,
                score_threshold=self.score_threshold,
                stuff=self.family.stuff,
            )
        read = boxes_of_sigmoid if self.family.kind == "sigmoid" else boxes_of_softmax
        found = read(logits, regions, size=size, score_threshold=self.score_threshold)
        return without_duplicates(found)

    def _arranged(self, found: Sequence[Found]) -> tuple[Tag, ...]:
        surest = sorted(found, key=lambda one: -one.score)[: self.max_tags]
        surest.sort(key=lambda one: (one.box[0] + one.box[2], one.box[1] + one.box[3]))
        return tuple(Tag(self.family.labels[one.label], one.score, one.box) for one in surest)
