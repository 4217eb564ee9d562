"""Search the solved examples that are most similar to a photo and a question.

Similarity is the mean of the cosine of the photos and the cosine of the questions (PICa, Yang et
al. 2022, section 3.3). A query is compared with every distinct photo and question once, and each
example adds up its two cosines, so that nothing but the stored vectors is in memory. In a large
bank (`bank.large_index`), only examples that an index finds are compared. A search never returns
the example of the very same photo and question: its answer would leak into the prompt.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bank.examples import (
    EXAMPLES_FILE,
    INDEX_FILE,
    BankError,
    Example,
    Similarity,
    read_examples,
)
from bank.fingerprints import Fingerprint, same_photo
from bank.large_index import EXACT_UP_TO, LargeIndex
from bank.vectors import BankVectors, MadeBy, read_vectors

CANDIDATES = 128
"""Examples that are compared exactly after an approximate index found them, if `k` is small."""

Vector = NDArray[np.float32]
"""A unit vector of CLIP, shape (d,)."""


class ExampleBank:
    """Solved examples and the index over them; nothing changes after it is made."""

    def __init__(
        self,
        examples: Sequence[Example],
        vectors: BankVectors,
        index: LargeIndex | None = None,
    ) -> None:
        """Make a bank that compares a query with all examples, or with what `index` finds."""
        self._examples = tuple(examples)
        self._vectors = vectors
        self._index = index
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
        vectors, file = read_vectors(folder, len(examples)), folder / INDEX_FILE
        has_index = file.exists() or len(examples) > EXACT_UP_TO
        return cls(examples, vectors, LargeIndex(file, vectors) if has_index else None)

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
        image, text = self._given(image_vector, text_vector, similarity)
        if similarity == "random":
            rows = self._draw(k, hidden, photo, question, seed)
            scores = self._scores_of(rows, image, text)
        else:
            rows, scores = self._nearest(image, text, k, hidden)
        scores = np.clip(scores, -1, 1)
        order = np.lexsort((rows, -scores))
        return tuple(
            replace(self._examples[int(rows[i])], similarity=float(scores[i])) for i in order
        )

    def _given(
        self, image: Vector | None, text: Vector | None, similarity: Similarity
    ) -> tuple[Vector | None, Vector | None]:
        """Return the vectors that are compared, image and text, each scaled to its share."""
        vectors = (
            None if similarity == "question" else image,
            None if similarity == "image" else text,
        )
        given = [vector for vector in vectors if vector is not None]
        if not given and similarity != "random":
            raise ValueError(f"similarity {similarity!r} needs a vector that was not given")
        if any(vector.shape != (self.dimension,) for vector in given):
            raise ValueError(f"the bank's vectors have length {self.dimension}")
        image, text = (
            None if vector is None else vector / np.float32(len(given)) for vector in vectors
        )
        return image, text

    def _nearest(
        self, image: Vector | None, text: Vector | None, k: int, hidden: frozenset[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the rows of the `k` most similar examples, and their similarities."""
        if self._index is not None:
            count = min(max(CANDIDATES, 2 * k) + len(hidden), len(self))
            rows = np.sort(self._index.candidates(image, text, count))
            rows = rows[~np.isin(rows, list(hidden))]
            if len(rows) >= k:
                scores = self._scores_of(rows, image, text)
                best = _highest(scores, k)
                return rows[best], scores[best]
        scores = self._scores(image, text)
        scores[list(hidden)] = -np.inf
        best = _highest(scores, k)
        return best, scores[best]

    def _scores(self, image: Vector | None, text: Vector | None) -> NDArray[np.float32]:
        """Return every example's similarity to what is given, shape (n,)."""
        scores = np.zeros(len(self), np.float32)
        if image is not None:
            # The last is of examples without a photo, whose row is -1.
            of_photos = np.append(self._vectors.image @ image, np.float32(0))
            scores += of_photos[self._vectors.photo]
        if text is not None:
            scores += (self._vectors.text @ text)[self._vectors.question]
        return scores

    def _scores_of(
        self, rows: NDArray[np.int64], image: Vector | None, text: Vector | None
    ) -> NDArray[np.float32]:
        """Return the similarity of some examples, shape (rows,)."""
        scores = np.zeros(len(rows), np.float32)
        photos = self._vectors.photo[rows]
        if image is not None:
            scores[photos >= 0] += self._vectors.image[photos[photos >= 0]] @ image
        if text is not None:
            scores += self._vectors.text[self._vectors.question[rows]] @ text
        return scores

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


def _highest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the places of the `k` highest scores; of equal ones, the first."""
    least = np.partition(scores, -k)[-k]
    places = np.flatnonzero(scores >= least)
    return places[np.lexsort((places, -scores[places]))[:k]]


def _plain(question: str) -> str:
    return " ".join(re.findall(r"\w+", question.casefold()))
