"""CLIP and SigLIP on either engine: normalises the raw vectors of its towers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.clip import Vectors
from models.clip.words import Ids, Words
from models.pixels import Rgb
from models.preprocessing import PixelValues, Preprocessor

ImageTower = Callable[[PixelValues], NDArray[np.float32]]
"""From (n, 3, height, width) to projected vectors of any length, shape (n, dimension)."""

TextTower = Callable[[Ids, Ids], NDArray[np.float32]]
"""From token ids and attention mask, both (n, length), to vectors, shape (n, dimension)."""


@dataclass(frozen=True)
class Embedder:
    """A `ClipModel`."""

    preprocess: Preprocessor | None
    image_tower: ImageTower | None
    words: Words | None
    text_tower: TextTower | None

    def embed_photos(self, photos: Sequence[Rgb]) -> Vectors:
        """Return one unit vector for each photo, shape (n, dimension).

        Raises:
            RuntimeError: The image tower was not loaded.
            ValueError: There are no photos.
        """
        if self.preprocess is None or self.image_tower is None:
            raise RuntimeError("this CLIP was loaded without its image tower")
        return _unit(self.image_tower(self.preprocess(photos)))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector for each text, shape (n, dimension); long texts are truncated.

        Raises:
            RuntimeError: The text tower was not loaded.
            ValueError: There are no texts.
        """
        if self.words is None or self.text_tower is None:
            raise RuntimeError("this CLIP was loaded without its text tower")
        return _unit(self.text_tower(*self.words(texts)))


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
