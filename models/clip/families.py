"""Families of retrievers, by the model type that config.json names.

CLIP (Radford et al. 2021) reads a text up to its end-of-text token. SigLIP 2 (Tschannen et al.
2025) was trained on lower-case texts padded to 64 tokens, with attention to the padding, and its
card asks for the same at inference. Checkpoints of a fixed resolution have SigLIP's model type.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """A family's name in checkpoints, and how its texts become token ids."""

    architecture: str
    """As config.json and transformers name it."""
    max_tokens: int
    """Default of transformers for the longest text, which config.json omits."""
    lower_case: bool = False
    """Convert texts to lower case first, which tokenizer.json does not do."""
    attends_to_padding: bool = False
    """Pad every text to `max_tokens`, and mask nothing out."""
    tokenizers: frozenset[str] = frozenset()
    """Tokenizer classes that are supported; empty means any."""


FAMILIES: Mapping[str, Family] = {
    "clip": Family("CLIPModel", max_tokens=77),
    "siglip": Family(
        "SiglipModel",
        max_tokens=64,
        lower_case=True,
        attends_to_padding=True,
        # SigLIP's first tokenizer removes punctuation, by code that is not in tokenizer.json.
        tokenizers=frozenset({"Gemma", "Siglip2"}),
    ),
}


def read_family(folder: Path) -> Family:
    """Return the family of the checkpoint in `folder`.

    Raises:
        FileNotFoundError: There is no config.json.
        ValueError: The model type is not in the table.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ValueError(
            f"{folder.name}: no retriever for model type {kind}, only for {', '.join(FAMILIES)}"
        )
    return FAMILIES[kind]
