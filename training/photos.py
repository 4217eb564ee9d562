"""From JPEGs to the arrays that the captioner and CLIP train on, as their image processors would.

Pixels are resized with PIL's bilinear filter to a fixed size without a crop (the shape of a 4:3
photo changes only for CLIP's square), then scaled to -1..1, which is what the saved
`preprocessor_config.json` says.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.pixels import PhotoFile
from training.dataset import Dataset
from training.scenes import Scene, mirrored

MEAN = STD = (0.5, 0.5, 0.5)
Size = tuple[int, int]
"""(height, width)."""


def processor_config(kind: str, size: Size) -> dict[str, object]:
    """Return `preprocessor_config.json` of a "ViTImageProcessor" or "CLIPImageProcessor"."""
    return {
        "image_processor_type": kind,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": size[0], "width": size[1]},
        "resample": int(Image.Resampling.BILINEAR),
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }


def resized(jpeg: bytes, size: Size, flip: bool = False) -> NDArray[np.uint8]:
    """Return the photo scaled to `size`, (height, width, 3) uint8."""
    photo = PhotoFile(BytesIO(jpeg)).rgb()
    pixels = np.asarray(photo.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return pixels[:, ::-1] if flip else pixels


def normalised(photos: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Return the photos as (batch, 3, height, width) float32 in -1..1."""
    pixels = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1).contiguous()


def relit(photos: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Change brightness, contrast and colour cast slightly, at random for each photo."""
    count = photos.shape[0]
    gain = 1 + 0.06 * torch.randn(count, 1, 1, 1, generator=generator)
    cast = 1 + 0.02 * torch.randn(count, 3, 1, 1, generator=generator)
    offset = 0.04 * torch.randn(count, 1, 1, 1, generator=generator)
    return photos * (gain * cast) + offset


def epochs(
    data: Dataset, size: Size, batch: int, random: Random
) -> Iterator[tuple[list[Scene], torch.Tensor]]:
    """Yield endless shuffled batches, with random mirroring and slight changes of light."""
    generator = torch.Generator().manual_seed(random.getrandbits(60))
    order = list(range(len(data)))
    while True:
        random.shuffle(order)
        for start in range(0, len(order) - batch + 1, batch):
            scenes, photos = [], []
            for index in order[start : start + batch]:
                scene, jpeg = data[index]
                flip = random.random() < 0.5
                scenes.append(mirrored(scene) if flip else scene)
                photos.append(resized(jpeg, size, flip))
            yield scenes, relit(normalised(photos), generator)
