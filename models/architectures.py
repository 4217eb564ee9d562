"""The architecture of a checkpoint: the class in transformers that its config.json names."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any


def known_architecture(
    folder: Path, config: Mapping[str, Any], known: Collection[str], *, part: str
) -> str:
    """Return the first of the config's architectures that is known.

    Args:
        folder: The checkpoint, for the message.
        config: Its config.json.
        known: Names of classes, such as "DetrForObjectDetection".
        part: What the checkpoint is wanted for, such as "tagger".

    Raises:
        ValueError: None is known; the message lists those that are.
    """
    named = [str(name) for name in config.get("architectures") or ()]
    for name in named:
        if name in known:
            return name
    found = ", ".join(named) or f"no architecture (model_type {config.get('model_type')!r})"
    raise ValueError(f"{folder}: {found} is not a known {part}: {', '.join(sorted(known))}")
