"""Text generation: greedy and beam search in numpy, over any decoder.

Both give the same ids as transformers' `generate` on the same scores, so that an answer does not
depend on the engine.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""Logits of the next token, shape (rows, vocabulary)."""

Ids = NDArray[np.int64]


class Step(Protocol):
    """One decoding step of every row, with a key/value cache."""

    def __call__(self, tokens: Ids, parents: Ids) -> Scores:
        """Return the scores that follow `tokens`, one for each row.

        Args:
            tokens: The input token of each row, shape (rows,).
            parents: The row of the previous call that each row continues, shape (rows,).
        """
        ...
