"""Read photo files into pixels, for app, example bank and training alike.

All must get the same pixels from one file: a bank that read transparency or 16 bits in another way
would find a photo as an example of itself. `PhotoFile` decodes only if the header is acceptable,
since a file of a few kilobytes can claim gigabytes of pixels. Stages get encoded photos, a tenth of
the array's size, and decode them with `decode_jpeg`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from typing import BinaryIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, WebPImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

Rgb = NDArray[np.uint8]
"""An upright RGB photo, shape (height, width, 3)."""

# Imported for what the import does: Pillow opens no WebP until its plugin is there.
FORMATS = ("JPEG", "PNG", WebPImagePlugin.WebPImageFile.format, "GIF", "BMP")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF or BMP"

MAX_PIXELS = 100_000_000
"""Largest photo of a bank or of training, in pixels; requests have a limit in the settings."""

MAX_EDGE = 1024
"""Longer edge, in pixels, to which a photo is shrunk; no model takes a larger one."""

STRIP_PIXELS = 1_000_000
"""Pixels that are converted to RGB at a time; a whole photo would need its memory several times."""

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that undoes each orientation (Exif 2.32, tag 0x0112). `ImageOps.exif_transpose`
also encodes the rest of the EXIF again, which fails if that is damaged."""
_FIRST_SIDEWAYS = 5


class PhotoError(ValueError):
    """The file cannot be read as a photo; the message continues a sentence after "The photo"."""


class TooManyPixels(PhotoError):
    """The header claims more pixels than allowed."""


class PhotoFile:
    """A photo file whose header has been checked; `rgb` decodes it, once."""

    def __init__(self, file: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> None:
        """Read the header of `file`, which is untrusted and stays open.

        Raises:
            TooManyPixels: More than `max_pixels`.
            PhotoError: Animated, damaged, or in none of `FORMATS`.
        """
        self._max_pixels = max_pixels
        with self._as_photo_errors():
            self._image = Image.open(file, formats=FORMATS)
            # Of a GIF, this reads on to the second frame's header.
            is_animated = getattr(self._image, "is_animated", False)
        self._stored_size = self._image.size
        if self._image.width * self._image.height > max_pixels:
            raise self._too_many_pixels()
        # A phone's JPEG may hold a preview or a depth map beside the photo: not an animation.
        if is_animated and not isinstance(self._image, JpegImageFile):
            raise PhotoError("is animated; take one frame of it")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the upright photo, before it is shrunk.

        Read it after `rgb`, except for a JPEG: a PNG may end with its EXIF, which costs a decode.
        """
        width, height = self._stored_size
        return (width, height) if self._orientation < _FIRST_SIDEWAYS else (height, width)

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether every JPEG decoder gives the same pixels: RGB, and stored upright."""
        image = self._image
        return image.format == "JPEG" and image.mode == "RGB" and self._orientation == 1

    def rgb(self, max_edge: int | None = None) -> Image.Image:
        """Return the upright photo, 8 bits per channel, transparency composited on white.

        Args:
            max_edge: Longer edge in pixels to which a larger photo is shrunk.

        Raises:
            PhotoError: The file is truncated or damaged.
        """
        with self._as_photo_errors():
            image = self._image
            size = _shrunk(image.size, max_edge)
            if isinstance(image, JpegImageFile):
                # libjpeg decodes at 1/2, 1/4 or 1/8 if that is large enough.
                image.draft(None, size)
            image.load()
            rgb = _rgb(image, size)
            upright = _TO_UPRIGHT.get(self._orientation)
            return rgb if upright is None else rgb.transpose(upright)

    @cached_property
    def _orientation(self) -> int:
        """The EXIF orientation; 1 (upright) if it is missing or invalid."""
        try:
            orientation = self._image.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception:  # noqa: BLE001 - damaged EXIF makes Pillow raise anything
            return 1
        return orientation if orientation in _TO_UPRIGHT else 1

    @contextmanager
    def _as_photo_errors(self) -> Iterator[None]:
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise self._too_many_pixels() from None
        except UnidentifiedImageError:
            raise PhotoError(f"is not a {FORMATS_IN_WORDS}") from None
        except Exception:  # noqa: BLE001 - damaged files make Pillow raise anything
            raise PhotoError("is truncated or damaged") from None

    def _too_many_pixels(self) -> TooManyPixels:
        return TooManyPixels(f"has more than {self._max_pixels} pixels")


def read_rgb(file: BinaryIO, *, max_pixels: int = MAX_PIXELS, max_edge: int | None = None) -> Rgb:
    """Return the photo in an open file as an array; see `PhotoFile`.

    Raises:
        TooManyPixels: More than `max_pixels`.
        PhotoError: Animated, damaged, or in none of `FORMATS`.
    """
    return np.asarray(PhotoFile(file, max_pixels=max_pixels).rgb(max_edge))


def decode_jpeg(data: bytes) -> Rgb:
    """Return the photo in a JPEG that the ingress has checked, bounded and turned upright.

    The pixels are Pillow's, whichever of the two libraries decodes: both do as libjpeg does.

    Raises:
        ValueError: The bytes are not a whole JPEG.
    """
    try:
        # A third of the time that Pillow takes, most of it to hand over an array.
        decoded: Rgb = simplejpeg.decode_jpeg(data)
    except ValueError:
        # Also where libjpeg only warns, such as of stray bytes, and for CMYK.
        return _decoded_by_pillow(data)
    return decoded


def _decoded_by_pillow(data: bytes) -> Rgb:
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            # Converting from RGB to RGB would copy all of it.
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError("not a whole JPEG") from error


def _shrunk(size: tuple[int, int], max_edge: int | None) -> tuple[int, int]:
    scale = 1.0 if max_edge is None else min(1.0, max_edge / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the image as RGB, scaled down to `size` strip by strip."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return _resized(image, size)
    narrow = Image.new("RGB", (size[0], image.height))
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        narrow.paste(_resized(_on_white(strip), (size[0], strip.height)), (0, top))
    return _resized(narrow, size)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion would clip 16 bits instead of scaling them, to almost all white.
        values = np.asarray(image)
        clear = values == image.info.get("transparency", -1)
        grey = np.where(clear, 255, values >> 8).clip(0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
