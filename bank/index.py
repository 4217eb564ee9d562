"""Search the solved examples that are most similar to a photo and a question.

Similarity is the mean of the cosine of the photos and the cosine of the questions (PICa, Yang et
al. 2022, section 3.3). One exact index over the concatenated vectors serves every kind of
similarity: a half of the query that does not count is zero. A search never returns the example of
the very same photo and question, which would leak its answer into the prompt.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bank.examples import (
    EXAMPLES_FILE,
    VECTORS_FILE,
    BankError,
    Example,
    Similarity,
    read_examples,
)
from bank.fingerprints import Fingerprint, same_photo
from bank.vectors import BankVectors, MadeBy, read_vectors

Vector = NDArray[np.float32]
"""A unit vector of CLIP, shape (d,)."""


class _Index(Protocol):
    def search(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...


class ExampleBank:
    """Solved examples and the index over them; nothing changes after it is made."""

    def __init__(self, examples: Sequence[Example], vectors: BankVectors) -> None:
        self._examples = tuple(examples)
        self._vectors = vectors
        self._rows = _side_by_side(vectors)
        self._index = _exact_index(self._rows)
        self._by_question: dict[str, list[int]] = {}
        for row, example in enumerate(self._examples):
            self._by_question.setdefault(_plain(example.question), []).append(row)

    @classmethod
    def load(cls, folder: Path) -> "ExampleBank":
        """Read the bank stored in `folder` (its format: `bank.examples`).

        Raises:
            BankError: A file of it is missing or damaged.
        """
        examples = read_examples(folder / EXAMPLES_FILE)
        if not examples:
            raise BankError(f"{folder} has no examples")
        if len({example.id for example in examples}) < len(examples):
            raise BankError(f"{folder} has two examples of one id")
        return cls(examples, read_vectors(folder / VECTORS_FILE, len(examples)))

    @classmethod
    def empty(cls) -> "ExampleBank":
        """Return a bank without examples, for a bundle that has none."""
        nothing = np.zeros((0, 1), np.float32)
        none = np.zeros(0, np.int32)
        prints = np.zeros((0, 64), np.uint8)
        return cls((), BankVectors(nothing, prints, nothing, none, none, MadeBy("", "")))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._examples)

    @property
    def examples(self) -> tuple[Example, ...]:
        """All examples, in stored order."""
        return self._examples

    @property
    def photos(self) -> int:
        """Number of distinct photos of the examples."""
        return len(self._vectors.image)

    @property
    def dimension(self) -> int:
        """Length of query vectors."""
        return self._vectors.dimension

    @property
    def made_by(self) -> MadeBy:
        """The CLIP that must embed queries."""
        return self._vectors.made_by

    def search(
        self,
        image_vector: Vector | None,
        text_vector: Vector | None,
        k: int,
        similarity: Similarity = "image_question",
        *,
        photo: Fingerprint | None = None,
        question: str | None = None,
        seed: int = 0,
    ) -> tuple[Example, ...]:
        """Return the `k` most similar examples, most similar first, each with its similarity.

        Ties are in stored order, and deterministic for a bank and a `k`.

        Args:
            image_vector: Vector of the query's photo, shape (d,), or None.
            text_vector: Vector of the query's question, shape (d,), or None.
            k: Number of examples; fewer only if the bank has no more.
            similarity: "image_question" is the mean of both cosines, or of the one vector that is
                given. An example without a photo has cosine 0 for its image. "random" draws
                examples, and returns their similarity all the same.
            photo: Fingerprint of the query's photo. With `question`, excludes the very same photo
                and question, also under another id or encoding.
            question: The question's text; case, punctuation and spacing are ignored.
            seed: Seed of "random": the same seed, question and photo draw the same examples.

        Raises:
            ValueError: The vector that the similarity needs is missing or of another length.
        """
        hidden = self._hidden(photo, question)
        k = min(k, len(self._examples) - len(hidden))
        if k <= 0:
            return ()
        query = self._query(image_vector, text_vector, similarity)
        if similarity == "random":
            chosen = self._draw(k, hidden, photo, question, seed)
            scores = self._rows[chosen] @ query
        else:
            found, rows = self._index.search(query[None], k + len(hidden))
            visible = [place for place, row in enumerate(rows[0]) if int(row) not in hidden][:k]
            chosen, scores = rows[0][visible], found[0][visible]
        scores = np.clip(scores, -1, 1)
        order = np.lexsort((chosen, -scores))
        return tuple(
            replace(self._examples[int(chosen[i])], similarity=float(scores[i])) for i in order
        )

    def _query(
        self, image_vector: Vector | None, text_vector: Vector | None, similarity: Similarity
    ) -> NDArray[np.float32]:
        """Return the query over both halves of a row, shape (2 d,)."""
        image = None if similarity == "question" else image_vector
        text = None if similarity == "image" else text_vector
        given = [vector for vector in (image, text) if vector is not None]
        if not given and similarity != "random":
            raise ValueError(f"similarity {similarity!r} needs a vector that was not given")
        if any(vector.shape != (self.dimension,) for vector in given):
            raise ValueError(f"the bank's vectors have length {self.dimension}")
        query = np.zeros(2 * self.dimension, np.float32)
        if image is not None:
            query[: self.dimension] = image / len(given)
        if text is not None:
            query[self.dimension :] = text / len(given)
        return query

    def _hidden(self, photo: Fingerprint | None, question: str | None) -> frozenset[int]:
        """Return the rows of the very same photo and question."""
        hidden: set[int] = set()
        if photo is not None and question is not None:
            asked = np.array(self._by_question.get(_plain(question), ()), np.int64)
            asked = asked[self._vectors.photo[asked] >= 0]
            prints = self._vectors.prints[self._vectors.photo[asked]]
            hidden.update(int(row) for row in asked[same_photo(prints, photo)])
        return frozenset(hidden)

    def _draw(
        self,
        k: int,
        hidden: frozenset[int],
        photo: Fingerprint | None,
        question: str | None,
        seed: int,
    ) -> NDArray[np.int64]:
        asked = _plain(question or "").encode() + (b"" if photo is None else photo.tobytes())
        random = np.random.default_rng([seed & 0xFFFFFFFF, zlib.crc32(asked)])
        visible = np.setdiff1d(np.arange(len(self._examples)), np.fromiter(hidden, np.int64))
        return random.choice(visible, k, replace=False)


def _side_by_side(vectors: BankVectors) -> NDArray[np.float32]:
    """Return the concatenated image and text vector of each example, shape (n, 2 d)."""
    nothing = np.zeros((1, vectors.dimension), np.float32)
    image = np.concatenate([vectors.image, nothing])[vectors.photo]
    return np.ascontiguousarray(np.hstack([image, vectors.text[vectors.question]]))


def _exact_index(rows: NDArray[np.float32]) -> _Index:
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    found: _Index = index
    return found


def _plain(question: str) -> str:
    return " ".join(re.findall(r"\w+", question.casefold()))
