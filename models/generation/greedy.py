"""Greedy search: the most likely token in each step.

A finished row is still computed until the longest one ends, and its output is ignored. Removing it
would mean copying the other rows' caches.
"""

from collections.abc import Sequence

import numpy as np

from models.generation import Scores, Step
from models.generation.rules import Rules


def greedy(
    first: Scores,
    step: Step,
    rules: Rules,
    *,
    max_new_tokens: int,
    prompts: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Return the generated ids of each row, its end-of-text token included.

    Args:
        first: Scores of the first token, shape (rows, vocabulary).
        step: The decoder, which has read everything before the first token.
        rules: The checkpoint's generation rules.
        max_new_tokens: Longest text, in tokens.
        prompts: Ids of each row before the first token, which a repetition penalty counts.
    """
    rows = np.arange(len(first), dtype=np.int64)
    written: list[list[int]] = [[] for _ in rows]
    before = prompts or [()] * len(first)
    unfinished = list(range(len(first)))
    scores = first
    for position in range(max_new_tokens):
        seen = [[*start, *new] for start, new in zip(before, written, strict=True)]
        scores = rules.penalised(scores, seen)
        tokens = rules.forced(scores, position, max_new_tokens).argmax(axis=-1)
        for row in unfinished:
            written[row].append(int(tokens[row]))
        unfinished = [row for row in unfinished if written[row][-1] not in rules.eos_token_ids]
        if position == max_new_tokens - 1 or not unfinished:
            break
        scores = step(tokens, rows)
    return written
