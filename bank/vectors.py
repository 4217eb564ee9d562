"""The vectors of a stored bank: reading, checking and writing `vectors.safetensors`.

They are stored in half precision, which changes cosines by about 0.0005, and normalised again when
read, so that a similarity is always in [-1, 1].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bank.examples import FORMAT, BankError
from bank.fingerprints import GRID


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


def write_vectors(vectors: BankVectors, file: Path) -> None:
    """Write `vectors.safetensors`."""
    from safetensors.numpy import save

    tensors = {
        "image": vectors.image.astype(np.float16),
        "print": vectors.prints,
        "text": vectors.text.astype(np.float16),
        "photo": vectors.photo,
        "question": vectors.question,
    }
    made_by = vectors.made_by
    metadata = {"format": FORMAT, "clip": made_by.clip, "revision": made_by.revision}
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    file.write_bytes(save(whole, metadata))


def read_vectors(file: Path, examples: int) -> BankVectors:
    """Read and check the vectors of a bank with this number of examples.

    Raises:
        BankError: The file is missing, damaged, of another format, or of other examples.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BankError(f"cannot read {file}: {error}") from None
    if metadata.get("format") != FORMAT:
        raise BankError(f"{file} is not of the format {FORMAT}")
    try:
        vectors = BankVectors(
            image=_unit(tensors["image"]),
            prints=tensors["print"],
            text=_unit(tensors["text"]),
            photo=tensors["photo"],
            question=tensors["question"],
            made_by=MadeBy(metadata.get("clip", ""), metadata.get("revision", "")),
        )
    except KeyError as error:
        raise BankError(f"{file} has no tensor {error}") from None
    problem = _problem(vectors, examples)
    if problem:
        raise BankError(f"{file}: {problem}")
    return vectors


def _unit(rows: NDArray[np.float16]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows.astype(np.float32), axis=-1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _problem(vectors: BankVectors, examples: int) -> str | None:
    """Return what is wrong with vectors that were read, if anything."""
    image, text = vectors.image, vectors.text
    wrong_if = {
        f"there are {examples} examples and vectors of {len(vectors.question)}": (
            vectors.question.shape != (examples,) or vectors.photo.shape != (examples,)
        ),
        "vectors of photos and questions have different lengths": (
            image.ndim != 2 or text.ndim != 2 or image.shape[1] != text.shape[1]
        ),
        "there is not one fingerprint for each photo": (
            vectors.prints.shape != (len(image), GRID * GRID) or vectors.prints.dtype != np.uint8
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
    return bool(np.allclose(np.linalg.norm(rows, axis=-1), 1, atol=1e-3))
