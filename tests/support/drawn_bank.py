"""A CLIP without weights and drawn photos, of which a bank can be built in no time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bank.examples import Example
from bank.vectors import MadeBy

MADE_BY = MadeBy("tiny", "1")
DIMENSION = 6


@dataclass
class FakeClip:
    """Gives every photo, told by its upper rows, and every text a vector of its own."""

    photos_seen: list[int] = field(default_factory=list)
    texts_seen: list[str] = field(default_factory=list)

    def embed_photos(self, photos: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        shades = [shade(photo) for photo in photos]
        self.photos_seen += shades
        return np.stack([unit(shade) for shade in shades])

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts_seen += texts
        return np.stack([unit(1000 + sum(map(ord, text))) for text in texts])


def unit(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def shade(photo: NDArray[np.uint8]) -> int:
    return int(photo[:40].astype(int).sum() // 1600)


def room(seed: int) -> NDArray[np.uint8]:
    """A photo of large blocks, as a room is."""
    blocks = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    return np.kron(blocks, np.ones((40, 40, 1), np.uint8))


def example(id_: str, question: str = "who?") -> Example:
    return Example(id_, "a room", ("mug",), question, "me")
