"""What a caption claims, as facts that are each true or false of a scene.

    people 2 . on the left: hair brown . on the left: hat red . thing mug . mug is blue

A person's facts belong to a place, so a hat on the wrong head is one fact too many and one too
few. What a caption leaves out (no hat, no glasses) is no fact: saying nothing cannot raise
precision.
"""

import re
from collections import Counter
from collections.abc import Sequence

from evaluation.metrics import Score, ratio
from training.scenes import Person, Scene

Fact = tuple[str, ...]

_PLACES = ("on the left", "in the middle", "on the right")
_WORN = {"hair": r"(\w+) hair\b", "shirt": r"(\w+) shirt\b", "hat": r"(\w+) hat\b"}
_MARKS = {"glasses": r"\bglasses\b", "hand": r"\brais\w+ (?:a|one) hand\b"}


def facts_of_scene(scene: Scene) -> Counter[Fact]:
    """Return all that a perfect caption says of the scene."""
    places = {1: ("",), 2: (_PLACES[0], _PLACES[2])}.get(len(scene.people), _PLACES)
    facts: Counter[Fact] = Counter([("people", str(len(scene.people)))])
    for place, person in zip(places, scene.people, strict=True):
        facts.update((place, *fact) for fact in _facts_of_person(person))
    for thing in scene.things:
        facts.update([("thing", thing.label), ("colour", thing.label, thing.colour)])
    return facts


def _facts_of_person(person: Person) -> list[Fact]:
    facts: list[Fact] = [("hair", person.hair), ("shirt", person.shirt)]
    facts += [("hat", person.hat)] if person.hat else []
    facts += [("glasses",)] if person.glasses else []
    return facts + ([("hand",)] if person.hand_raised else [])


def facts_of_caption(caption: str) -> Counter[Fact]:
    """Return all that the caption claims; the same claim twice counts twice."""
    people, _, things = caption.casefold().partition("there is")
    described = [part for part in people.split(";") if "person" in part]
    facts: Counter[Fact] = Counter([("people", str(len(described)))] if described else [])
    for part in described:
        facts.update(_claims_of_person(part))
    for colour, label in re.findall(r"\ban? (\w+) (\w+)", things):
        facts.update([("thing", label), ("colour", label, colour)])
    return facts


def _claims_of_person(part: str) -> list[Fact]:
    place = next((place for place in _PLACES if place in part), "")
    claims: list[Fact] = [
        (place, name, value) for name, form in _WORN.items() for value in re.findall(form, part)
    ]
    return claims + [(place, name) for name, form in _MARKS.items() if re.search(form, part)]


def precision_and_recall(captions: Sequence[str], scenes: Sequence[Scene]) -> tuple[Score, Score]:
    """Return the shares of claimed facts that are true and of true facts that are claimed."""
    claimed = [facts_of_caption(caption) for caption in captions]
    true = [facts_of_scene(scene) for scene in scenes]
    right = [(one & other).total() for one, other in zip(claimed, true, strict=True)]
    return (
        ratio(right, [facts.total() for facts in claimed]),
        ratio(right, [facts.total() for facts in true]),
    )


def by_attribute(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[str, Score]:
    """Return for each kind of fact the share of claimed and true facts that agree (F1)."""
    counts: dict[str, tuple[list[float], list[float]]] = {}
    for caption, scene in zip(captions, scenes, strict=True):
        claimed, true = facts_of_caption(caption), facts_of_scene(scene)
        for name in {_attribute(fact) for fact in claimed | true}:
            one, other = _only(claimed, name), _only(true, name)
            parts, wholes = counts.setdefault(name, ([], []))
            parts.append(2 * (one & other).total())
            wholes.append(one.total() + other.total())
    return {name: ratio(*counts[name]) for name in sorted(counts)}


def _only(facts: Counter[Fact], attribute: str) -> Counter[Fact]:
    return Counter({fact: n for fact, n in facts.items() if _attribute(fact) == attribute})


def _attribute(fact: Fact) -> str:
    return fact[0] if fact[0] in {"people", "thing", "colour"} else fact[1]
