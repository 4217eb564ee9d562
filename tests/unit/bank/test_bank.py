import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.drawn_bank import DIMENSION, MADE_BY, FakeClip, example, room, shade, unit

from bank.build import Solved, build
from bank.examples import EXAMPLES_FILE, BankError, Example, Similarity
from bank.fingerprints import fingerprint
from bank.index import ExampleBank
from bank.vectors import read_vectors
from models.pixels import read_rgb

CLIP = FakeClip()
QUESTIONS = ("who?", "what colour is the mug?", "is there a cat?")


def opener(seed: int) -> Callable[[], NDArray[np.uint8]]:
    return lambda: room(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bank")
    rows = []
    for seed in range(20):
        photo = opener(seed) if seed % 4 else None
        rows += [Solved(example(f"{seed}-{i}", q), photo) for i, q in enumerate(QUESTIONS)]
    build(rows, CLIP, out, made_by=MADE_BY)
    return out


@pytest.fixture(scope="module")
def bank(folder: Path) -> ExampleBank:
    return ExampleBank.load(folder)


def by_hand(
    bank: ExampleBank, image: NDArray[np.float32], text: NDArray[np.float32]
) -> dict[str, tuple[float, float]]:
    """Image and question cosines of every example, computed without an index."""
    scores = {}
    for row in bank.examples:
        seed = int(row.id.split("-")[0])
        of_image = float(unit(shade(room(seed))) @ image) if seed % 4 else 0.0
        of_text = float(CLIP.embed_texts([row.question])[0] @ text)
        scores[row.id] = (of_image, of_text)
    return scores


def test_every_distinct_photo_and_question_is_embedded_once(tmp_path: Path) -> None:
    clip, done = FakeClip(), []
    photo = opener(3)
    rows = [Solved(example(str(i), QUESTIONS[i % 2]), photo if i < 4 else None) for i in range(6)]

    build(rows, clip, tmp_path, made_by=MADE_BY, progress=lambda n, of: done.append((n, of)))

    assert len(clip.photos_seen) == 1
    assert sorted(clip.texts_seen) == sorted(QUESTIONS[:2])
    assert done[-1] == (3, 3)
    bank = ExampleBank.load(tmp_path)
    assert (len(bank), bank.photos, bank.dimension) == (6, 1, DIMENSION)
    assert bank.made_by == MADE_BY


@pytest.mark.parametrize(
    ("similarity", "shares"),
    [("image_question", (0.5, 0.5)), ("image", (1, 0)), ("question", (0, 1))],
)
def test_similarity_is_the_cosines_of_what_is_compared(
    bank: ExampleBank, similarity: Similarity, shares: tuple[float, float]
) -> None:
    image, text = unit(77), unit(78)
    expected = {
        id_: shares[0] * of_image + shares[1] * of_text
        for id_, (of_image, of_text) in by_hand(bank, image, text).items()
    }

    found = bank.search(image, text, 8, similarity)

    assert [row.similarity for row in found] == pytest.approx(
        sorted(expected.values(), reverse=True)[:8], abs=2e-3
    )
    assert all(row.similarity == pytest.approx(expected[row.id], abs=2e-3) for row in found)


def test_one_vector_alone_is_compared_alone(bank: ExampleBank) -> None:
    image, text = unit(77), unit(78)

    assert bank.search(image, None, 5) == bank.search(image, text, 5, "image")
    assert bank.search(None, text, 5) == bank.search(image, text, 5, "question")


def test_a_vector_that_is_missing_or_of_another_clip_is_refused(bank: ExampleBank) -> None:
    with pytest.raises(ValueError, match="needs a vector"):
        bank.search(None, unit(1), 3, "image")
    with pytest.raises(ValueError, match="length 6"):
        bank.search(np.ones(7, np.float32), None, 3)


def test_an_example_without_a_photo_counts_zero_for_its_image(bank: ExampleBank) -> None:
    found = bank.search(unit(77), None, len(bank), "image")

    assert {row.similarity for row in found if int(row.id.split("-")[0]) % 4 == 0} == {0.0}


@pytest.mark.parametrize("similarity", ["image_question", "image", "question", "random"])
@pytest.mark.parametrize("encoding", ["same", "jpeg", "smaller"])
def test_a_photo_and_question_of_the_bank_are_not_found_for_themselves(
    bank: ExampleBank, similarity: Similarity, encoding: str
) -> None:
    photo = room(5)
    if encoding == "jpeg":
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=50)
        photo = read_rgb(file)
    if encoding == "smaller":
        photo = np.asarray(Image.fromarray(photo).resize((500, 375)))
    image = CLIP.embed_photos([room(5)])[0]
    text = CLIP.embed_texts([QUESTIONS[1]])[0]
    asked = " What colour is the MUG"

    leaked = bank.search(image, text, len(bank), similarity)
    found = bank.search(
        image, text, len(bank), similarity, photo=fingerprint(photo), question=asked
    )

    assert "5-1" in {row.id for row in leaked}
    assert {row.id for row in leaked} - {row.id for row in found} == {"5-1"}


def test_random_examples_repeat_for_a_request_and_differ_between_requests(
    bank: ExampleBank,
) -> None:
    def drawn(question: str, seed: int = 0) -> list[str]:
        found = bank.search(unit(1), unit(2), 10, "random", question=question, seed=seed)
        return [row.id for row in found]

    assert drawn("who?") == drawn("who?")
    assert drawn("who?") != drawn("what?")
    assert drawn("who?") != drawn("who?", seed=1)
    assert len(set(drawn("who?"))) == 10


def test_random_examples_need_no_vector(bank: ExampleBank) -> None:
    assert {row.similarity for row in bank.search(None, None, 10, "random")} == {0.0}


@given(
    k=st.integers(-1, 100),
    seed=st.integers(0, 9),
    similarity=st.sampled_from(["image_question", "image", "question", "random"]),
)
@settings(max_examples=60)
def test_what_is_found_is_in_order_without_repeats_and_within_bounds(
    bank: ExampleBank, k: int, seed: int, similarity: Similarity
) -> None:
    found = bank.search(unit(seed), unit(seed + 100), k, similarity)

    similarities = [row.similarity for row in found]
    assert len(found) == max(0, min(k, len(bank)))
    assert len({row.id for row in found}) == len(found)
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1 <= value <= 1 for value in similarities)


def test_fingerprints_of_different_rooms_are_different(bank: ExampleBank) -> None:
    hidden = [
        len(bank)
        - len(bank.search(None, unit(1), len(bank), photo=fingerprint(room(seed)), question="who?"))
        for seed in (1, 2, 3, 100, 101)
    ]

    assert hidden == [1, 1, 1, 0, 0]


def broken(folder: Path, out: Path, name: str, damage: Callable[[bytes], bytes | None]) -> Path:
    """Copy a bank with one file damaged, or without it."""
    shutil.copytree(folder, out)
    damaged = damage((out / name).read_bytes())
    (out / name).unlink()
    if damaged is not None:
        (out / name).write_bytes(damaged)
    return out


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (EXAMPLES_FILE, lambda data: b""),
        (EXAMPLES_FILE, lambda data: data.partition(b"\n")[2]),
        (EXAMPLES_FILE, lambda data: b"{}\n"),
        (EXAMPLES_FILE, lambda data: data.partition(b"\n")[0] + b"\n" + data),
        (EXAMPLES_FILE, lambda data: None),
        ("bank.json", lambda data: None),
        ("bank.json", lambda data: b"[]"),
        ("bank.json", lambda data: b"\xff{"),
        ("bank.json", lambda data: data.replace(b"bank-2", b"bank-1")),
        ("image.npy", lambda data: None),
        ("image.npy", lambda data: data[:90]),
        ("image.npy", lambda data: data[:-1]),
        ("text.npy", lambda data: array(np.array([{}]))),
        ("text.npy", lambda data: array(np.ones((3, DIMENSION)))),
        ("text.npy", lambda data: array(np.ones((3, DIMENSION), np.float32))),
        ("text.npy", lambda data: array(np.ones((3, DIMENSION + 1), np.float32))),
        ("print.npy", lambda data: array(np.ones((3, 64), np.uint8))),
        ("photo.npy", lambda data: array(np.full(60, 15, np.int32))),
        ("question.npy", lambda data: array(np.full(60, -1, np.int32))),
    ],
)
def test_a_damaged_bank_is_one_error_that_names_the_place(
    folder: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes | None]
) -> None:
    place = broken(folder, tmp_path / "bank", name, damage)

    with pytest.raises(BankError, match=str(place)):
        ExampleBank.load(place)


def test_a_bank_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="nowhere"):
        ExampleBank.load(tmp_path / "nowhere")


def test_a_bank_of_the_first_format_is_to_be_built_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors.safetensors").touch()
    shutil.copy(folder / EXAMPLES_FILE, tmp_path)

    with pytest.raises(BankError, match="build the bank again"):
        ExampleBank.load(tmp_path)


def test_vectors_are_mapped_and_not_copied(folder: Path) -> None:
    vectors = read_vectors(folder, 60)

    for vector in (vectors.image, vectors.text):
        assert isinstance(vector.base, np.memmap)
        assert not vector.flags.writeable


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Solved(example("1")), Solved(example("1"))],
        [Solved(Example("1", "a room", (), "", "me"))],
    ],
)
def test_a_bank_is_not_built_of_nothing_or_of_examples_that_teach_nothing(
    tmp_path: Path, rows: list[Solved]
) -> None:
    with pytest.raises(BankError):
        build(rows, CLIP, tmp_path, made_by=MADE_BY)

    assert list(tmp_path.iterdir()) == []
