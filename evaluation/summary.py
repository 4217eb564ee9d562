"""Results as plain values, for the JSON file and the printed report."""

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.ablations import TRUE_CONTEXT, WHOLE
from evaluation.captions import precision_and_recall
from evaluation.dataset import has_new_combination
from evaluation.metrics import Score, share
from evaluation.run import Answers, Results

BARS = {
    "all": 0.90,
    "worst kind": 0.80,
    "caption precision": 0.90,
    "caption recall": 0.90,
    "tag F1": 0.85,
}
"""What a bundle is expected to reach on the whole chain."""

MISTAKES = 200
"""Most wrong answers that the JSON lists."""


def summarise(results: Results, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return every figure, with `about` (bundle, seeds, times) in front."""
    return {
        **about,
        "machine": platform.processor() or platform.machine(),
        "scenes": len(results.dataset.scenes),
        "questions": len(results.dataset.cases),
        "bars": BARS,
        "stages": _stages(results),
        "answers": {a.condition.name: _of_condition(results, a) for a in results.answers},
        "new combinations": _new_combinations(results),
        "lost": _lost(results),
        "mistakes": _mistakes(results),
    }


def _stages(results: Results) -> dict[str, Any]:
    retrieval = results.retrieval
    scores = {
        "caption precision": results.captions["precision"],
        "caption recall": results.captions["recall"],
        "caption word for word": results.captions["exact"],
        "tag F1": results.tags,
        "retriever recall@16": retrieval.recall,
        "retriever first is relevant": retrieval.first,
        **results.matching,
    }
    return {
        **{name: score.as_json() for name, score in scores.items()},
        "retriever recall@16 by chance": round(retrieval.chance, 4),
        "questions with a relevant example": round(retrieval.answerable, 4),
        "matching by chance, first 1": round(1 / len(results.dataset.scenes), 4),
        "caption F1 by attribute": _as_json(results.attributes),
    }


def _of_condition(results: Results, answers: Answers) -> dict[str, Any]:
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for case, right in zip(results.dataset.cases, answers.right, strict=True):
        by_kind[case.question.kind].append(right)
    kinds = {kind: share(rights) for kind, rights in by_kind.items()}
    worst = min(kinds, key=lambda kind: kinds[kind].value)
    return {
        "overall": share(answers.right).as_json(),
        "worst kind": {"kind": worst, **kinds[worst].as_json()},
        "kinds": _as_json(kinds),
    }


def _new_combinations(results: Results) -> dict[str, Any]:
    """Return answers and captions of scenes with, and without, a pair that training never had."""
    scenes = results.dataset.scenes
    new = [has_new_combination(scene) for scene in scenes]
    whole = results.of(WHOLE)
    groups = {}
    for name, wanted in (("with", True), ("without", False)):
        places = [place for place, is_new in enumerate(new) if is_new is wanted]
        rights = [
            right
            for case, right in zip(results.dataset.cases, whole.right, strict=True)
            if new[case.scene] is wanted
        ]
        precision, recall = precision_and_recall(
            [results.seen[place].caption for place in places], [scenes[place] for place in places]
        )
        groups[name] = _as_json(
            {"answers": share(rights), "caption precision": precision, "caption recall": recall}
        )
    return groups


def _lost(results: Results) -> dict[str, int]:
    """Return where wrong answers were lost: would true caption and tags have mended them?"""
    pairs = list(zip(results.of(WHOLE).right, results.of(TRUE_CONTEXT).right, strict=True))
    return {
        "in caption or tags": sum(true and not whole for whole, true in pairs),
        "in examples or answerer": sum(not true and not whole for whole, true in pairs),
    }


def _mistakes(results: Results) -> Sequence[Mapping[str, str]]:
    whole = results.of(WHOLE)
    mended = results.of(TRUE_CONTEXT).right
    mistakes = [
        {
            "scene": str(results.dataset.scenes[case.scene].seed),
            "kind": case.question.kind,
            "question": case.question.question,
            "truth": case.question.answer,
            "answer": text,
            "caption": results.seen[case.scene].caption,
            "tags": ", ".join(tag.label for tag in results.seen[case.scene].tags),
            "lost": "in caption or tags" if would else "in examples or answerer",
        }
        for case, text, right, would in zip(
            results.dataset.cases, whole.texts, whole.right, mended, strict=True
        )
        if not right
    ]
    return mistakes[:MISTAKES]


def _as_json(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score.as_json() for name, score in scores.items()}
