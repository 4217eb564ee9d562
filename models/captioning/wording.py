"""How a captioner's token ids become captions, the same for both engines."""

import json
from collections.abc import Sequence
from pathlib import Path

from models.generation.rules import read_rules
from models.text import load_tokenizer

_GPT2_POSITIONS = 1024


class Wording:
    """A captioner's generation rules, tokenizer and limit of length.

    Raises:
        ValueError: The checkpoint names no first token, or max_new_tokens is more than the
            decoder has positions.
    """

    def __init__(self, folder: Path, *, max_new_tokens: int) -> None:
        self.rules = read_rules(folder)
        self.max_new_tokens = max_new_tokens
        if self.rules.decoder_start_token_id is None:
            raise ValueError(f"{folder.name} names no decoder_start_token_id")
        self.start_token_id: int = self.rules.decoder_start_token_id
        config = json.loads((folder / "config.json").read_text())
        positions = config["decoder"].get("n_positions", _GPT2_POSITIONS)
        if max_new_tokens > positions:
            raise ValueError(f"max_new_tokens is {max_new_tokens}, over the decoder's {positions}")
        self._tokenizer = load_tokenizer(folder)

    def captions(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each caption's ids, without special tokens."""
        return [self._tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]
