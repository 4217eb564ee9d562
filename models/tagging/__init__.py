"""Object detection: labelled boxes in a photo.

Box detectors (DETR, RT-DETR) and panoptic segmenters (DETR) give the same kind of result;
`models.tagging.families` has the table of architectures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.pixels import Rgb
from models.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Tag:
    """A labelled box: x0, y0, x1, y1 in pixels of the upright photo."""

    label: str
    score: float
    box: tuple[float, float, float, float]


class TagModel(Protocol):
    """Finds labelled boxes in several photos at once."""

    def tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        """Return each photo's tags, left to right by the centre of their boxes."""
        ...


def load(
    folder: Path,
    engine: EngineSettings,
    *,
    score_threshold: float | None = None,
    max_tags: int = 32,
) -> TagModel:
    """Load a detection transformer: RT-DETR (v1, v2), DETR, or DETR with panoptic masks.

    Args:
        folder: config.json, preprocessor_config.json and model.onnx or the torch weights.
        engine: Library, device and threads.
        score_threshold: Lowest confidence of a tag; None means `score_threshold` of
            preprocessor_config.json, or else the architecture's default.
        max_tags: Most tags of a photo; those with the highest confidence are kept.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The checkpoint is of an unknown architecture; the message lists the known.
    """
    from models.preprocessing import Preprocessor
    from models.tagging.detector import Detector
    from models.tagging.families import read_family

    family = read_family(folder)
    if engine.engine == "onnx":
        from models.tagging.onnx import open_network
    else:
        from models.tagging.torch import open_network
    return Detector(
        preprocess=Preprocessor.from_folder(folder),
        network=open_network(folder, engine, family),
        family=family,
        score_threshold=family.score_threshold if score_threshold is None else score_threshold,
        max_tags=max_tags,
    )
