"""One model.safetensors of whatever weights a repository has.

A pickle can run any code when it is loaded. torch's own reader for weights refuses all but tensors
and plain containers, and nothing here reads a pickle in another way.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packing.errors import PackingError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
_UNUSED = {"VisionEncoderDecoderModel": "encoder.pooler."}
"""Weights that a checkpoint may lack, since nothing reads what they compute."""


def to_safetensors(folder: Path, part: str) -> bool:
    """Replace shards and pickles in `folder` by model.safetensors; return whether it was needed.

    Raises:
        PackingError: The weights are damaged, incomplete, or hold more than tensors.
    """
    if (folder / WEIGHTS).is_file():
        return False
    from safetensors.torch import save_file

    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _read(file, part)
    indexes = list(folder.glob("*.index.json"))
    for index in indexes:
        missing = set(json.loads(index.read_text("utf-8"))["weight_map"]) - set(tensors)
        if missing:
            raise PackingError(f"{part}: {index.name} names {min(missing)}, which no shard holds")
    save_file(_apart(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    for file in (*files, *indexes):
        file.unlink()
    return True


def check_complete(folder: Path, architecture: str, part: str) -> None:
    """Load the checkpoint as transformers does, which fills what is missing with random numbers.

    Raises:
        PackingError: Weights are missing, or of another shape than config.json says.
    """
    import transformers

    loader: Any = getattr(transformers, architecture)
    try:
        _, info = loader.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = " ".join(str(error).split())[:300]
        raise PackingError(f"{part}: transformers cannot load it: {line}") from None
    unused = _UNUSED.get(architecture)
    missing = sorted(
        name for name in info["missing_keys"] if unused is None or not name.startswith(unused)
    )
    if missing:
        raise PackingError(
            f"{part}: the checkpoint has no weights for {missing[0]} ({len(missing)} are missing);"
            " name another repository"
        )


def _read(file: Path, part: str) -> "dict[str, Tensor]":
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        loaded = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except pickle.UnpicklingError:
        raise PackingError(
            f"{part}: {file.name} holds more than tensors, and code of a repository is never run;"
            " name a repository with model.safetensors"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise PackingError(f"{part}: {file.name} cannot be read as weights ({line})") from None
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise PackingError(f"{part}: {file.name} is not a mapping of names to tensors")
    return dict(loaded)


def _apart(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Give each tensor memory of its own: two names of one array are written twice."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        tensor = tensor.contiguous()  # noqa: PLW2901
        place = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return result
