"""An approximate index for banks that are too large to compare a query with every example.

HNSW (Malkov and Yashunin 2018) over vectors of 8 bits a dimension, chosen by measurement:
`benchmarks/bank_index.py`. Photo and question are side by side in one vector, of which a half that
does not count is zero in the query. The bank compares what is found again with the exact vectors.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bank.examples import BankError
from bank.vectors import BankVectors

EXACT_UP_TO = 100_000
"""Examples of a bank without an index."""

FACTORY = "HNSW32_SQ8"
DEPTH = 512
"""Best examples that a search of the graph keeps in view (efSearch), or more if more are wanted."""

TRAINED_ON = 65_536
ADDED_AT_ONCE = 16_384


def write_index(vectors: BankVectors, file: Path) -> None:
    """Build the index of all examples and write it; takes minutes for some 100,000."""
    import faiss

    index = faiss.index_factory(2 * vectors.dimension, FACTORY, faiss.METRIC_INNER_PRODUCT)
    count = len(vectors.question)
    index.train(_side_by_side(vectors, np.arange(0, count, max(1, count // TRAINED_ON))))
    for start in range(0, count, ADDED_AT_ONCE):
        rows = np.arange(start, min(start + ADDED_AT_ONCE, count))
        index.add(_side_by_side(vectors, rows))
    faiss.write_index(index, str(file))


class LargeIndex:
    """The index of a stored bank, mapped into memory."""

    def __init__(self, file: Path, vectors: BankVectors) -> None:
        """Map the index of these vectors.

        Raises:
            BankError: The file is missing, damaged, or of other vectors.
        """
        import faiss

        try:
            self._index: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            reason = str(error).rpartition("Error: ")[2].partition("\n")[0]
            raise BankError(f"cannot read {file}: {reason}") from None
        wanted = (len(vectors.question), 2 * vectors.dimension)
        graph: Any = getattr(self._index, "hnsw", None)
        if graph is None or (self._index.ntotal, self._index.d) != wanted:
            raise BankError(f"{file} is an index of another bank")
        graph.efSearch = DEPTH

    def candidates(
        self, image: NDArray[np.float32] | None, text: NDArray[np.float32] | None, count: int
    ) -> NDArray[np.int64]:
        """Return about the `count` most similar examples' rows, in no order, each once."""
        half = self._index.d // 2
        query = np.zeros((1, 2 * half), np.float32)
        if image is not None:
            query[0, :half] = image
        if text is not None:
            query[0, half:] = text
        _, rows = self._index.search(query, count)
        found: NDArray[np.int64] = rows[0][rows[0] >= 0]
        return found


def _side_by_side(vectors: BankVectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the image and text vector of each example, shape (rows, 2 d)."""
    both = np.zeros((len(rows), 2 * vectors.dimension), np.float32)
    photos = vectors.photo[rows]
    both[photos >= 0, : vectors.dimension] = vectors.image[photos[photos >= 0]]
    both[:, vectors.dimension :] = vectors.text[vectors.question[rows]]
    return both
