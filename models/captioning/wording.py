"""How a captioner's token ids become captions, the same for both engines."""

from collections.abc import Sequence
from pathlib import Path

from models.captioning.families import Family
from models.text import load_tokenizer


class Wording:
    """A captioner's generation rules, tokenizer and limit of length.

    Raises:
        ValueError: max_new_tokens is more than the decoder has positions.
    """

    def __init__(self, folder: Path, family: Family, *, max_new_tokens: int) -> None:
        if max_new_tokens > family.positions:
            raise ValueError(
                f"max_new_tokens is {max_new_tokens}, over the decoder's {family.positions}"
            )
        self.rules = family.rules
        self.start_token_id = family.start_token_id
        self.max_new_tokens = max_new_tokens
        self._tokenizer = load_tokenizer(folder)

    def captions(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each caption's ids, without special tokens."""
        return [self._tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]
