"""A folder that is filled beside its final place, and appears there when it is whole."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packing.errors import PackingError


@contextmanager
def workshop(out: Path) -> Iterator[Path]:
    """Give an empty folder beside `out`, of one build at a time, and leave nothing of it.

    Raises:
        PackingError: Another process builds there, or the disk is full.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.absolute().with_name(f".{out.name}.building")
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PackingError(f"{out} is being built by another process") from None
        try:
            _empty(folder)
            yield folder
        except OSError as error:
            if not is_full(error):
                raise
            raise PackingError(
                f"the disk of {out.parent} is full; free some, or choose another --out"
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def is_full(error: Exception) -> bool:
    """Return whether there was no space left on a disk."""
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def put(folder: Path, out: Path) -> None:
    """Move the bundle to its final name, and what was there out of the way until then."""
    old = out.absolute().with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)
