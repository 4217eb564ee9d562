"""Open photo files that an annotation file names.

Names are untrusted: path traversal and oversized pictures are refused.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from models.pixels import MAX_EDGE, PhotoError, Rgb, read_rgb

MAX_PHOTO_BYTES = 100_000_000
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12})\.(?:jpg|jpeg|png)", re.IGNORECASE)


@dataclass(frozen=True)
class StoredPhoto:
    """A photo that is read when called; two of one place are the same."""

    place: str
    """Its file, or its file and row: unique, and what messages name."""
    encoded: Callable[[], bytes] = field(compare=False)
    """Returns the encoded photo; raises OSError."""

    def __call__(self) -> Rgb:
        """Return the photo as the app sees it: upright RGB, no edge longer than `MAX_EDGE`.

        Raises:
            ValueError: It is no photo that the app reads, or has too many pixels.
        """
        try:
            return read_rgb(BytesIO(self._bytes()), max_edge=MAX_EDGE)
        except PhotoError as error:
            raise ValueError(f"photo {Path(self.place).name!r} {error}") from None

    def digest(self) -> str:
        """Return a hash of the encoded photo.

        Raises:
            ValueError: It cannot be read.
        """
        return hashlib.sha256(self._bytes()).hexdigest()

    def _bytes(self) -> bytes:
        name = Path(self.place).name
        try:
            data = self.encoded()
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"photo {name!r} cannot be read: {reason}") from None
        if len(data) > MAX_PHOTO_BYTES:
            raise ValueError(f"photo {name!r} is over {MAX_PHOTO_BYTES} bytes")
        return data


def photo_file(file: Path) -> StoredPhoto:
    """Return the photo in a file of its own."""

    def encoded() -> bytes:
        with file.open("rb") as stored:
            return stored.read(MAX_PHOTO_BYTES + 1)

    return StoredPhoto(str(file), encoded)


def read_photo(file: Path) -> Rgb:
    """Return the photo in a file as the app sees it; see `StoredPhoto`.

    Raises:
        ValueError: The file is no photo that the app reads, or has too many pixels.
    """
    return photo_file(file)()


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


def coco_names(folder: Path) -> Mapping[int, str]:
    """Return the name of each photo in `folder` or below it by the number that COCO gave it.

    COCO names photos COCO_val2014_000000123456.jpg, and since 2017 000000123456.jpg; one number is
    one photo in all its parts.
    """
    names: dict[int, str] = {}
    for place, _, files in os.walk(folder):
        for file in sorted(files):
            if found := _COCO_NAME.fullmatch(file):
                names.setdefault(int(found[1]), str(Path(place, file).relative_to(folder)))
    return names
