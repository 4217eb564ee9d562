"""Embeddings of photos and texts in one vector space: CLIP and SigLIP 2 (see `families`).

The two towers load separately: embedding questions needs no image tower.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.pixels import Rgb
from models.settings import EngineSettings

Vectors = NDArray[np.float32]
"""Shape (n, dimension), each row of unit length."""

Tower = Literal["image", "text"]


class ClipModel(Protocol):
    """Embeds photos and texts."""

    def embed_photos(self, photos: Sequence[Rgb]) -> Vectors:
        """Return one unit vector for each photo, shape (n, dimension)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector for each text, shape (n, dimension); long texts are truncated."""
        ...


def load(
    folder: Path, engine: EngineSettings, *, towers: Collection[Tower] = ("image", "text")
) -> ClipModel:
    """Load a CLIP or SigLIP 2 checkpoint, or one tower of it.

    Args:
        folder: config.json, preprocessor_config.json, a tokenizer, and image.onnx and text.onnx
            or the torch weights.
        engine: Library, device and threads.
        towers: Towers to load; using another raises RuntimeError.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The family of the checkpoint is unknown.
    """
    from models.clip.embedder import Embedder
    from models.clip.families import read_family
    from models.clip.words import Words
    from models.preprocessing import Preprocessor

    read_family(folder)
    if engine.engine == "onnx":
        from models.clip.onnx import open_image_tower, open_text_tower
    else:
        from models.clip.torch import open_image_tower, open_text_tower
    return Embedder(
        preprocess=Preprocessor.from_folder(folder) if "image" in towers else None,
        image_tower=open_image_tower(folder, engine) if "image" in towers else None,
        words=Words.from_folder(folder) if "text" in towers else None,
        text_tower=open_text_tower(folder, engine) if "text" in towers else None,
    )
