"""Tokenization for CLIP's text tower.

The vector of a text is read at its end-of-text token, so truncation must keep that token. Without
it the tower would silently read the vector at another position.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.text import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = NDArray[np.int64]

_TEXT_CONFIG = {"max_position_embeddings": 77}
"""Default of transformers, which config.json omits."""


@dataclass(frozen=True)
class Words:
    """Turns texts into token ids."""

    tokenizer: "Tokenizer"
    max_tokens: int

    @classmethod
    def from_folder(cls, folder: Path) -> "Words":
        """Read the tokenizer, and the maximum length from config.json.

        Raises:
            FileNotFoundError: A file is missing.
        """
        config = json.loads((folder / "config.json").read_text("utf-8"))
        text_config = _TEXT_CONFIG | (config.get("text_config") or {})
        return cls(load_tokenizer(folder), int(text_config["max_position_embeddings"]))

    def __call__(self, texts: Sequence[str]) -> tuple[Ids, Ids]:
        """Return token ids and attention mask, both int64 of shape (len(texts), longest).

        Shorter texts are padded with their end-of-text token, masked out: the tower reads the
        vector at the first one.
        """
        rows = [self._cut(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]
        longest = max(len(row) for row in rows)
        ids = np.array([row + [row[-1]] * (longest - len(row)) for row in rows], np.int64)
        lengths = np.array([len(row) for row in rows])
        return ids, (np.arange(longest) < lengths[:, None]).astype(np.int64)

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]
