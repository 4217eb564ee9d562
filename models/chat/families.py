"""Families of chat models, by the architecture that config.json names.

All are decoders with rotary positions that one graph serves (Llama, Touvron et al. 2023); they
differ in their weights, tokenizers and chat templates, and these come with the checkpoint. The
graph sees all tokens from each token; attention to a sliding window is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """What a family needs besides the files of its checkpoints."""

    template_variables: Mapping[str, object] = field(default_factory=dict)
    """Variables of the chat template, besides those that every template knows."""


FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(),  # also TinyLlama (Zhang et al. 2024), SmolLM2 (Allal et al. 2025)
    "Qwen2ForCausalLM": Family(),  # Qwen2.5 (Qwen Team 2024)
    # Qwen3 (Yang et al. 2025) writes its chain of thought first by default, longer than an answer.
    "Qwen3ForCausalLM": Family(template_variables={"enable_thinking": False}),
}


def read_family(folder: Path) -> Family:
    """Return the family of the checkpoint in `folder`.

    Raises:
        FileNotFoundError: There is no config.json.
        ValueError: The architecture is not in the table, or attends to a sliding window.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    architectures = config.get("architectures") or [None]
    if architectures[0] not in FAMILIES:
        raise ValueError(
            f"{folder.name}: no answerer for architecture {architectures[0]},"
            f" only for {', '.join(FAMILIES)}"
        )
    if config.get("use_sliding_window") or "sliding_attention" in config.get("layer_types", ()):
        raise ValueError(f"{folder.name}: attention to a sliding window is not supported")
    return FAMILIES[architectures[0]]
