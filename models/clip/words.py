"""Tokenization for the text towers of CLIP and SigLIP.

CLIP reads the vector of a text at its end-of-text token, so truncation must keep that token.
Without it the tower would silently read the vector at another position. SigLIP reads it at the last
position, whatever is there, and so depends on the length to which texts are padded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.clip.families import Family, read_family
from models.text import load_tokenizer, tokenizer_family

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """Turns texts into token ids."""

    tokenizer: "Tokenizer"
    max_tokens: int
    padding_id: int | None = None
    """Token that pads every text to `max_tokens`, or None where padding is masked out."""

    @classmethod
    def from_folder(cls, folder: Path) -> "Words":
        """Read the tokenizer, and the maximum length from config.json.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: The family or its tokenizer is unknown.
        """
        family = read_family(folder)
        tokenizer = load_tokenizer(folder)
        _check_tokenizer(folder, family)
        if family.lower_case:
            _lower(tokenizer)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        text_config = config.get("text_config") or {}
        return cls(
            tokenizer=tokenizer,
            max_tokens=int(text_config.get("max_position_embeddings", family.max_tokens)),
            padding_id=_padding_id(folder, tokenizer) if family.attends_to_padding else None,
        )

    def __call__(self, texts: Sequence[str]) -> tuple[Ids, Ids]:
        """Return token ids and attention mask, both int64 of shape (len(texts), longest).

        CLIP: shorter texts are padded with their end-of-text token, masked out; the tower reads
        the vector at the first one. SigLIP: longest is `max_tokens`, and nothing is masked out.

        Raises:
            ValueError: There are no texts.
        """
        if not texts:
            raise ValueError("there are no texts")
        rows = [self._cut(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]
        if self.padding_id is not None:
            padded = [row + [self.padding_id] * (self.max_tokens - len(row)) for row in rows]
            return np.array(padded, np.int64), np.ones((len(rows), self.max_tokens), np.int64)
        longest = max(len(row) for row in rows)
        ids = np.array([row + [row[-1]] * (longest - len(row)) for row in rows], np.int64)
        lengths = np.array([len(row) for row in rows])
        return ids, (np.arange(longest) < lengths[:, None]).astype(np.int64)

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]


def _check_tokenizer(folder: Path, family: Family) -> None:
    kind = tokenizer_family(folder)
    if family.tokenizers and kind not in family.tokenizers:
        known = ", ".join(sorted(family.tokenizers))
        raise ValueError(f"{folder.name}: no rule for tokenizer {kind or None}, only for {known}")


def _lower(tokenizer: "Tokenizer") -> None:
    from tokenizers import normalizers

    others = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *others])


def _padding_id(folder: Path, tokenizer: "Tokenizer") -> int:
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    token = config.get("pad_token")
    number = tokenizer.token_to_id(token["content"] if isinstance(token, dict) else str(token))
    if number is None:
        raise ValueError(f"{folder.name}: tokenizer.json does not have the padding token {token}")
    return number
