"""One evaluation from beginning to end: look, retrieve, answer, score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deployments.assembler import assemble
from deployments.messages import Example, Prompt
from deployments.settings import AssemblerSettings
from evaluation import chain
from evaluation.ablations import Condition
from evaluation.captions import by_attribute, precision_and_recall
from evaluation.chain import Asked, Models, Progress, Seen
from evaluation.dataset import Case, Dataset
from evaluation.metrics import Score, f1, is_right, matched_tags, share
from evaluation.retrieval import AT, RetrievalScores, score_matching, score_retrieval
from training.drawing import draw_jpeg
from training.scenes import canonical_caption, tags


@dataclass(frozen=True)
class Answers:
    """What was answered under one condition, in the order of the dataset's cases."""

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
    models: Models,
    conditions: Sequence[Condition],
    *,
    n_shot: int,
    progress: Progress,
) -> Results:
    """Answer every question of the dataset under every condition and score all stages."""
    photos = [partial(draw_jpeg, scene) for scene in dataset.scenes]
    seen = tuple(chain.look_at(photos, models, progress))
    exam = _Exam(dataset, models, seen, n_shot, progress)
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
            models.bank,
        ),
        matching=score_matching(
            np.stack([one.vector for one in seen]),
            models.clip.embed_texts([canonical_caption(scene) for scene in dataset.scenes]),
        ),
    )


@dataclass(frozen=True)
class _Exam:
    """The questions and all that does not change from condition to condition."""

    dataset: Dataset
    models: Models
    seen: tuple[Seen, ...]
    n_shot: int
    progress: Progress

    def retrieve(self, k: int, *, typed: bool = False, random: bool = False) -> chain.Retrieved:
        cases = self.dataset.cases
        asked = [Asked(c.scene, c.typed if typed else c.question.question) for c in cases]
        similarity = chain.RANDOM if random else chain.BY_IMAGE_AND_QUESTION
        return chain.retrieve(asked, self.seen, self.models, k, self.progress, similarity)

    def answer(self, condition: Condition, similar: chain.Retrieved) -> Answers:
        cases = self.dataset.cases
        prompts = [
            self._prompt(condition, case, examples[: self.n_shot])
            for case, examples in zip(cases, self._examples(condition, similar), strict=True)
        ]
        texts = chain.answer(prompts, self.models.chat, condition.name, self.progress)
        right = (is_right(t, c.question.answer) for t, c in zip(texts, cases, strict=True))
        return Answers(condition, tuple(texts), tuple(right))

    def _examples(self, condition: Condition, similar: chain.Retrieved) -> chain.Retrieved:
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
        return assemble(
            AssemblerSettings(),
            caption=captions[condition.caption],
            tags=labels[condition.tags],
            question=case.typed if condition.typed else case.question.question,
            examples=examples,
        )


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
