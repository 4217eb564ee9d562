"""Kind of detection transformer of a checkpoint, from its config.json.

The three kinds have outputs of similar shapes with different meanings: RT-DETR scores each label
independently (sigmoid), DETR has a class "no object" (softmax), and DETR for panoptic segmentation
gives masks, from which we compute boxes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["sigmoid", "softmax", "panoptic"]

OUTPUTS: dict[Kind, tuple[str, ...]] = {
    "sigmoid": ("logits", "pred_boxes"),
    "softmax": ("logits", "pred_boxes"),
    "panoptic": ("logits", "pred_masks"),
}
"""Names of the network's outputs, the same in torch and in model.onnx."""

_SIGMOID_TYPES = frozenset({"rt_detr", "rt_detr_v2"})
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
        ValueError: The family of the checkpoint is not supported.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    kind = _kind(config, folder)
    by_number = {int(number): str(label) for number, label in config["id2label"].items()}
    labels = tuple(by_number[number] for number in range(len(by_number)))
    return Family(
        kind=kind,
        labels=labels,
        stuff=_stuff(kind, len(labels)),
        score_threshold=float(preprocessor.get("score_threshold", _USUAL_THRESHOLD[kind])),
    )


def _kind(config: dict[str, Any], folder: Path) -> Kind:
    model_type = config.get("model_type")
    architectures = config.get("architectures") or []
    if model_type in _SIGMOID_TYPES:
        return "sigmoid"
    if model_type == "detr" and "DetrForSegmentation" in architectures:
        return "panoptic"
    if model_type == "detr" and "DetrForObjectDetection" in architectures:
        return "softmax"
    raise ValueError(f"{folder}: no tagger for model type {model_type!r} ({architectures})")


def _stuff(kind: Kind, labels: int) -> frozenset[int]:
    """COCO numbers its countable categories up to 90 and the rest from 92 on."""
    if kind == "panoptic" and labels == _COCO_PANOPTIC_LABELS:
        return frozenset(range(_LAST_COCO_THING + 1, labels))
    return frozenset()
