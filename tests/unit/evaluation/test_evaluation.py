import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import StringIO
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bank.build import Solved, build
from bank.examples import Example
from bank.fingerprints import fingerprint
from bank.index import ExampleBank
from bank.vectors import MadeBy
from deployments.assembler import describe
from evaluation.ablations import ALL, TRUE_CONTEXT, WHOLE, Condition
from evaluation.dataset import Dataset, has_new_combination, held_out
from evaluation.report import print_report
from evaluation.run import Results, evaluate
from evaluation.summary import summarise
from evaluation.topics import topic
from models.chat import Completion, Turn
from models.pixels import Rgb
from models.tagging import Tag
from serve.in_process import Stages
from serve.settings import AppSettings
from training.drawing import draw
from training.questions import ask
from training.scenes import Scene, Split, canonical_caption, sample_scene, tags

SCENES = 4
KINDS_THAT_NEED_EXAMPLES = {"owner", "room"}


@cache
def photo_of(scene: Scene) -> Rgb:
    return np.asarray(draw(scene))


@cache
def prints_of(scenes: tuple[Scene, ...]) -> NDArray[np.int64]:
    return np.stack([fingerprint(photo_of(scene)) for scene in scenes]).astype(np.int64)


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


@dataclass
class KnowsTheScenes:
    """Captioner, tagger and CLIP that recognise a photo of the data set and tell the truth."""

    scenes: tuple[Scene, ...]
    blind: bool = False

    def _scene(self, photo: Rgb) -> Scene:
        nearest = np.abs(prints_of(self.scenes) - fingerprint(photo)).mean(axis=1).argmin()
        return self.scenes[int(nearest)]

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        return [
            "a person." if self.blind else canonical_caption(self._scene(photo)) for photo in photos
        ]

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        raise NotImplementedError

    def tag(self, photos: Sequence[Rgb]) -> list[tuple[Tag, ...]]:
        return [
            tuple(Tag(label, 0.9, box) for label, box in tags(self._scene(photo)))
            for photo in photos
        ]

    def embed_photos(self, photos: Sequence[Rgb]) -> NDArray[np.float32]:
        return self.embed_texts(self.caption(photos))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        about = [str(topic(text, "")) if "?" in text else text for text in texts]
        rows = [np.random.default_rng(list(text.encode())).standard_normal(16) for text in about]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


class KnowsTheAnswers:
    """Answers right where the prompt ends with a true context, and examples where they matter."""

    def __init__(self, dataset: Dataset) -> None:
        self.asked = 0
        self._answers = {}
        for case in dataset.cases:
            scene = dataset.scenes[case.scene]
            labels = [label for label, _ in tags(scene)]
            for text in (case.question.question, case.typed):
                own = describe(canonical_caption(scene), labels, text)
                self._answers[own] = (case.question.kind, case.question.answer)

    def complete(self, chats: Sequence[Sequence[Turn]], *, max_new_tokens: int) -> list[Completion]:
        self.asked += len(chats)
        return [Completion(self._answer(chat), 1, 1) for chat in chats]

    def count_tokens(self, chat: Sequence[Turn]) -> int:
        raise NotImplementedError

    def _answer(self, chat: Sequence[Turn]) -> str:
        kind, answer = self._answers.get(chat[-1]["content"], ("", "unknown"))
        if kind in KINDS_THAT_NEED_EXAMPLES and len(chat) < 4:
            return "unknown"
        return answer.upper()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return held_out(SCENES, seed=3)


@pytest.fixture(scope="module")
def bank(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ExampleBank:
    random, rows = Random(0), []
    for seed in range(12):
        scene = sample_scene(seed, "train")
        for kind in ("count_people", "room", "presence"):
            question = ask(kind, scene, random)
            assert question is not None
            caption, labels = canonical_caption(scene), tuple(label for label, _ in tags(scene))
            example = Example(f"{seed}-{kind}", caption, labels, question.question, question.answer)
            rows.append(Solved(example))
    out = tmp_path_factory.mktemp("bank")
    build(rows, KnowsTheScenes(dataset.scenes), out, made_by=MadeBy("fake", "0"))
    return ExampleBank.load(out)


def results_of(
    dataset: Dataset, bank: ExampleBank, conditions: Sequence[Condition], *, blind: bool = False
) -> Results:
    eyes = KnowsTheScenes(dataset.scenes, blind=blind)
    stages = Stages(AppSettings(), eyes, eyes, eyes, bank, KnowsTheAnswers(dataset))
    return evaluate(dataset, stages, conditions, n_shot=4, progress=quiet)


@pytest.fixture(scope="module")
def perfect(dataset: Dataset, bank: ExampleBank) -> Results:
    return results_of(dataset, bank, ALL)


def share_right(results: Results, condition: Condition) -> float:
    right = results.of(condition).right
    return sum(right) / len(right)


def test_a_perfect_bundle_scores_one_everywhere(perfect: Results) -> None:
    assert share_right(perfect, WHOLE) == 1
    assert share_right(perfect, TRUE_CONTEXT) == 1
    assert [perfect.captions[name].value for name in ("precision", "recall", "exact")] == [1, 1, 1]
    assert perfect.tags.value == 1
    assert {score.value for score in perfect.attributes.values()} == {1}
    assert perfect.matching["image to caption, first 1"].value == 1


def test_every_ablation_takes_its_part_out_of_the_prompt(perfect: Results) -> None:
    named = {answers.condition.name: answers for answers in perfect.answers}
    need = [case.question.kind in KINDS_THAT_NEED_EXAMPLES for case in perfect.dataset.cases]

    assert set(named) == {condition.name for condition in ALL}
    assert any(need)
    for name in ("no caption", "no tags", "question only"):
        assert not any(named[name].right), name
    assert list(named["no examples"].right) == [not needs for needs in need]
    assert all(named["random examples"].right)
    assert all(named["as people type"].right)


def test_a_blind_captioner_is_found_out_and_true_captions_mend_the_answers(
    dataset: Dataset, bank: ExampleBank
) -> None:
    results = results_of(dataset, bank, (WHOLE, TRUE_CONTEXT), blind=True)

    summary = summarise(results, {})

    assert share_right(results, WHOLE) == 0
    assert share_right(results, TRUE_CONTEXT) == 1
    assert results.captions["recall"].value < 0.2
    assert summary["lost"] == {
        "in caption or tags": len(dataset.cases),
        "in examples or answerer": 0,
    }
    assert summary["mistakes"][0]["truth"] == dataset.cases[0].question.answer


def test_retrieval_is_scored_on_the_questions_that_the_bank_has_examples_for(
    perfect: Results,
) -> None:
    retrieval = perfect.retrieval

    assert 0 < retrieval.answerable < 1
    assert retrieval.recall.value > retrieval.chance
    assert retrieval.chance == pytest.approx(16 / 36, abs=1e-6)
    assert retrieval.first.value == 1


def test_the_summary_is_json_and_the_report_names_every_kind_and_condition(
    perfect: Results,
) -> None:
    about = {"bundle": "fake", "n_shot": 4, "seed": 3, "took_s": 1.0}
    summary = json.loads(json.dumps(summarise(perfect, about)))
    text = StringIO()

    print_report(summary, Console(width=220, file=text))

    printed = text.getvalue()
    assert all(condition.name in printed for condition in ALL)
    assert all(kind in printed for kind in summary["answers"]["whole chain"]["kinds"])
    assert summary["answers"]["whole chain"]["overall"]["value"] == 1
    assert summary["answers"]["question only"]["worst kind"]["value"] == 0


def test_the_same_seed_asks_the_same_and_another_seed_asks_otherwise() -> None:
    assert held_out(5, 0) == held_out(5, 0)
    assert held_out(5, 0).scenes == held_out(5, 1).scenes
    assert held_out(5, 0).cases != held_out(5, 1).cases


def test_training_scenes_never_show_a_held_out_pair_and_test_scenes_do() -> None:
    def new(split: Split) -> int:
        return sum(has_new_combination(sample_scene(seed, split)) for seed in range(300))

    assert new("train") == 0
    assert new("test") > 10
