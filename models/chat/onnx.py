"""A chat model on ONNX Runtime: `model.onnx` with a key/value cache, greedy search.

Padding is masked out, so that its token ids do not matter.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.chat import Completion, Turn
from models.chat.prompts import RULES, Prompts, pad_left
from models.generation import Ids, Scores
from models.generation.cache import CachedDecoder
from models.generation.greedy import greedy
from models.generation.rules import read_rules
from models.sessions import open_session
from models.settings import EngineSettings


class OnnxChat:
    """`model.onnx`; see `models.chat.ChatModel`."""

    def __init__(self, folder: Path, engine: EngineSettings) -> None:
        self._prompts = Prompts(folder)
        self._rules = read_rules(folder, supports=RULES)
        self._session = open_session(folder / "model.onnx", engine)

    def complete(self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int) -> list[Completion]:
        """Return one completion for each chat, in order."""
        if not chats:
            return []
        started = time.perf_counter()
        prompts = self._prompts.encode_all(chats, max_new_tokens=max_new_tokens)
        reading, first = self._read(prompts)
        first_token_s = time.perf_counter() - started
        written = greedy(
            first, reading, self._rules, max_new_tokens=max_new_tokens, prompts=prompts
        )
        return [
            self._prompts.completion(*pair, first_token_s)
            for pair in zip(prompts, written, strict=True)
        ]

    def count_tokens(self, chat: Sequence[Turn]) -> int:
        """Return the number of prompt tokens, chat template included."""
        return len(self._prompts.encode(chat))

    def write(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """Return the ids that follow each prompt's ids, the end-of-text token included."""
        reading, first = self._read(prompts)
        return greedy(first, reading, self._rules, max_new_tokens=max_new_tokens, prompts=prompts)

    def _read(self, prompts: Sequence[Sequence[int]]) -> tuple["_Reading", Scores]:
        """Return the decoder after the prompts (prefill), and the scores of the next token."""
        ids, mask = pad_left(prompts)
        reading = _Reading(CachedDecoder(self._session, rows=len(prompts)), mask)
        return reading, reading.read(ids)


class _Reading:
    """Attention mask and positions of a growing batch."""

    def __init__(self, decoder: CachedDecoder, mask: Ids) -> None:
        self._decoder = decoder
        self._mask = mask

    def __call__(self, tokens: Ids, parents: Ids) -> Scores:
        """Feed one more token to every row; greedy search never reorders rows."""
        del parents
        self._mask = np.pad(self._mask, ((0, 0), (0, 1)), constant_values=1)
        return self.read(tokens[:, None])

    def read(self, ids: Ids) -> Scores:
        """Feed the newest ids, which the mask already covers."""
        positions = np.maximum(self._mask.cumsum(axis=1) - 1, 0)[:, -ids.shape[1] :]
        return self._decoder.run(
            {
                "input_ids": ids,
                "attention_mask": self._mask,
                "position_ids": np.ascontiguousarray(positions),
            }
        )
