"""Open photo files that an annotation file names.

The names come from a file that others wrote: one that leads out of the photo folder is refused,
and so is a picture that would not fit in memory.
"""

from pathlib import Path

import numpy as np

from models.photos import Rgb

MAX_PIXELS = 100_000_000


def find_photo(folder: Path, name: str) -> Path:
    """Return the file of this name in `folder` or below it.

    Raises:
        ValueError: There is none, or the name leads out of the folder.
    """
    home = folder.resolve()
    try:
        file = (home / name).resolve()
        is_there = file.is_relative_to(home) and file.is_file()
    except (OSError, ValueError):  # a name too long, or with a null in it
        is_there = False
    if not is_there:
        raise ValueError(f"photo {name!r} is not in {folder}")
    return file


def read_photo(file: Path) -> Rgb:
    """Return the photo upright as RGB, shape (height, width, 3).

    Raises:
        ValueError: The file is not a whole picture, or has too many pixels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"photo {file.name!r} has over {MAX_PIXELS} pixels")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(f"photo {file.name!r} is not a whole picture") from None
