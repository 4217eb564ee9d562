"""Turn the bytes that a caller sent into a photo that the stages may trust.

The header alone decides whether the rest is decoded at all: a file of a few kilobytes can
claim pixels for gigabytes. A JPEG that is already upright, RGB and small is passed on as it
came, since encoding it again would lose detail for nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError, WebPImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from deployments.errors import BadImage, ImageTooLarge
from deployments.messages import Photo, Tag
from serve.settings import Limits

# Imported for what the import does: Pillow opens no WebP until its plugin is there.
FORMATS = ("JPEG", "PNG", WebPImagePlugin.WebPImageFile.format, "GIF", "BMP")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF or BMP"

MAX_SENT_BYTES = 1_000_000
"""Of the JPEG that the stages get; by value, more than this is slow between them."""

_QUALITIES = (92, 75, 50)
"""Tried in turn until the JPEG fits; only noise needs the second."""

_ORIENTATION_TAG = 0x0112
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation (Exif 2.32, tag 0x0112)."""
_FIRST_SIDEWAYS = 5


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A photo as the stages get it, and the size of the upright photo that the caller sent."""

    jpeg: Photo
    width: int
    height: int
    sent_width: int
    sent_height: int
    intensity: float
    """Mean brightness, 0 black to 1 white."""

    def on_original(self, tag: Tag) -> Tag:
        """Return the tag with its box in pixels of the photo that the caller sent."""
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
    """Return the still photo in `data`: upright, RGB, on white where it was transparent.

    Args:
        data: Anything at all.
        limits: Most bytes and pixels, and the longer edge to which a photo is shrunk.
        field: Of the request, named in errors.

    Raises:
        ImageTooLarge: More bytes or pixels than `limits` allows.
        BadImage: Empty, animated, damaged, or in no format that we read.
    """
    if not data:
        raise BadImage("The image is empty (0 bytes).", field=field)
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The image has more than {limits.max_bytes} bytes.", field=field)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _refuse(image, limits, field)
            return _read(image, data, limits)
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(limits, field) from None
    except UnidentifiedImageError:
        raise BadImage(f"The image is not a {FORMATS_IN_WORDS}.", field=field) from None
    except Exception:  # noqa: BLE001 - damaged files make Pillow raise anything
        raise BadImage("The image is truncated or damaged.", field=field) from None


def _refuse(image: ImageFile.ImageFile, limits: Limits, field: str) -> None:
    """Refuse by the header what must not be decoded."""
    if image.width * image.height > limits.max_pixels:
        raise _too_many_pixels(limits, field)
    # A phone's JPEG may hold a preview or a depth map beside the photo: not an animation.
    if not isinstance(image, JpegImageFile) and getattr(image, "is_animated", False):
        raise BadImage("The image is animated; send one frame of it.", field=field)


def _too_many_pixels(limits: Limits, field: str) -> ImageTooLarge:
    return ImageTooLarge(f"The image has more than {limits.max_pixels} pixels.", field=field)


def _read(image: ImageFile.ImageFile, data: bytes, limits: Limits) -> ReceivedPhoto:
    width, height = image.size
    edge = limits.max_edge
    as_it_came = _as_it_came(image, data, edge)
    if isinstance(image, JpegImageFile):
        # libjpeg then decodes at a half, a quarter or an eighth, whichever is still enough: the
        # least of a photo that is passed on, to see that it is whole, and how bright.
        image.draft(None, (1, 1) if as_it_came else _shrunk(width, height, edge))
    image.load()
    if as_it_came:
        return ReceivedPhoto(Photo(data), width, height, width, height, _intensity(image))
    orientation = _orientation(image)
    upright = _rgb(image)
    if orientation in _TO_UPRIGHT:
        upright = upright.transpose(_TO_UPRIGHT[orientation])
    if orientation >= _FIRST_SIDEWAYS:
        width, height = height, width
    if max(upright.size) > edge:
        size = _shrunk(width, height, edge)
        upright = upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return ReceivedPhoto(_jpeg(upright), width, height, *upright.size, _intensity(upright))


def _as_it_came(image: ImageFile.ImageFile, data: bytes, edge: int) -> bool:
    """Return whether the stages can have the very bytes, as a JPEG's header tells."""
    return (
        image.format == "JPEG" and image.mode == "RGB" and len(data) <= MAX_SENT_BYTES
        and max(image.size) <= edge and _orientation(image) == 1
    )  # fmt: skip


def _intensity(image: Image.Image) -> float:
    mean = image.resize((1, 1), Image.Resampling.BOX).convert("L")
    return float(np.asarray(mean)[0, 0]) / 255


def _shrunk(width: int, height: int, edge: int) -> tuple[int, int]:
    scale = min(1.0, edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none that makes sense."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF makes Pillow raise anything
        return 1
    return orientation if orientation in _TO_UPRIGHT else 1


def _rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB, 8 bits a channel, on white where it was transparent."""
    if image.mode.startswith("I"):
        # Pillow's own conversion would clip 16 bits instead of scaling them: almost all white.
        grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _jpeg(image: Image.Image) -> Photo:
    for quality in _QUALITIES:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=0)
        if file.tell() <= MAX_SENT_BYTES:
            break
    return Photo(file.getvalue())
