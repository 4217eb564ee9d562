"""One part of a bundle at a time: its graphs, and where they keep their weights.

A checkpoint without safetensors files (pytorch_model.bin, as older public ones are) gets graphs
that hold the weights themselves.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from training.export.answerer import export_answerer
from training.export.captioner import export_captioner
from training.export.clip import export_clip
from training.export.tagger import export_tagger
from training.export.weights import Relinked, relink, weight_files

PartName = Literal["captioner", "tagger", "clip", "answerer"]

_PARTS: dict[PartName, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "captioner": (export_captioner, ("encoder.onnx", "decoder.onnx")),
    "tagger": (export_tagger, ("model.onnx",)),
    "clip": (export_clip, ("image.onnx", "text.onnx")),
    "answerer": (export_answerer, ("model.onnx",)),
}
PART_NAMES: tuple[PartName, ...] = tuple(_PARTS)


def export_part(name: PartName, folder: Path) -> dict[str, Relinked | None]:
    """Write the part's graphs; return how the weights of each file were stored.

    None means that the graph holds them itself.

    Raises:
        ValueError: More weights than biases and constants were not found in the safetensors files.
    """
    export, files = _PARTS[name]
    export(folder)
    weights = weight_files(folder)
    if not weights:
        return dict.fromkeys(files)
    relinked = {file: relink(folder / file, weights) for file in files}
    for file, result in relinked.items():
        if result.too_much_inline:
            raise ValueError(
                f"{folder / file} keeps {result.inline_bytes} bytes of weights that are not in the"
                f" safetensors files: {result.largest_inline}"
            )
    return dict(relinked)
