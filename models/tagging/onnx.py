"""The detection network on ONNX Runtime: model.onnx, written by `training.export.tagger`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.preprocessing import PixelValues
from models.sessions import open_session
from models.settings import EngineSettings
from models.tagging.detector import Network
from models.tagging.families import OUTPUTS, Family


def open_network(folder: Path, engine: EngineSettings, family: Family) -> Network:
    """Load model.onnx.

    Raises:
        FileNotFoundError: The checkpoint was not exported.
    """
    session = open_session(folder / "model.onnx", engine)
    names = list(OUTPUTS[family.kind])

    def run(pixel_values: PixelValues) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, regions = session.run(names, {"pixel_values": pixel_values})
        return logits, regions

    return run
