from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from bank import index as bank_index
from bank.build import Solved, build
from bank.examples import INDEX_FILE, BankError, Example, Similarity
from bank.index import ExampleBank
from bank.large_index import LargeIndex, write_index
from bank.vectors import BankVectors, MadeBy

COUNT, PHOTOS, DIMENSION = 120_000, 40_000, 6


def clustered(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    topics = np.random.default_rng(0).standard_normal((300, DIMENSION))
    rows = topics[random.integers(0, 300, count)] + 0.5 * random.standard_normal((count, DIMENSION))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")
    return unit


def vectors_of(count: int, photos: int) -> BankVectors:
    """Examples of which every fifth has no photo."""
    random = np.random.default_rng(1)
    rows = np.arange(count, dtype=np.int32)
    return BankVectors(
        image=clustered(random, photos),
        prints=random.integers(0, 255, (photos, 64), np.uint8),
        text=clustered(random, count),
        photo=np.where(rows % 5 == 0, -1, rows % photos).astype(np.int32),
        question=rows,
        made_by=MadeBy("tiny", "1"),
    )


def examples_of(count: int) -> list[Example]:
    return [Example(str(row), "a room", (), f"what {row}?", "me") for row in range(count)]


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExampleBank, ExampleBank, Path]:
    """A bank that compares every example, the same with an index, and the index's file."""
    file = tmp_path_factory.mktemp("large") / INDEX_FILE
    vectors, examples = vectors_of(COUNT, PHOTOS), examples_of(COUNT)
    threads = faiss.omp_get_max_threads()
    # On a busy machine, threads that wait for one another take several times as long.
    faiss.omp_set_num_threads(1)
    write_index(vectors, file)
    faiss.omp_set_num_threads(threads)
    indexed = ExampleBank(examples, vectors, LargeIndex(file, vectors))
    return ExampleBank(examples, vectors), indexed, file


@pytest.mark.parametrize("similarity", ["image_question", "image", "question"])
def test_an_index_finds_what_comparing_every_example_finds(
    banks: tuple[ExampleBank, ExampleBank, Path], similarity: Similarity
) -> None:
    exact, indexed, _ = banks
    random = np.random.default_rng(2)
    found = 0
    for image, text in zip(clustered(random, 50), clustered(random, 50), strict=True):
        true = exact.search(image, text, 16, similarity)
        near = indexed.search(image, text, 16, similarity)
        assert len(near) == 16
        assert [row.similarity for row in near] == sorted(
            (row.similarity for row in near), reverse=True
        )
        # Photos are shared, so that others may be as similar as the sixteenth.
        found += sum(row.similarity >= true[-1].similarity - 1e-6 for row in near)

    assert found / (50 * 16) > 0.95


def test_the_very_same_photo_and_question_is_not_found_with_an_index(
    banks: tuple[ExampleBank, ExampleBank, Path],
) -> None:
    _, indexed, _ = banks
    vectors = vectors_of(COUNT, PHOTOS)
    image, text = vectors.image[7], vectors.text[7]

    leaked = indexed.search(image, text, 5)
    found = indexed.search(image, text, 5, photo=vectors.prints[7], question="what 7?")

    assert leaked[0].id == "7"
    assert "7" not in {row.id for row in found}
    assert found[:4] == leaked[1:]


def test_more_examples_than_an_index_finds_are_compared_exactly(
    banks: tuple[ExampleBank, ExampleBank, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, indexed, _ = banks
    query = clustered(np.random.default_rng(5), 1)[0]
    monkeypatch.setattr(LargeIndex, "candidates", lambda *_: np.arange(9))

    assert indexed.search(query, query, 20) == exact.search(query, query, 20)


def test_an_index_is_mapped_into_memory(banks: tuple[ExampleBank, ExampleBank, Path]) -> None:
    _, _, file = banks

    assert str(file) in Path("/proc/self/maps").read_text()


class FakeClip:
    def embed_photos(self, photos: object) -> NDArray[np.float32]:
        raise NotImplementedError

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return clustered(np.random.default_rng(len(texts)), len(texts))


def built(folder: Path, count: int, exact_up_to: int) -> Path:
    rows = [Solved(example) for example in examples_of(count)]
    build(rows, FakeClip(), folder, made_by=MadeBy("tiny", "1"), exact_up_to=exact_up_to)  # type: ignore[arg-type]
    return folder


def test_a_bank_over_the_threshold_is_built_and_loaded_with_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = built(tmp_path / "small", 60, 60), built(tmp_path / "large", 61, 60)
    query = clustered(np.random.default_rng(5), 1)[0]

    assert not (small / INDEX_FILE).exists()
    assert len(ExampleBank.load(large).search(None, query, 16)) == 16
    (large / INDEX_FILE).unlink()
    monkeypatch.setattr(bank_index, "EXACT_UP_TO", 60)
    with pytest.raises(BankError, match=rf"cannot read .*{INDEX_FILE}"):
        ExampleBank.load(large)


def test_a_damaged_index_or_that_of_another_bank_is_one_error(tmp_path: Path) -> None:
    one, other = built(tmp_path / "one", 61, 60), built(tmp_path / "other", 62, 60)
    (one / INDEX_FILE).write_bytes((other / INDEX_FILE).read_bytes())
    with pytest.raises(BankError, match="index of another bank"):
        ExampleBank.load(one)

    (other / INDEX_FILE).write_bytes((other / INDEX_FILE).read_bytes()[:200])
    with pytest.raises(BankError, match=rf"cannot read .*{INDEX_FILE}") as raised:
        ExampleBank.load(other)
    assert "\n" not in str(raised.value)
