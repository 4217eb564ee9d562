"""Generation settings of a checkpoint.

Old checkpoints (nlpconnect/vit-gpt2-image-captioning) have no generation_config.json and
keep these entries in config.json, some of them only in its `decoder` section.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.generation import Scores

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "bad_words_ids": (None,),
    "begin_suppress_tokens": (None,),
    "diversity_penalty": (None, 0, 0.0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1, 1.0),
    "exponential_decay_length_penalty": (None,),
    "guidance_scale": (None, 1, 1.0),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "no_repeat_ngram_size": (None, 0),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0, 0.0),
    "remove_invalid_values": (None, False),
    "renormalize_logits": (None, False),
    "repetition_penalty": (None, 1, 1.0),
    "sequence_bias": (None,),
    "stop_strings": (None,),
    "suppress_tokens": (None,),
}
"""Settings that no search supports by itself, with the values that have no effect."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings that a search applies; names as in generation_config.json."""

    eos_token_ids: tuple[int, ...]
    decoder_start_token_id: int | None = None
    """First token of an encoder-decoder's decoder; it is read and never returned."""
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    repetition_penalty: float = 1.0

    def penalised(self, scores: Scores, seen: Sequence[Sequence[int]]) -> Scores:
        """Return the scores, with those of seen tokens lowered (CTRL, Keskar et al. 2019).

        Args:
            scores: Shape (rows, vocabulary).
            seen: The prompt's and the generated ids of each row.
        """
        if self.repetition_penalty == 1:
            return scores
        lowered = scores.copy()
        for row, ids in zip(lowered, seen, strict=True):
            again = np.array(sorted(set(ids)), np.int64)
            old = row[again]
            row[again] = np.where(
                old < 0, old * self.repetition_penalty, old / self.repetition_penalty
            )
        return lowered

    def forced(self, scores: Scores, position: int, max_new_tokens: int) -> Scores:
        """Return the scores, with probability 1 for a token that the checkpoint forces.

        Args:
            scores: Shape (rows, vocabulary).
            position: Index of the token about to be chosen; 0 is the first generated one.
            max_new_tokens: Number of tokens after which the search ends.
        """
        token = None
        if position == 0:
            token = self.forced_bos_token_id
        if position == max_new_tokens - 1 and self.forced_eos_token_id is not None:
            token = self.forced_eos_token_id
        if token is None:
            return scores
        certain = np.full_like(scores, -np.inf)
        certain[:, token] = 0
        return certain

    def until_end(self, ids: Sequence[int]) -> list[int]:
        """Return the ids up to the first end-of-text token, that one included."""
        ends = (place for place, token in enumerate(ids) if token in self.eos_token_ids)
        return list(ids[: next(ends, len(ids)) + 1])


def read_rules(folder: Path, *, supports: Collection[str] = ()) -> Rules:
    """Return the settings of the checkpoint in `folder`.

    Args:
        folder: The checkpoint.
        supports: Settings that the caller's search applies and not every search does.

    Raises:
        ValueError: The checkpoint has a setting that changes the ids and is not supported.
    """
    return rules_of(_entries(folder), name=folder.name, supports=supports)


def rules_of(entries: Mapping[str, Any], *, name: str, supports: Collection[str] = ()) -> Rules:
    """Return the settings among the entries of a configuration.

    Args:
        entries: Keys as in generation_config.json; others are ignored.
        name: The checkpoint, for the message.
        supports: Settings that the caller's search applies and not every search does.

    Raises:
        ValueError: A setting changes the ids and is not supported.
    """
    for setting, idle in _NEUTRAL.items():
        if setting not in supports and entries.get(setting) not in idle:
            raise ValueError(f"{name}: generation setting {setting} is not supported")
    start = entries.get("decoder_start_token_id")
    forced_last = entries.get("forced_eos_token_id")
    penalty = entries.get("length_penalty")
    repetition = entries.get("repetition_penalty")
    return Rules(
        eos_token_ids=_several(entries.get("eos_token_id")),
        decoder_start_token_id=entries.get("bos_token_id") if start is None else start,
        forced_bos_token_id=entries.get("forced_bos_token_id"),
        forced_eos_token_id=forced_last[0] if isinstance(forced_last, list) else forced_last,
        length_penalty=1.0 if penalty is None else float(penalty),
        early_stopping=entries.get("early_stopping") or False,
        repetition_penalty=1.0 if repetition is None else float(repetition),
    )


def _entries(folder: Path) -> dict[str, Any]:
    own = folder / "generation_config.json"
    if own.exists():
        return dict(json.loads(own.read_text("utf-8")))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    decoder = config.get("decoder") or {}
    return {
        name: value
        for section in (decoder, config)
        for name, value in section.items()
        if value is not None
    }


def _several(ids: int | list[int] | None) -> tuple[int, ...]:
    if ids is None:
        return ()
    return tuple(ids) if isinstance(ids, list) else (ids,)
