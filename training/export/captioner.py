"""Exports a captioner to `encoder.onnx` and `decoder.onnx`, the same two graphs for every family.

The encoder graph ends in the decoder's cross-attention keys and values, computed once for each
photo; the decoder graph takes one token of each row.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from models.architectures import known_architecture
from training.export import blip, vit_gpt2
from training.export.captioner_modules import CaptionerModules
from training.export.graphs import cache_axes, write_graph

_FAMILIES: dict[str, Callable[[Path], CaptionerModules]] = {
    "BlipForConditionalGeneration": blip.load_modules,
    "VisionEncoderDecoderModel": vit_gpt2.load_modules,
}


def export_captioner(folder: Path) -> None:
    """Write `encoder.onnx` and `decoder.onnx` beside the checkpoint in `folder`.

    encoder: pixel_values (photos, channels, height, width) float32 -> cross_key_i and
    cross_value_i for each decoder layer i, (photos, heads, patches, head size).

    decoder: input_ids (rows, 1) int64; parents (rows,) int64, the row of the past that each row
    goes on from; past_key_i and past_value_i (past rows, heads, length, head size) of any length
    from 0; cross_key_i and cross_value_i -> logits (rows, vocabulary) and present_key_i and
    present_value_i. Rows of one photo are neighbours, and each photo has equally many.

    Raises:
        ValueError: The architecture is unknown; the message lists the known.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    architecture = known_architecture(folder, config, _FAMILIES, part="captioner")
    modules = _FAMILIES[architecture](folder)
    with torch.no_grad():
        _export_encoder(modules, folder / "encoder.onnx")
        _export_decoder(modules, folder / "decoder.onnx")


def _export_encoder(modules: CaptionerModules, path: Path) -> None:
    write_graph(
        modules.encoder,
        [torch.randn(2, *modules.photo)],
        path,
        inputs={"pixel_values": {0: "photos"}},
        outputs=cache_axes("cross", modules.layers, {0: "photos"}),
    )


def _export_decoder(modules: CaptionerModules, path: Path) -> None:
    layers, heads, size = modules.layers, modules.heads.count, modules.heads.size
    rows = {0: "rows"}
    write_graph(
        modules.decoder,
        [
            torch.zeros(6, 1, dtype=torch.int64),
            torch.arange(6),
            [torch.randn(6, heads, 4, size) for _ in range(2 * layers)],
            [torch.randn(2, heads, 5, size) for _ in range(2 * layers)],
        ],
        path,
        inputs={"input_ids": rows, "parents": rows}
        | cache_axes("past", layers, {0: "past_rows", 2: "length"})
        | cache_axes("cross", layers, {0: "photos", 2: "patches"}),
        outputs={"logits": rows} | cache_axes("present", layers, {0: "rows", 2: "length_and_one"}),
    )
