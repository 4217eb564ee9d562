"""The fourteen kinds of question: each answer is the truth of its scene."""

from collections import Counter
from random import Random

import pytest

from training.questions import (
    KINDS,
    KNOWLEDGE,
    NOTHING,
    NUMBERS,
    OWNER_NAMES,
    OWNERS,
    STRANGERS,
    Question,
    as_typed,
    ask,
    questions,
)
from training.scenes import LABELS, THINGS, Person, Scene, Thing, sample_scene, tags


def person(**changes: object) -> Person:
    fields: dict[str, object] = {
        "hair": "black", "hair_style": "short", "skin": "tan", "shirt": "red", "glasses": False,
        "hat": None, "hand_raised": False, "box": (40.0, 200.0, 200.0, 470.0),
    }  # fmt: skip
    return Person(**{**fields, **changes})  # type: ignore[arg-type]


SCENE = Scene(
    seed=1,
    split="test",
    room="library",
    people=(
        person(hair="brown", shirt="green", glasses=True, hat="blue"),
        person(hand_raised=True, glasses=True, box=(400.0, 200.0, 560.0, 470.0)),
    ),
    things=(
        Thing("clock", "red", (200.0, 10.0, 300.0, 110.0)),
        Thing("mug", "blue", (300.0, 300.0, 400.0, 390.0)),
        Thing("plant", "black", (540.0, 20.0, 630.0, 130.0)),
    ),
)


def every_form(kind: str, scene: Scene = SCENE) -> dict[str, str]:
    """Question to answer, of all questions of the kind that this scene can be asked."""
    asked = [ask(kind, scene, Random(seed)) for seed in range(150)]
    return {question.question: question.answer for question in asked if question is not None}


@pytest.mark.parametrize(
    ("kind", "question", "answer"),
    [
        ("count_people", "how many people are there?", "two"),
        ("count_wearing", "how many people wear glasses?", "two"),
        ("count_wearing", "how many people are raising a hand?", "one"),
        ("thing_colour", "what colour is the mug?", "blue"),
        ("shirt_colour", "what colour is the shirt of the person on the right?", "red"),
        ("hat_colour", "what colour is the hat?", "blue"),
        ("hair_colour", "what colour is the hair of the person in the green shirt?", "brown"),
        ("who_wears", "who raises a hand?", "the person on the right"),
        ("who_wears", "who wears the blue hat?", "the person on the left"),
        ("beside", "what is directly to the right of the clock?", "mug"),
        ("beside", "what is directly to the left of the clock?", "person"),
        ("side", "is the clock to the left of the mug?", "yes"),
        ("side", "is the clock to the right of the plant?", "no"),
        ("presence", "is there a clock?", "yes"),
        ("presence", "is there an umbrella?", "no"),
        ("knowledge", "what here tells the time?", "clock"),
        ("knowledge", "which thing makes music?", NOTHING),
        ("owner", "whose mug is this?", OWNERS["mug"]),
        ("room", "which room is this?", "library"),
    ],
)
def test_a_question_has_the_answer_that_the_scene_shows(
    kind: str, question: str, answer: str
) -> None:
    assert every_form(kind)[question] == answer


def test_what_is_shared_by_two_people_is_not_asked_of_one() -> None:
    assert "who wears glasses?" not in every_form("who_wears")
    twins = Scene(1, "test", "hall", (person(), person()), ())
    assert ask("hair_colour", twins, Random(0)) is None
    assert ask("who_wears", twins, Random(0)) is None


def test_a_lone_person_is_not_told_from_others() -> None:
    alone = Scene(1, "test", "hall", (person(),), ())
    assert ask("who_wears", alone, Random(0)) is None
    assert set(every_form("shirt_colour", alone).values()) == {"red"}


def test_an_empty_room_is_asked_nothing_about_things() -> None:
    bare = Scene(1, "test", "hall", (person(),), ())
    kinds = {question.kind for question in questions(bare, Random(0))}
    assert kinds.isdisjoint({"thing_colour", "beside", "side", "missing", "owner"})
    assert set(every_form("presence", bare).values()) == {"no"}


def test_the_missing_thing_is_the_only_one_of_the_three_that_is_absent() -> None:
    forms = every_form("missing")
    assert forms
    for text, answer in forms.items():
        listed = text.split(": ")[1].removesuffix("?").split(", ")
        assert [label for label in listed if label not in ("clock", "mug", "plant")] == [answer]


def test_knowledge_is_asked_only_where_at_most_one_thing_fits() -> None:
    clock, phone = SCENE.things[0], Thing("phone", "red", (0,) * 4)

    def asks_for_the_time(*things: Thing) -> bool:
        scene = Scene(1, "test", "hall", (person(),), things)
        return any("tells the time" in text for text in every_form("knowledge", scene))

    assert asks_for_the_time(clock)
    assert not asks_for_the_time(clock, phone)


def test_neighbours_are_those_of_the_tags_from_left_to_right() -> None:
    checked = 0
    for seed in range(200):
        scene = sample_scene(seed, "validation")
        question = ask("beside", scene, Random(seed))
        if question is None:
            continue
        labels = [label for label, _ in tags(scene)]
        step = 1 if "right" in question.question else -1
        assert labels[labels.index(question.subject) + step] == question.answer
        checked += 1
    assert checked > 100


def test_every_kind_is_asked_and_its_answers_are_spread() -> None:
    asked: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for seed in range(300):
        for question in questions(sample_scene(seed, "train"), Random(seed)):
            asked[question.kind][question.answer] += 1
    for kind, answers in asked.items():
        assert answers.total() >= 75, kind
        commonest = answers.most_common(1)[0][1] / answers.total()
        assert commonest < 0.7, (kind, answers)


def test_questions_depend_only_on_scene_and_seed() -> None:
    scene = sample_scene(3, "test")
    assert questions(scene, Random(5)) == questions(scene, Random(5))


def test_answers_stay_within_the_words_of_the_world() -> None:
    assert set(OWNERS) == set(THINGS)
    assert set(OWNERS.values()) == set(OWNER_NAMES)
    assert {label for labels in KNOWLEDGE.values() for label in labels} == set(THINGS)
    assert not set(STRANGERS) & set(LABELS)
    assert {every_form("count_people")[text] for text in every_form("count_people")} <= set(NUMBERS)


def test_a_typed_question_means_the_same() -> None:
    question = Question("thing_colour", "what colour is the mug?", "blue", "mug").question
    forms = {as_typed(question, Random(seed)) for seed in range(100)}
    assert {"what color is the mug?", "What colour is the mug?", "what colour is the mug"} <= forms
    assert {form.lower().removesuffix("?").replace("color", "colour") for form in forms} == {
        "what colour is the mug"
    }
