"""The detection transformers known here, and which of them a checkpoint is.

The three kinds have outputs of similar shapes with different meanings: RT-DETR scores each label
independently (sigmoid), DETR has a class "no object" (softmax), and DETR for panoptic segmentation
gives masks, from which we compute boxes.

DETR: Carion et al. 2020, facebook/detr-resnet-50 and facebook/detr-resnet-50-panoptic.
RT-DETR: Zhao et al. 2024, "DETRs Beat YOLOs on Real-time Object Detection", PekingU/rtdetr_r18vd.
RT-DETRv2: Lv et al. 2024, "Improved Baseline with Bag-of-Freebies", PekingU/rtdetr_v2_r18vd.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.architectures import known_architecture

Kind = Literal["sigmoid", "softmax", "panoptic"]

OUTPUTS: dict[Kind, tuple[str, ...]] = {
    "sigmoid": ("logits", "pred_boxes"),
    "softmax": ("logits", "pred_boxes"),
    "panoptic": ("logits", "pred_masks"),
}
"""Names of the network's outputs, the same in torch and in model.onnx."""

FAMILIES: dict[str, Kind] = {
    "DetrForObjectDetection": "softmax",
    "DetrForSegmentation": "panoptic",
    "RTDetrForObjectDetection": "sigmoid",
    "RTDetrV2ForObjectDetection": "sigmoid",
}
"""Kind of each architecture that config.json may name."""

_USUAL_THRESHOLD: dict[Kind, float] = {"sigmoid": 0.5, "softmax": 0.5, "panoptic": 0.85}
_COCO_PANOPTIC_LABELS = 250
_LAST_COCO_THING = 90


@dataclass(frozen=True, slots=True)
class Family:
    """How to interpret a checkpoint's outputs."""

    kind: Kind
    labels: tuple[str, ...]
    """Label of each class, by index."""
    stuff: frozenset[int]
    """Stuff classes (sky, wall), whose segments are merged into one tag."""
    score_threshold: float


def read_family(folder: Path) -> Family:
    """Read config.json and the threshold in preprocessor_config.json.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The checkpoint is of an unknown architecture; the message lists the known.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    kind = FAMILIES[known_architecture(folder, config, FAMILIES, part="tagger")]
    by_number = {int(number): str(label) for number, label in config["id2label"].items()}
    labels = tuple(by_number[number] for number in range(len(by_number)))
    return Family(
        kind=kind,
        labels=labels,
        stuff=_stuff(kind, len(labels)),
        score_threshold=float(preprocessor.get("score_threshold", _USUAL_THRESHOLD[kind])),
    )


def _stuff(kind: Kind, labels: int) -> frozenset[int]:
    """COCO numbers its countable categories up to 90 and the rest from 92 on."""
    if kind == "panoptic" and labels == _COCO_PANOPTIC_LABELS:
        return frozenset(range(_LAST_COCO_THING + 1, labels))
    return frozenset()
