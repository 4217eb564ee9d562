"""Image preprocessing by a checkpoint's preprocessor_config.json, in numpy and PIL.

Equal to the PIL backend of transformers' ViT, BLIP, DETR, RT-DETR, CLIP and SigLIP image processors
(within 1e-5), so that serving needs no torch. Their torchvision backend, which `AutoImageProcessor`
prefers where torchvision is installed, resizes with another filter and differs by up to a few
grey levels.

Old configurations, without `image_processor_type`, may give `size` as one number. It then means a
square for ViT and BLIP, and the shortest edge for DETR and CLIP: the family decides, not the file.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.pixels import Rgb

PixelValues = NDArray[np.float32]
"""Model input, shape (n, 3, height, width)."""

Edges = tuple[int, int | None]
"""Shortest edge, and maximum of the longest; the aspect ratio is kept."""

_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_OPENAI = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "ViT": {
        "size": {"height": 224, "width": 224},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
    "Detr": {"size": {"shortest_edge": 800, "longest_edge": 1333}, **_IMAGENET},
    "RTDetr": {"size": {"height": 640, "width": 640}, "do_normalize": False, **_IMAGENET},
    "Blip": {
        "size": {"height": 384, "width": 384},
        "resample": Image.Resampling.BICUBIC,
        **_OPENAI,
    },
    "CLIP": {
        "size": {"shortest_edge": 224},
        "resample": Image.Resampling.BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        **_OPENAI,
    },
    "Siglip": {
        "size": {"height": 224, "width": 224},
        "resample": Image.Resampling.BICUBIC,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
}
_SQUARE = frozenset({"ViT", "Blip", "RTDetr"})
"""Families for which one number as `size` means a square."""


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Resizes, crops and normalises photos for one model."""

    size: tuple[int, int] | None
    """Height and width to resize to, ignoring the aspect ratio, or None."""
    edges: Edges | None
    crop: tuple[int, int] | None
    resample: Image.Resampling
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    """A channel of the result is `pixel * scale + shift`."""

    @classmethod
    def from_folder(cls, folder: Path) -> "Preprocessor":
        """Read `folder`/preprocessor_config.json.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file asks for a processor, a size or a padding that we do not know.
        """
        path = folder / "preprocessor_config.json"
        written = json.loads(path.read_text("utf-8"))
        family = _family(written, path)
        config = {"do_resize": True, "do_rescale": True, "do_normalize": True, "resample": 2}
        config |= {"rescale_factor": 1 / 255} | _DEFAULTS[family]
        config |= {key: value for key, value in written.items() if value is not None}
        if config.get("do_pad") and config.get("pad_size"):
            raise ValueError(f"{path}: padding to a fixed size is not supported")
        size, edges = _size(config, square=family in _SQUARE, path=path)
        scale, shift = _affine(config)
        return cls(
            size=size,
            edges=edges,
            crop=_rectangle(config["crop_size"]) if config.get("do_center_crop") else None,
            resample=Image.Resampling(config["resample"]),
            scale=scale,
            shift=shift,
        )

    def __call__(self, photos: Sequence[Rgb]) -> PixelValues:
        """Return the model's input, float32 of shape (len(photos), 3, height, width).

        Raises:
            ValueError: There are no photos, or their sizes differ after resizing (only if the
                checkpoint keeps the aspect ratio: see `by_size`).
        """
        groups = self.by_size(photos)
        if len(groups) != 1:
            raise ValueError(f"{len(photos)} photos have {len(groups)} sizes after resizing, not 1")
        return groups[0][1]

    def by_size(self, photos: Sequence[Rgb]) -> list[tuple[list[int], PixelValues]]:
        """Return batches of equal size after resizing, each with the indices of its photos.

        DETR's own processor pads a batch to its largest photo instead, and then a photo's
        result depends on the photos beside it. Batches of one size need no padding, and no
        `pixel_mask`.
        """
        resized = [self._resized(photo) for photo in photos]
        places = defaultdict[tuple[int, ...], list[int]](list)
        for index, pixels in enumerate(resized):
            places[pixels.shape].append(index)
        return [
            (indices, self._normalised([resized[index] for index in indices]))
            for indices in places.values()
        ]

    def _resized(self, photo: Rgb) -> Rgb:
        height, width = photo.shape[:2]
        target = self.size
        if self.edges is not None:
            target = _keep_aspect(height, width, *self.edges)
        if target is not None and target != (height, width):
            image = Image.fromarray(photo).resize(target[::-1], self.resample)
            photo = np.asarray(image)
        return photo if self.crop is None else _centre_crop(photo, *self.crop)

    def _normalised(self, photos: list[Rgb]) -> PixelValues:
        height, width = photos[0].shape[:2]
        values = np.empty((len(photos), 3, height, width), np.float32)
        for value, photo in zip(values, photos, strict=True):
            np.multiply(photo.transpose(2, 0, 1), self.scale[:, None, None], out=value)
        values += self.shift[:, None, None]
        return values


def _family(config: dict[str, Any], path: Path) -> str:
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    for ending in ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"):
        if kind.removesuffix(ending) in _DEFAULTS:
            return kind.removesuffix(ending)
    raise ValueError(f"{path}: unknown image processor {kind!r}, not one of {sorted(_DEFAULTS)}")


def _size(
    config: dict[str, Any], *, square: bool, path: Path
) -> tuple[tuple[int, int] | None, Edges | None]:
    if not config["do_resize"]:
        return None, None
    size = config["size"]
    if isinstance(size, int):
        return ((size, size), None) if square else (None, (size, config.get("max_size")))
    if "height" in size and "width" in size:
        return _rectangle(size), None
    if "shortest_edge" in size:
        return None, (size["shortest_edge"], size.get("longest_edge"))
    raise ValueError(f"{path}: cannot resize to {size}")


def _rectangle(size: int | dict[str, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size["height"], size["width"])


def _affine(config: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return rescaling and normalisation as one multiplication and one addition per channel."""
    factor = config["rescale_factor"] if config["do_rescale"] else 1.0
    mean, std = np.zeros(3), np.ones(3)
    if config["do_normalize"]:
        mean, std = np.array(config["image_mean"]), np.array(config["image_std"])
    return (factor / std).astype(np.float32), (-mean / std).astype(np.float32)


def _keep_aspect(height: int, width: int, short: int, long: int | None) -> tuple[int, int]:
    """Return height and width with the shortest edge `short`, or less if `long` were exceeded."""
    least, most = min(height, width), max(height, width)
    exact = float(short)
    if long is not None and most / least * short > long:
        exact = long * least / most
        short = round(exact)
    if least == short:
        return height, width
    other = int(exact * most / least)
    return (short, other) if height <= width else (other, short)


def _centre_crop(photo: Rgb, height: int, width: int) -> Rgb:
    """Return the centre of the photo, padded with black where the photo is smaller."""
    result = np.zeros((height, width, 3), np.uint8)
    from_y, to_y = _middle(photo.shape[0], height)
    from_x, to_x = _middle(photo.shape[1], width)
    part = photo[from_y : from_y + height, from_x : from_x + width]
    result[to_y : to_y + part.shape[0], to_x : to_x + part.shape[1]] = part
    return result


def _middle(have: int, want: int) -> tuple[int, int]:
    """Return where the centre starts in the source, and in the target."""
    start = (have - want) // 2
    return max(start, 0), max(-start, 0)
