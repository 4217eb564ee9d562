"""Which index finds the examples of a large bank: recall, time, size, and seconds to build.

Vectors are random, of unit length, and clustered as embeddings are: three questions to a photo,
around 2,000 topics, in 32 directions and a little in all others. What an index finds is compared
again exactly, as the bank does it, so that an index need only have the best among its 128.
Expected: HNSW the fastest and the largest, and slow to build; product quantisation the smallest.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import write

K = 16
CANDIDATES = 128
QUERIES = 200
TOPICS = 2000
INTRINSIC = 32
"""Directions in which embeddings differ for a reason; the others are noise."""
PHOTO_QUESTIONS = 3
TRAINED_ON = 65_536

Vectors = NDArray[np.float32]
Places = NDArray[np.int64]
Find = Callable[[Vectors], Places]


@dataclass(frozen=True)
class Row:
    """What one index did; memory is its file, mapped, in bytes."""

    index: str
    recall: float
    query_ms: float
    memory_bytes: int
    build_s: float


def clustered(random: np.random.Generator, count: int, dimension: int, spread: float) -> Vectors:
    """Return unit vectors around topics, shape (count, dimension)."""
    fixed = np.random.default_rng(7)
    topics = fixed.standard_normal((TOPICS, INTRINSIC), dtype=np.float32)
    directions = fixed.standard_normal((INTRINSIC, dimension), dtype=np.float32)
    own = random.standard_normal((count, INTRINSIC), dtype=np.float32) * np.float32(spread)
    rows = (topics[random.integers(0, TOPICS, count)] + own) @ directions
    rows += np.float32(0.3) * random.standard_normal((count, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def examples(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Return each example's photo and question side by side, shape (count, 2 dimension)."""
    photos = clustered(random, -(-count // PHOTO_QUESTIONS), dimension, spread=0.7)
    rows = np.empty((count, 2 * dimension), np.float32)
    rows[:, :dimension] = np.repeat(photos, PHOTO_QUESTIONS, axis=0)[:count]
    rows[:, dimension:] = clustered(random, count, dimension, spread=0.7)
    return rows


def measure(find: Find, rows: Vectors, queries: Vectors) -> tuple[list[Places], float]:
    """Return the places of the best K for each query, and the median milliseconds of one."""
    found, took = [], []
    for query in queries:
        start = time.perf_counter()
        places = find(query)
        scores = rows[places] @ query
        found.append(places[np.argsort(-scores)[:K]])
        took.append(time.perf_counter() - start)
    return found, 1000 * float(np.median(took))


def built(factory: str, rows: Vectors, file: Path) -> float:
    """Build an index and write it; return the seconds that it took."""
    start = time.perf_counter()
    index: Any = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    if factory.startswith("IVF"):
        index.cp.niter, index.cp.max_points_per_centroid = 6, 64
    if "PQ" in factory:
        index.pq.cp.niter, index.pq.cp.max_points_per_centroid = 6, 64
    some = np.random.default_rng(3).choice(len(rows), min(TRAINED_ON, len(rows)), replace=False)
    index.train(rows[some])
    index.add(rows)
    faiss.write_index(index, str(file))
    return time.perf_counter() - start


def opened(factory: str, file: Path) -> Iterator[tuple[str, Find]]:
    """Map an index; yield each depth of its search by name."""
    is_graph = factory.startswith("HNSW")
    index: Any = faiss.read_index(
        str(file), faiss.IO_FLAG_MMAP_IFC if is_graph else faiss.IO_FLAG_MMAP
    )
    for depth in (128, 256, 512) if is_graph else (16, 64, 128):
        if is_graph:
            index.hnsw.efSearch = depth
        else:
            index.nprobe = depth

        def find(query: Vectors) -> Places:
            places: Places = index.search(query[None], CANDIDATES)[1][0]
            return places[places >= 0]

        yield f"{factory}, {'efSearch' if is_graph else 'nprobe'} {depth}", find


def main() -> None:
    """Measure every index, print a table, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=512, help="of one vector, as CLIP's")
    parser.add_argument("--lists", type=int, default=512, help="inverted lists of an IVF")
    parser.add_argument("--threads", type=int, default=1, help="of a search; building takes all")
    options = parser.parse_args()
    random, dimension = np.random.default_rng(1), options.dimension
    rows = examples(random, options.examples, dimension)
    queries = examples(random, QUERIES, dimension) / np.float32(2)

    def exact(query: Vectors) -> Places:
        scores = rows @ query
        return np.argpartition(-scores, K)[:K]

    best, took = measure(exact, rows, queries)
    table = [Row("exact", 1.0, took, rows.nbytes, 0.0)]
    show(table[0])
    cores = faiss.omp_get_max_threads()
    lists = options.lists
    for factory in ("HNSW32_SQ8", f"IVF{lists},SQ8", f"IVF{lists},Flat", f"IVF{lists},PQ64"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "index.faiss")
            faiss.omp_set_num_threads(cores)
            build_s = built(factory, rows, file)
            faiss.omp_set_num_threads(options.threads)
            for name, find in opened(factory, file):
                found, took = measure(find, rows, queries)
                pairs = zip(best, found, strict=True)
                recall = float(np.mean([len(set(one) & set(other)) / K for one, other in pairs]))
                table.append(Row(name, recall, took, file.stat().st_size, build_s))
                show(table[-1])
    write("bank_index", {"examples": options.examples, "rows": [asdict(row) for row in table]})


def show(row: Row) -> None:
    """Print a row of the table."""
    megabytes = row.memory_bytes / 1e6
    print(
        f"| {row.index} | {row.recall:.3f} | {row.query_ms:.1f} | {megabytes:.0f}"
        f" | {row.build_s:.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
