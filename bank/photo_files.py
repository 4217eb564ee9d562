"""Open photo files that an annotation file names.

Names are untrusted: path traversal and oversized pictures are refused.
"""

from pathlib import Path

from models.pixels import MAX_EDGE, PhotoError, Rgb, read_rgb


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
    """Return the photo as the app sees it: upright RGB, no edge longer than `MAX_EDGE`.

    Raises:
        ValueError: The file is no photo that the app reads, or has too many pixels.
    """
    try:
        with file.open("rb") as stored:
            return read_rgb(stored, max_edge=MAX_EDGE)
    except PhotoError as error:
        raise ValueError(f"photo {file.name!r} {error}") from None
    except OSError as error:
        raise ValueError(f"photo {file.name!r} cannot be read: {error.strerror}") from None
