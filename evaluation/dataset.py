"""The held-out scenes and questions: scenes of the split "test", which nothing was trained on."""

from dataclasses import dataclass
from random import Random

from training.questions import Question, as_typed, questions
from training.scenes import HELD_OUT_CLOTHES, HELD_OUT_THINGS, Scene, sample_scene


@dataclass(frozen=True, slots=True)
class Case:
    """One question about the scene at place `scene`, also as a person may type it."""

    scene: int
    question: Question
    typed: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Scenes, and one question of every kind that each allows."""

    scenes: tuple[Scene, ...]
    cases: tuple[Case, ...]


def held_out(count: int, seed: int) -> Dataset:
    """Return `count` test scenes; `seed` chooses the questions that are asked of them."""
    scenes = tuple(sample_scene(number, "test") for number in range(count))
    random = Random(f"evaluation:{seed}")
    cases = tuple(
        Case(place, question, as_typed(question.question, random))
        for place, scene in enumerate(scenes)
        for question in questions(scene, random)
    )
    return Dataset(scenes, cases)


def has_new_combination(scene: Scene) -> bool:
    """Return whether the scene shows a pair of attributes that training never showed."""
    things = {(thing.label, thing.colour) for thing in scene.things}
    clothes = {(person.shirt, person.hat or "") for person in scene.people}
    return bool(things & HELD_OUT_THINGS or clothes & HELD_OUT_CLOTHES)
