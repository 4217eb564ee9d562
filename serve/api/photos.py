"""Decode and validate untrusted photos.

A JPEG that is already upright, RGB and small is passed on unchanged, since encoding it again would
only lose detail.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from deployments.errors import BadImage, ImageTooLarge
from deployments.messages import Photo, Tag
from models.pixels import PhotoError, PhotoFile, TooManyPixels
from serve.settings import Limits

MAX_SENT_BYTES = 1_000_000
"""Largest JPEG that is sent to stages, in bytes; sending a larger one by value is slow."""

_QUALITIES = (92, 75, 50)
"""JPEG qualities, tried in turn until it fits; only noise needs the second."""

_MEASURED_EDGE = 64
"""Longer edge, in pixels, of a JPEG that is passed on, decoded to see that it is whole and how
bright it is."""


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A validated photo, and the size of the upright photo as received."""

    jpeg: Photo
    width: int
    height: int
    sent_width: int
    sent_height: int
    intensity: float
    """Mean brightness, 0 (black) to 1 (white)."""

    def on_original(self, tag: Tag) -> Tag:
        """Return the tag with its box in pixels of the upright photo as received."""
        x, y = self.width / self.sent_width, self.height / self.sent_height
        x0, y0, x1, y1 = tag.box
        return replace(tag, box=(x0 * x, y0 * y, x1 * x, y1 * y))


class PhotoReader:
    """Reads untrusted photos in a few threads, so that the event loop never decodes.

    The threads also bound memory: each holds at most one decoded photo of `max_pixels`.
    """

    def __init__(self, limits: Limits, *, threads: int = 2) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="photos")

    async def read(self, data: bytes, *, field: str = "image") -> ReceivedPhoto:
        """Return the photo in `data`; see `read_photo`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: read_photo(data, self._limits, field=field)
        )


def read_photo(data: bytes, limits: Limits, *, field: str = "image") -> ReceivedPhoto:
    """Return the photo in `data`: upright, RGB, transparency composited on white.

    Args:
        data: Untrusted bytes.
        limits: Most bytes and pixels, and the longer edge to which a photo is shrunk.
        field: Field of the request, named in errors.

    Raises:
        ImageTooLarge: More bytes or pixels than `limits` allows.
        BadImage: Empty, animated, damaged, or in an unsupported format.
    """
    if not data:
        raise BadImage("The image is empty (0 bytes).", field=field)
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The image has more than {limits.max_bytes} bytes.", field=field)
    try:
        photo = PhotoFile(BytesIO(data), max_pixels=limits.max_pixels)
        return _received(photo, data, limits.max_edge)
    except TooManyPixels as error:
        raise ImageTooLarge(f"The image {error}.", field=field) from None
    except PhotoError as error:
        raise BadImage(f"The image {error}.", field=field) from None


def _received(photo: PhotoFile, data: bytes, edge: int) -> ReceivedPhoto:
    if photo.is_plain_jpeg and len(data) <= MAX_SENT_BYTES and max(photo.size) <= edge:
        intensity = _intensity(photo.rgb(_MEASURED_EDGE))
        return ReceivedPhoto(Photo(data), *photo.size, *photo.size, intensity)
    rgb = photo.rgb(edge)
    return ReceivedPhoto(_jpeg(rgb), *photo.size, *rgb.size, _intensity(rgb))


def _intensity(image: Image.Image) -> float:
    mean = image.resize((1, 1), Image.Resampling.BOX).convert("L")
    return float(np.asarray(mean)[0, 0]) / 255


def _jpeg(image: Image.Image) -> Photo:
    for quality in _QUALITIES:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=0)
        if file.tell() <= MAX_SENT_BYTES:
            break
    return Photo(file.getvalue())
