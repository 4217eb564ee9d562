"""Write token ids with a decoder: greedy and beam search in numpy, over any decoder.

Both searches give the ids of transformers' `generate` on the same scores, so that an answer
does not depend on the engine that computed it.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""Unnormalised scores (logits) of the next token, shape (rows, vocabulary)."""

Ids = NDArray[np.int64]


class Step(Protocol):
    """One more token for every row of a decoder that remembers what it has read."""

    def __call__(self, tokens: Ids, parents: Ids) -> Scores:
        """Return the scores that follow `tokens`, one for each row.

        Args:
            tokens: The token that each row reads, shape (rows,).
            parents: The row of the previous call that each row goes on from, shape (rows,).
        """
        ...
