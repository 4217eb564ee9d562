"""Photos as arrays.

Decoding checks nothing but that the bytes are a JPEG: the ingress has already bounded the size
and turned the photo upright, and every stage decodes near its model because encoded bytes are a
tenth of the array and cheap to send.
"""

from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Rgb = NDArray[np.uint8]
"""An upright RGB photo, shape (height, width, 3)."""


def decode_jpeg(data: bytes) -> Rgb:
    """Return the photo in `data`, uint8 of shape (height, width, 3).

    The pixels are those that Pillow gives, whichever of the two decodes: both do as libjpeg does.

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
