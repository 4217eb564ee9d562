"""The detection network on torch, loaded as transformers would."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.preprocessing import PixelValues
from models.settings import EngineSettings
from models.tagging.detector import Network
from models.tagging.families import OUTPUTS, Family
from models.torch_device import place


def open_network(folder: Path, engine: EngineSettings, family: Family) -> Network:
    """Load the checkpoint's weights, safetensors or older.

    Raises:
        OSError: There are no weights.
        RuntimeError: The device is not there.
    """
    import torch
    from transformers import AutoModelForImageSegmentation, AutoModelForObjectDetection

    where = place(engine)
    kind = (
        AutoModelForImageSegmentation if family.kind == "panoptic" else AutoModelForObjectDetection
    )
    model = kind.from_pretrained(folder, dtype=where.dtype, local_files_only=True)
    model.to(where.device)
    names = OUTPUTS[family.kind]

    def run(pixel_values: PixelValues) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pixels = torch.from_numpy(pixel_values).to(where.device, where.dtype)
        with torch.inference_mode():
            output = model(pixel_values=pixels)
        logits, regions = (output[name].float().cpu().numpy() for name in names)
        return logits, regions

    return run
