"""One evaluation from beginning to end: look, retrieve, answer, score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bank.examples import Similarity
from deployments.messages import Example, Prompt
from evaluation.ablations import Condition
from evaluation.captions import by_attribute, precision_and_recall
from evaluation.dataset import Case, Dataset
from evaluation.metrics import Score, f1, is_right, matched_tags, share
from evaluation.retrieval import AT, RetrievalScores, score_matching, score_retrieval
from models.pixels import decode_jpeg
from serve.in_process import Seen, Stages
from training.drawing import draw_jpeg
from training.scenes import Scene, canonical_caption, tags

BATCH = 16

Retrieved = Sequence[tuple[Example, ...]]
"""For each question the examples found, most similar first."""
Progress = Callable[[str, int, int], None]
"""Called with the name of a step, the number done and the total."""


@dataclass(frozen=True)
class Answers:
    """Answers under one condition, in the order of the dataset's cases."""

    condition: Condition
    texts: tuple[str, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    dataset: Dataset
    seen: tuple[Seen, ...]
    answers: tuple[Answers, ...]
    captions: dict[str, Score]
    attributes: dict[str, Score]
    tags: Score
    retrieval: RetrievalScores
    matching: dict[str, Score]

    def of(self, condition: Condition) -> Answers:
        """Return the answers under a condition that was run."""
        return next(answers for answers in self.answers if answers.condition == condition)


def evaluate(
    dataset: Dataset,
    stages: Stages,
    conditions: Sequence[Condition],
    *,
    n_shot: int,
    progress: Progress,
) -> Results:
    """Answer every question of the dataset under every condition and score all stages."""
    seen = tuple(_see(dataset.scenes, stages, progress))
    exam = _Exam(dataset, stages, seen, n_shot, progress)
    similar = exam.retrieve(max(AT, n_shot))
    return Results(
        dataset=dataset,
        seen=seen,
        answers=tuple(exam.answer(condition, similar) for condition in conditions),
        captions=_score_captions(dataset, seen),
        attributes=by_attribute([one.caption for one in seen], dataset.scenes),
        tags=_score_tags(dataset, seen),
        retrieval=score_retrieval(
            [(case.question.kind, case.question.subject) for case in dataset.cases],
            similar,
            stages.bank,
        ),
        matching=score_matching(
            np.stack([one.vector for one in seen]),
            stages.clip.embed_texts([canonical_caption(scene) for scene in dataset.scenes]),
        ),
    )


@dataclass(frozen=True)
class _Exam:
    """The questions, and all that is the same for every condition."""

    dataset: Dataset
    stages: Stages
    seen: tuple[Seen, ...]
    n_shot: int
    progress: Progress

    def retrieve(self, k: int, *, typed: bool = False, random: bool = False) -> Retrieved:
        cases = self.dataset.cases
        photos = [self.seen[case.scene] for case in cases]
        questions = [case.typed if typed else case.question.question for case in cases]
        similarity: Similarity = "random" if random else "image_question"
        found = self.stages.find(photos, questions, k, similarity)
        self.progress(f"examples ({similarity})", len(found), len(cases))
        return found

    def answer(self, condition: Condition, similar: Retrieved) -> Answers:
        cases = self.dataset.cases
        prompts = [
            self._prompt(condition, case, examples[: self.n_shot])
            for case, examples in zip(cases, self._examples(condition, similar), strict=True)
        ]
        texts = self._answers(prompts, condition.name)
        right = (is_right(t, c.question.answer) for t, c in zip(texts, cases, strict=True))
        return Answers(condition, tuple(texts), tuple(right))

    def _examples(self, condition: Condition, similar: Retrieved) -> Retrieved:
        if condition.examples == "none":
            return [()] * len(similar)
        if condition.examples == "random" or condition.typed:
            random = condition.examples == "random"
            return self.retrieve(self.n_shot, typed=condition.typed, random=random)
        return similar

    def _prompt(self, condition: Condition, case: Case, examples: Sequence[Example]) -> Prompt:
        scene, seen = self.dataset.scenes[case.scene], self.seen[case.scene]
        captions = {"said": seen.caption, "true": canonical_caption(scene), "none": ""}
        labels = {
            "said": [tag.label for tag in seen.tags],
            "true": [label for label, _ in tags(scene)],
            "none": [],
        }
        question = case.typed if condition.typed else case.question.question
        return self.stages.prompt(
            captions[condition.caption], labels[condition.tags], question, examples
        )

    def _answers(self, prompts: Sequence[Prompt], name: str) -> list[str]:
        """Return the answer to each prompt, in order; prompts of like length run together."""
        by_length = sorted(range(len(prompts)), key=lambda place: _length(prompts[place]))
        answers = [""] * len(prompts)
        for start in range(0, len(prompts), BATCH):
            places = by_length[start : start + BATCH]
            texts = self.stages.answer([prompts[place] for place in places])
            for place, text in zip(places, texts, strict=True):
                answers[place] = text
            self.progress(name, start + len(places), len(prompts))
        return answers


def _length(prompt: Prompt) -> int:
    return sum(len(message.content) for message in prompt.messages)


def _see(scenes: Sequence[Scene], stages: Stages, progress: Progress) -> list[Seen]:
    """Return the results of the stages for each scene's photo, drawn a batch at a time."""
    seen: list[Seen] = []
    for start in range(0, len(scenes), BATCH):
        photos = [decode_jpeg(draw_jpeg(scene)) for scene in scenes[start : start + BATCH]]
        seen += stages.see(photos)
        progress("photos", len(seen), len(scenes))
    return seen


def _score_captions(dataset: Dataset, seen: Sequence[Seen]) -> dict[str, Score]:
    said = [one.caption for one in seen]
    precision, recall = precision_and_recall(said, dataset.scenes)
    exact = [one == canonical_caption(s) for one, s in zip(said, dataset.scenes, strict=True)]
    return {"precision": precision, "recall": recall, "exact": share(exact)}


def _score_tags(dataset: Dataset, seen: Sequence[Seen]) -> Score:
    truths = [tags(scene) for scene in dataset.scenes]
    return f1(
        [matched_tags(one.tags, true) for one, true in zip(seen, truths, strict=True)],
        [len(one.tags) for one in seen],
        [len(true) for true in truths],
    )
