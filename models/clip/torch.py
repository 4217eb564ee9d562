"""The towers of CLIP and SigLIP on torch.

A tower is taken from the whole model, since the classes of single towers read the size of the
vectors from a key of config.json that checkpoints omit; the other half is then freed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.clip.embedder import ImageTower, TextTower
from models.clip.words import Ids
from models.preprocessing import PixelValues
from models.settings import EngineSettings
from models.torch_device import Place, place

if TYPE_CHECKING:
    import torch
    from transformers import CLIPModel


def open_image_tower(folder: Path, engine: EngineSettings) -> ImageTower:
    """Load the vision half of the checkpoint.

    Raises:
        OSError: There are no weights.
        RuntimeError: The device is not there.
    """
    import torch

    where = place(engine)
    model = _without("text_model", folder, where)

    def run(pixel_values: PixelValues) -> NDArray[np.float32]:
        pixels = torch.from_numpy(pixel_values).to(where.device, where.dtype)
        with torch.inference_mode():
            return _array(model.get_image_features(pixel_values=pixels).pooler_output)

    return run


def open_text_tower(folder: Path, engine: EngineSettings) -> TextTower:
    """Load the text half of the checkpoint.

    Raises:
        OSError: There are no weights.
        RuntimeError: The device is not there.
    """
    import torch

    where = place(engine)
    model = _without("vision_model", folder, where)

    def run(input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
        ids, mask = (
            torch.from_numpy(part).to(where.device) for part in (input_ids, attention_mask)
        )
        with torch.inference_mode():
            output = model.get_text_features(input_ids=ids, attention_mask=mask)
            return _array(output.pooler_output)

    return run


def _without(half: str, folder: Path, where: Place) -> "CLIPModel":
    """Load the model without one of its halves; SiglipModel has the same methods."""
    from transformers import AutoModel

    whole: Any = AutoModel.from_pretrained(folder, dtype=where.dtype)
    delattr(whole, half)
    model: CLIPModel = whole.eval().to(where.device)
    return model


def _array(vectors: "torch.Tensor") -> NDArray[np.float32]:
    return np.asarray(vectors.float().cpu().numpy(), np.float32)
