"""Exports a detection transformer to `model.onnx`.

RT-DETRv2 must be traced: the newer exporter cannot translate it. The wrapper that is traced is put
in evaluation mode itself, because the exporter restores the wrapper's mode to the whole model when
it is done, and a model left in training mode normalises by its batch from then on.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageSegmentation, AutoModelForObjectDetection

from models.preprocessing import Preprocessor
from models.tagging.families import OUTPUTS, read_family
from training.export.graphs import write_graph

_ANY_SIZE = (224, 288)


class _Outputs(nn.Module):
    """What tags are read from, without what only training needs."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.eval()

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        output = self.model(pixel_values=pixel_values)
        return tuple(getattr(output, name) for name in self.names)


def export_tagger(folder: Path) -> None:
    """Write `model.onnx` beside the checkpoint in `folder`.

    pixel_values (photos, 3, height, width) float32 -> logits (photos, queries, classes) and
    pred_boxes (photos, queries, 4), or for panoptic masks pred_masks (photos, queries, h, w).
    Height and width may vary where the preprocessor keeps a photo's aspect ratio.

    Raises:
        ValueError: The checkpoint is no detection transformer that we know.
    """
    family = read_family(folder)
    names = OUTPUTS[family.kind]
    loader = (
        AutoModelForImageSegmentation if family.kind == "panoptic" else AutoModelForObjectDetection
    )
    model = loader.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    size = Preprocessor.from_folder(folder).size
    # RT-DETR lays out its anchors while it is traced, so one size stays one size.
    sides = {} if size else {2: "height", 3: "width"}
    mask_sides = {2: "mask_height", 3: "mask_width"} if sides else {}
    axes = {
        "logits": {0: "photos"},
        "pred_boxes": {0: "photos"},
        "pred_masks": {0: "photos"} | mask_sides,
    }
    with torch.no_grad():
        write_graph(
            _Outputs(model, names),
            [torch.rand(2, 3, *(size or _ANY_SIZE))],
            folder / "model.onnx",
            inputs={"pixel_values": {0: "photos"} | sides},
            outputs={name: axes[name] for name in names},
        )
