"""Tokenized chats, the same for both engines."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.chat import Completion, Turn
from models.chat.families import read_family
from models.chat.template import ChatTemplate
from models.text import load_tokenizer

RULES = frozenset({"repetition_penalty"})
"""Generation settings that chat models apply and captioners do not (Qwen2.5 has them)."""


class Prompts:
    """A checkpoint's chat template, tokenizer and length of context."""

    def __init__(self, folder: Path) -> None:
        self._template = ChatTemplate(folder, read_family(folder).template_variables)
        self._tokenizer = load_tokenizer(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._context_tokens: int = config["max_position_embeddings"]

    def encode(self, chat: Sequence[Turn]) -> list[int]:
        """Return the prompt's ids; the template adds all special tokens."""
        text = self._template.render(chat)
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_all(
        self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int
    ) -> list[list[int]]:
        """Return each chat's prompt.

        Raises:
            ValueError: A chat and its answer would not fit the model's context.
        """
        prompts = [self.encode(chat) for chat in chats]
        longest = max(map(len, prompts), default=0)
        if longest + max_new_tokens > self._context_tokens:
            raise ValueError(
                f"a chat of {longest} tokens and {max_new_tokens} new ones do not fit"
                f" the model's context of {self._context_tokens}"
            )
        return prompts

    def completion(
        self, prompt: list[int], written: list[int], first_token_s: float | None = None
    ) -> Completion:
        """Return the completion of generated ids."""
        return Completion(
            text=self._tokenizer.decode(written, skip_special_tokens=True).strip(),
            prompt_tokens=len(prompt),
            completion_tokens=len(written),
            first_token_s=first_token_s,
        )


def pad_left(prompts: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids and their attention mask (0 at padding), both (prompts, longest).

    Padding repeats the prompt's first id: transformers' repetition penalty counts padding too, and
    another id would be punished for the length of the prompts beside it.
    """
    longest = max(map(len, prompts))
    ids = np.zeros((len(prompts), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row] = prompt[0]
        ids[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return ids, mask
