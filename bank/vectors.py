"""The vectors of a stored bank: reading, checking and writing them.

They are mapped into memory and not copied: replicas of one node share the pages that a search
reads. So they are stored in single precision, as they are compared.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bank.examples import ABOUT_FILE, FORMAT, BankError
from bank.fingerprints import GRID

CHECKED = 10_000
"""Vectors whose length is checked: all of a small bank, a sample of a large one."""


@dataclass(frozen=True, slots=True)
class MadeBy:
    """The CLIP that made the vectors: those of two models cannot be compared."""

    clip: str
    revision: str


@dataclass(frozen=True, slots=True)
class BankVectors:
    """Vectors of distinct photos and questions, and the rows of each example in them.

    `image` (photos, d) and `text` (questions, d) are float32 rows of unit length; `prints` is
    (photos, 64) uint8; `photo` and `question` are (n,) rows into them, `photo` -1 without one.
    """

    image: NDArray[np.float32]
    prints: NDArray[np.uint8]
    text: NDArray[np.float32]
    photo: NDArray[np.int32]
    question: NDArray[np.int32]
    made_by: MadeBy

    @property
    def dimension(self) -> int:
        """Length of one vector."""
        return int(self.text.shape[1])


def write_vectors(vectors: BankVectors, folder: Path) -> None:
    """Write the arrays of a bank, and last the file that names their format."""
    np.save(folder / "image.npy", vectors.image.astype(np.float32))
    np.save(folder / "text.npy", vectors.text.astype(np.float32))
    np.save(folder / "print.npy", vectors.prints)
    np.save(folder / "photo.npy", vectors.photo)
    np.save(folder / "question.npy", vectors.question)
    about = {"format": FORMAT, **asdict(vectors.made_by)}
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def read_vectors(folder: Path, examples: int) -> BankVectors:
    """Map and check the vectors of a bank with this number of examples.

    Raises:
        BankError: A file is missing, damaged, of another format, or of other examples.
    """
    about = _about(folder)
    if about.get("format") != FORMAT:
        raise BankError(f"{folder} is not of the format {FORMAT}; build the bank again")
    vectors = BankVectors(
        image=_mapped(folder / "image.npy", np.float32, 2),
        prints=_mapped(folder / "print.npy", np.uint8, 2),
        text=_mapped(folder / "text.npy", np.float32, 2),
        photo=_mapped(folder / "photo.npy", np.int32, 1),
        question=_mapped(folder / "question.npy", np.int32, 1),
        made_by=MadeBy(about.get("clip", ""), about.get("revision", "")),
    )
    problem = _problem(vectors, examples)
    if problem:
        raise BankError(f"{folder}: {problem}")
    return vectors


def _about(folder: Path) -> Mapping[str, str]:
    file = folder / ABOUT_FILE
    try:
        about = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BankError(f"cannot read {file}: {error}") from None
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise BankError(f"{file} does not say how the bank was made")
    return about


_Number = TypeVar("_Number", bound=np.generic)


def _mapped(file: Path, dtype: type[_Number], dimensions: int) -> NDArray[_Number]:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BankError(f"cannot read {file}: {error}") from None
    if array.dtype != dtype or array.ndim != dimensions:
        raise BankError(f"{file} is not an array of {dtype.__name__} with {dimensions} dimensions")
    return np.asarray(array)


def _problem(vectors: BankVectors, examples: int) -> str | None:
    """Return what is wrong with vectors that were read, if anything."""
    image, text = vectors.image, vectors.text
    wrong_if = {
        f"there are {examples} examples and vectors of {len(vectors.question)}": (
            vectors.question.shape != (examples,) or vectors.photo.shape != (examples,)
        ),
        "vectors of photos and questions have different lengths": (image.shape[1] != text.shape[1]),
        "there is not one fingerprint for each photo": (
            vectors.prints.shape != (len(image), GRID * GRID)
        ),
        "an example points to a photo or question that is not there": (
            not _all_within(vectors.photo, -1, len(image))
            or not _all_within(vectors.question, 0, len(text))
        ),
        "a vector is not of unit length": not (_all_unit(image) and _all_unit(text)),
    }
    return next((problem for problem, wrong in wrong_if.items() if wrong), None)


def _all_within(rows: NDArray[np.int32], low: int, high: int) -> bool:
    return bool(((rows >= low) & (rows < high)).all())


def _all_unit(rows: NDArray[np.float32]) -> bool:
    checked = rows[:: max(1, len(rows) // CHECKED)]
    return bool(np.allclose(np.linalg.norm(checked, axis=-1), 1, atol=1e-3))
