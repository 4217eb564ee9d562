"""CLIP's and SigLIP's towers on ONNX Runtime: image.onnx, text.onnx, by `training.export.clip`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.clip.embedder import ImageTower, TextTower
from models.clip.words import Ids
from models.preprocessing import PixelValues
from models.sessions import open_session
from models.settings import EngineSettings


def open_image_tower(folder: Path, engine: EngineSettings) -> ImageTower:
    """Load image.onnx.

    Raises:
        FileNotFoundError: The checkpoint was not exported.
    """
    session = open_session(folder / "image.onnx", engine)

    def run(pixel_values: PixelValues) -> NDArray[np.float32]:
        (vectors,) = session.run(["image_embeds"], {"pixel_values": pixel_values})
        return np.asarray(vectors, np.float32)

    return run


def open_text_tower(folder: Path, engine: EngineSettings) -> TextTower:
    """Load text.onnx.

    Raises:
        FileNotFoundError: The checkpoint was not exported.
    """
    session = open_session(folder / "text.onnx", engine)

    def run(input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        (vectors,) = session.run(["text_embeds"], inputs)
        return np.asarray(vectors, np.float32)

    return run
