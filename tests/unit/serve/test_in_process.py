"""The stages in one process: what each model is given, and that no Ray comes along."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bank.examples import Example
from bank.index import ExampleBank
from bank.vectors import BankVectors, MadeBy
from deployments.messages import Tag
from models.bundle import BundleError
from models.chat import Completion, Turn
from models.pixels import Rgb
from models.settings import EngineSettings
from serve.in_process import Stages, load_stages
from serve.settings import AppSettings

QUESTIONS = ["what 0?", "what 1?", "what 2?", "what 1?", "what 0?"]


def photo(number: int) -> Rgb:
    return np.full((8, 8, 3), 40 * number, np.uint8)


class FakeModels:
    """Every model at once; each tells photos and texts apart and notes its batches."""

    def __init__(self) -> None:
        self.batches: dict[str, list[int]] = {}

    def _note(self, what: str, items: Sequence[object]) -> None:
        self.batches.setdefault(what, []).append(len(items))

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        self._note("caption", photos)
        return [f"photo {photo.max() // 40}" for photo in photos]

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        raise NotImplementedError

    def tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        self._note("tag", photos)
        return [(Tag(f"tag {photo.max() // 40}", 1.0, (0, 0, 1, 1)),) for photo in photos]

    def embed_photos(self, photos: Sequence[Rgb]) -> NDArray[np.float32]:
        self._note("photos", photos)
        return np.zeros((len(photos), 5), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._note("texts", texts)
        return np.eye(5, dtype=np.float32)[[int(text[5]) for text in texts]]

    def complete(self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int) -> list[Completion]:
        self._note("complete", chats)
        return [Completion(f"{chat[-1]['content']} {max_new_tokens}", 1, 1) for chat in chats]

    def count_tokens(self, chat: Sequence[Turn]) -> int:
        raise NotImplementedError


def bank() -> ExampleBank:
    """Return a bank whose example n is about text n."""
    unit = np.eye(5, dtype=np.float32)
    return ExampleBank(
        tuple(Example(f"e{n}", "", (), f"which {n}?", "one") for n in range(5)),
        BankVectors(
            image=np.zeros((0, 5), np.float32),
            prints=np.zeros((0, 64), np.uint8),
            text=unit,
            photo=np.full(5, -1, np.int32),
            question=np.arange(5, dtype=np.int32),
            made_by=MadeBy("fake", "0"),
        ),
    )


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def stages(models: FakeModels) -> Stages:
    settings = AppSettings(
        tagger={"batch": {"max_size": 2}},
        retriever={"batch": {"max_size": 2}},
        answerer={"max_new_tokens": 7},
    )
    return Stages(settings, models, models, models, bank(), models)


def test_each_photo_gets_what_was_seen_in_it(stages: Stages) -> None:
    seen = stages.see([photo(number) for number in range(5)])
    assert [each.caption for each in seen] == [f"photo {number}" for number in range(5)]
    assert [each.tags[0].label for each in seen] == [f"tag {number}" for number in range(5)]
    assert [each.print[0] for each in seen] == [0, 40, 80, 120, 160]


def test_the_tagger_gets_no_more_photos_at_a_time_than_in_the_app(
    stages: Stages, models: FakeModels
) -> None:
    stages.see([photo(number) for number in range(5)])
    assert models.batches == {"caption": [5], "tag": [2, 2, 1], "photos": [5]}


def test_a_question_that_is_asked_twice_is_embedded_once(
    stages: Stages, models: FakeModels
) -> None:
    seen = stages.see([photo(0)]) * len(QUESTIONS)
    found = stages.find(seen, QUESTIONS, 1, "question")
    assert [examples[0].id for examples in found] == ["e0", "e1", "e2", "e1", "e0"]
    assert models.batches["texts"] == [2, 1]


def test_prompts_are_answered_in_order_by_one_run_of_the_model(
    stages: Stages, models: FakeModels
) -> None:
    prompts = [stages.prompt("a room", ["mug"], question, ()) for question in QUESTIONS]
    answers = stages.answer(prompts)
    assert [answer.splitlines()[-1] for answer in answers] == [
        f"Question: {question} 7" for question in QUESTIONS
    ]
    assert "a room" in answers[0]
    assert "mug" in answers[0]
    assert models.batches["complete"] == [5]


def test_an_answerer_that_costs_money_is_not_run_in_bulk(tmp_path: Path) -> None:
    parts = "\n".join(f"{part}: {{path: {part}}}" for part in ("captioner", "tagger", "clip"))
    (tmp_path / "bundle.yaml").write_text(
        f'name: far\nversion: "1"\n{parts}\nanswerer: {{openai: {{model: large}}}}\n'
    )
    with pytest.raises(BundleError, match="behind an API"):
        load_stages(AppSettings(bundle=str(tmp_path)), EngineSettings())


@pytest.mark.parametrize("module", ["serve.in_process", "serve.cli.ask", "evaluation.run"])
def test_what_runs_in_one_process_imports_no_ray(module: str) -> None:
    code = f"import sys, {module}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
