"""Exports the towers of CLIP or SigLIP to `image.onnx` and `text.onnx`.

Where the text tower reads its vector (the end-of-text token) becomes part of the graph, as
config.json names that token.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, CLIPModel

from models.clip.families import read_family
from models.clip.words import Words
from models.preprocessing import Preprocessor
from training.export.graphs import write_graph


class _Image(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.tower, self.projection = model.vision_model, _projection(model, "visual_projection")
        self.eval()

    def forward(self, pixel_values: Tensor) -> Tensor:
        vectors: Tensor = self.projection(self.tower(pixel_values=pixel_values).pooler_output)
        return vectors


class _Text(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.tower, self.projection = model.text_model, _projection(model, "text_projection")
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        output = self.tower(input_ids=input_ids, attention_mask=attention_mask)
        vectors: Tensor = self.projection(output.pooler_output)
        return vectors


def _projection(model: CLIPModel, name: str) -> nn.Module:
    """Return the layer behind a tower; SigLIP's towers end in theirs."""
    layer: nn.Module = getattr(model, name, nn.Identity())
    return layer


def export_clip(folder: Path) -> None:
    """Write `image.onnx` and `text.onnx` beside the checkpoint in `folder`.

    image: pixel_values (photos, 3, height, width) float32 -> image_embeds (photos, dimension).
    text: input_ids and attention_mask (texts, tokens) int64 -> text_embeds (texts, dimension).
    Vectors are projected and not yet of unit length.

    Raises:
        ValueError: The family is unknown, or the preprocessor leaves photos in different sizes.
    """
    read_family(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        _export_image(model, folder)
        _export_text(model, folder)


def _export_image(model: CLIPModel, folder: Path) -> None:
    preprocess = Preprocessor.from_folder(folder)
    size = preprocess.crop or preprocess.size
    if size is None:
        raise ValueError(f"{folder}: its photos must come out in one size")
    write_graph(
        _Image(model),
        [torch.rand(2, 3, *size)],
        folder / "image.onnx",
        inputs={"pixel_values": {0: "photos"}},
        outputs={"image_embeds": {0: "photos"}},
    )


def _export_text(model: CLIPModel, folder: Path) -> None:
    ids, mask = Words.from_folder(folder)(["a cat", "a clock on the wall"])
    axes = {0: "texts", 1: "tokens"}
    write_graph(
        _Text(model),
        [torch.from_numpy(ids), torch.from_numpy(mask)],
        folder / "text.onnx",
        inputs={"input_ids": axes, "attention_mask": axes},
        outputs={"text_embeds": {0: "texts"}},
    )
