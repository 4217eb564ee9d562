"""The captioners known here: how each architecture starts, ends and limits a caption.

`FAMILIES` is the one table. A new family needs an entry here, and graphs for the ONNX engine from
`training.export`: `encoder.onnx` and `decoder.onnx` have the same inputs and outputs for all.

ViT-GPT2: a VisionEncoderDecoderModel, nlpconnect/vit-gpt2-image-captioning.
BLIP: Li et al. 2022, "BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation", Salesforce/blip-image-captioning-base and -large.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.architectures import known_architecture
from models.generation.rules import Rules, read_rules, rules_of

_GPT2_POSITIONS = 1024
_BLIP_TEXT = {
    "bos_token_id": 30522,
    "max_position_embeddings": 512,
    "sep_token_id": 102,
}
"""Values that transformers fills in where a text_config leaves them out."""


@dataclass(frozen=True, slots=True)
class Family:
    """How a checkpoint writes captions."""

    architecture: str
    """Class in transformers."""
    rules: Rules
    start_token_id: int
    """First token that the decoder reads; it is no part of the caption."""
    positions: int
    """Most tokens that the decoder reads, the first one included."""


def read_family(folder: Path) -> Family:
    """Read config.json, and generation_config.json where the family uses it.

    Raises:
        FileNotFoundError: config.json is missing.
        ValueError: The architecture is unknown (the message lists the known), it names no first
            token, or a generation setting is not supported.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    architecture = known_architecture(folder, config, FAMILIES, part="captioner")
    return FAMILIES[architecture](folder, config)


def _vit_gpt2(folder: Path, config: Mapping[str, Any]) -> Family:
    rules = read_rules(folder)
    if rules.decoder_start_token_id is None:
        raise ValueError(f"{folder.name} names no decoder_start_token_id")
    decoder = config["decoder"]
    if decoder.get("model_type") != "gpt2":
        raise ValueError(f"{folder}: decoder {decoder.get('model_type')!r} is not known, only gpt2")
    return Family(
        architecture="VisionEncoderDecoderModel",
        rules=rules,
        start_token_id=rules.decoder_start_token_id,
        positions=decoder.get("n_positions", _GPT2_POSITIONS),
    )


def _blip(folder: Path, config: Mapping[str, Any]) -> Family:
    """BLIP ends at [SEP]; its generation settings stand in text_config, and nowhere else."""
    text = _BLIP_TEXT | (config.get("text_config") or {})
    return Family(
        architecture="BlipForConditionalGeneration",
        rules=rules_of(text | {"eos_token_id": text["sep_token_id"]}, name=folder.name),
        start_token_id=text["bos_token_id"],
        positions=text["max_position_embeddings"],
    )


FAMILIES: dict[str, Callable[[Path, Mapping[str, Any]], Family]] = {
    "BlipForConditionalGeneration": _blip,
    "VisionEncoderDecoderModel": _vit_gpt2,
}
"""Reader of each architecture that config.json may name."""
