from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank.answers import normalise_answer
from evaluation.captions import (
    by_attribute,
    facts_of_caption,
    facts_of_scene,
    precision_and_recall,
)
from evaluation.metrics import (
    f1,
    iou,
    is_right,
    matched_tags,
    ranks_of_own,
    ratio,
    share,
)
from evaluation.topics import topic
from models.tagging import Tag
from training.questions import as_typed, questions
from training.scenes import canonical_caption, sample_scene

BOX = (100.0, 100.0, 200.0, 200.0)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("Red.", "red"),
        ("The person on the left", "person on the left"),
        ("2", "two"),
        (" none ", "0"),
        ("on the left,  the person", "on left person"),
    ],
)
def test_case_punctuation_articles_and_digits_do_not_make_an_answer_wrong(
    answer: str, truth: str
) -> None:
    assert is_right(answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("red shirt", "red"),
        ("", "red"),
        ("no", "none"),
        ("left", "the person on the left"),
        ("2", "3"),
    ],
)
def test_an_answer_that_says_more_less_or_else_is_wrong(answer: str, truth: str) -> None:
    assert not is_right(answer, truth)


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise_answer(normalise_answer(text)) == normalise_answer(text)


def test_a_score_is_the_mean_within_an_interval_that_narrows_with_cases() -> None:
    few, many = share([True] * 7 + [False] * 3), share([True] * 700 + [False] * 300)

    assert few.value == many.value == 0.7
    assert few.low < many.low < 0.7 < many.high < few.high
    assert (few.count, many.count) == (10, 1000)
    assert many.high - many.low == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 1000) ** 0.5, rel=0.15)


def test_a_score_of_nothing_is_zero_and_knows_nothing() -> None:
    nothing = ratio([], [])

    assert (nothing.value, nothing.low, nothing.high, nothing.count) == (0, 0, 1, 0)


def test_overlap_is_intersection_over_union() -> None:
    assert iou(BOX, BOX) == 1
    assert iou(BOX, (150, 100, 250, 200)) == pytest.approx(1 / 3)
    assert iou(BOX, (200, 100, 300, 200)) == 0


def test_a_true_box_is_matched_once_by_its_own_label_only() -> None:
    truth = [("mug", BOX), ("cat", BOX)]
    found = [Tag("mug", 0.9, BOX), Tag("mug", 0.8, BOX), Tag("dog", 0.9, BOX)]

    assert matched_tags(found, truth) == 1
    assert matched_tags([Tag("mug", 0.9, (160, 100, 260, 200))], truth) == 0


def test_of_two_true_boxes_the_tag_takes_the_nearer() -> None:
    near, far = (100.0, 100.0, 200.0, 200.0), (130.0, 100.0, 230.0, 200.0)
    found = [Tag("mug", 0.9, near), Tag("mug", 0.8, far)]

    assert matched_tags(found, [("mug", far), ("mug", near)]) == 2


def test_f1_counts_what_was_found_and_what_is_there_over_all_photos() -> None:
    assert f1([1, 2], [2, 2], [1, 3]).value == pytest.approx(2 * 3 / 8)


def test_ties_count_against_the_ranking() -> None:
    same = np.ones((4, 4), np.float32)
    right = np.eye(4, dtype=np.float32)

    assert ranks_of_own(same).tolist() == [4, 4, 4, 4]
    assert ranks_of_own(right).tolist() == [1, 1, 1, 1]


def test_a_perfect_caption_claims_exactly_the_facts_of_its_scene() -> None:
    scenes = [sample_scene(seed, "test") for seed in range(300)]

    for scene in scenes:
        assert facts_of_caption(canonical_caption(scene)) == facts_of_scene(scene)
    assert {len(scene.people) for scene in scenes} == {1, 2, 3}


def test_facts_name_the_place_of_a_person_and_the_colour_of_a_thing() -> None:
    caption = (
        "on the left, a person with black hair in a red shirt with glasses and a blue hat;"
        " on the right, a person with gray hair in a green shirt raising a hand."
        " there is a red mug."
    )

    assert facts_of_caption(caption) == Counter(
        [
            ("people", "2"),
            ("on the left", "hair", "black"),
            ("on the left", "shirt", "red"),
            ("on the left", "hat", "blue"),
            ("on the left", "glasses"),
            ("on the right", "hair", "gray"),
            ("on the right", "shirt", "green"),
            ("on the right", "hand"),
            ("thing", "mug"),
            ("colour", "mug", "red"),
        ]
    )


def scene_with(things: int):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return next(
        scene
        for scene in (sample_scene(seed, "test") for seed in range(100))
        if len(scene.things) == things and len(scene.people) == 1
    )


def test_a_caption_is_charged_for_what_it_invents_and_for_what_it_leaves_out() -> None:
    scene = scene_with(2)
    truth = canonical_caption(scene)
    facts = facts_of_scene(scene).total()
    invented = truth.removesuffix(".") + ", a pink elephant."
    silent = truth.partition(" there is")[0]

    assert [score.value for score in precision_and_recall([truth], [scene])] == [1, 1]
    precision, recall = precision_and_recall([invented], [scene])
    assert (precision.value, recall.value) == (facts / (facts + 2), 1)
    precision, recall = precision_and_recall([silent], [scene])
    assert (precision.value, recall.value) == (1, (facts - 4) / facts)
    precision, recall = precision_and_recall([""], [scene])
    assert (precision.value, recall.value) == (0, 0)


def test_the_same_claim_twice_is_wrong_once() -> None:
    assert facts_of_caption("a person. there is a red mug, a red mug.")[("thing", "mug")] == 2


def test_an_attribute_is_scored_apart_from_the_others() -> None:
    scene = scene_with(1)
    (thing,) = scene.things
    wrong = canonical_caption(scene).replace(f"{thing.colour} {thing.label}", f"pink {thing.label}")

    scores = by_attribute([wrong], [scene])

    assert (scores["thing"].value, scores["colour"].value) == (1, 0)


def test_the_topic_of_every_question_can_be_read_from_its_text() -> None:
    random = Random(0)
    asked = [
        question
        for seed in range(200)
        for question in questions(sample_scene(seed, "test"), random)
    ]

    for question in asked:
        typed = as_typed(question.question, random)
        assert topic(typed, question.answer) == (question.kind, question.subject), typed
    assert len({question.kind for question in asked}) == 14


def test_a_question_of_another_world_has_no_topic() -> None:
    assert topic("what am I holding?", "a cup") is None
