"""The fourteen kinds of question that can be asked about a scene, with their true answers.

Two kinds cannot be answered from the scene's caption and tags alone: who owns a thing (`OWNERS`,
known only to the solved examples) and which room it is (told by the walls, so by similar photos).
All text is lower case; `as_typed` gives the forms that people type.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from training.scenes import COLOURS, HAIR_COLOURS, THINGS, Person, Scene, tags

OWNER_NAMES = ("anna", "ben", "carla", "david", "emma", "felix", "grace", "hugo")
OWNERS = {label: OWNER_NAMES[(5 * i + 2) % len(OWNER_NAMES)] for i, label in enumerate(THINGS)}
"""The household that the example bank and the test questions share."""

T = TypeVar("T")

UNKNOWN, NOTHING = "unknown", "nothing"
NUMBERS = ("none", "one", "two", "three")
SIDES = {1: ("",), 2: ("on the left", "on the right"),
         3: ("on the left", "in the middle", "on the right")}  # fmt: skip
STRANGERS = (
    "dog", "horse", "car", "table", "bed", "sofa", "television", "door", "mirror", "shoe", "bird",
    "fish", "tree", "flower", "camera", "piano", "drum", "violin", "knife", "fork", "plate",
    "spoon", "bowl", "pizza", "cake", "banana", "apple", "truck", "train", "bus", "boat", "kite",
    "bag", "box", "candle", "carpet", "shelf", "pillow", "pen", "keyboard",
)  # fmt: skip
"""Nouns that no scene holds, so that asking for one is answered with "no"."""

KNOWLEDGE = {
    "tells the time": ("clock", "phone"),
    "can be used to drink": ("mug", "bottle"),
    "gives light": ("lamp", "window"),
    "can be read": ("book", "laptop"),
    "is alive": ("plant", "cat"),
    "is used for sport": ("ball", "bicycle"),
    "makes music": ("guitar",),
    "keeps the rain off": ("umbrella",),
    "is made to sit on": ("chair",),
    "is only decoration": ("picture",),
}
"""Outside knowledge, in the spirit of OK-VQA: a property and the things that have it."""


@dataclass(frozen=True)
class Question:
    """`subject` is what the question turns on: a label, a place, a feature."""

    kind: str
    question: str
    answer: str
    subject: str


def questions(scene: Scene, rng: Random) -> list[Question]:
    """Return one question of each kind that this scene allows, in the order of `KINDS`."""
    found = [ask(kind, scene, rng) for kind in KINDS]
    return [question for question in found if question is not None]


def ask(kind: str, scene: Scene, rng: Random) -> Question | None:
    """Return a question of this kind, its answers balanced as far as the scene allows, or None."""
    return KINDS[kind](scene, rng)


def as_typed(question: str, rng: Random) -> str:
    """Return the question as users type it: American spelling, a capital, no question mark."""
    if rng.random() < 0.35:
        question = question.replace("colour", "color")
    if rng.random() < 0.25:
        question = question.removesuffix("?")
    return question[0].upper() + question[1:] if rng.random() < 0.3 else question


def article(noun: str) -> str:
    """Return the noun with `a` or `an`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _count_people(scene: Scene, rng: Random) -> Question:
    text = rng.choice(
        (
            "how many people are there?",
            "how many people are in the room?",
            "how many people do you see?",
        )
    )
    return Question("count_people", text, NUMBERS[len(scene.people)], "people")


_COUNTED: dict[str, tuple[tuple[str, ...], Callable[[Person], bool]]] = {
    "hat": (("wear a hat", "are wearing a hat"), lambda person: person.hat is not None),
    "glasses": (("wear glasses", "are wearing glasses"), lambda person: person.glasses),
    "hand": (("raise a hand", "are raising a hand"), lambda person: person.hand_raised),
}


def _count_wearing(scene: Scene, rng: Random) -> Question:
    subject = rng.choice(tuple(_COUNTED))
    verbs, holds = _COUNTED[subject]
    count = sum(map(holds, scene.people))
    text = f"how many people {rng.choice(verbs)}?"
    return Question("count_wearing", text, NUMBERS[count], subject)


def _thing_colour(scene: Scene, rng: Random) -> Question | None:
    if not scene.things:
        return None
    thing = rng.choice(scene.things)
    text = rng.choice(("what colour is the {}?", "which colour is the {}?"))
    return Question("thing_colour", text.format(thing.label), thing.colour, thing.label)


def _shirt_colour(scene: Scene, rng: Random) -> Question:
    sides = SIDES[len(scene.people)]
    index = rng.randrange(len(sides))
    if len(sides) == 1:
        text = rng.choice(("what colour is the shirt?", "which colour is the shirt?"))
        return Question("shirt_colour", text, scene.people[0].shirt, "alone")
    text = rng.choice(
        (
            "what colour is the shirt of the person {}?",
            "which shirt colour does the person {} wear?",
        )
    )
    side = sides[index]
    return Question("shirt_colour", text.format(side), scene.people[index].shirt, side)


def _hat_colour(scene: Scene, rng: Random) -> Question | None:
    hats = [person.hat for person in scene.people if person.hat]
    if len(hats) != 1:
        return None
    text = rng.choice(("what colour is the hat?", "which colour is the hat?"))
    return Question("hat_colour", text, hats[0], "hat")


def _hair_colour(scene: Scene, rng: Random) -> Question | None:
    unique = _unique((person.shirt, person) for person in scene.people)
    if not unique:
        return None
    shirt, person = rng.choice(unique)
    text = rng.choice(
        (
            "what colour is the hair of the person in the {} shirt?",
            "which hair colour does the person in the {} shirt have?",
        )
    )
    return Question("hair_colour", text.format(shirt), person.hair, shirt)


def _who_wears(scene: Scene, rng: Random) -> Question | None:
    if len(scene.people) < 2:
        return None
    places = [f"the person {side}" for side in SIDES[len(scene.people)]]
    unique = _unique(
        (feature, place)
        for person, place in zip(scene.people, places, strict=True)
        for feature in _features(person)
    )
    if not unique:
        return None
    feature, place = rng.choice(unique)
    return Question("who_wears", f"who {feature}?", place, feature)


def _features(person: Person) -> list[str]:
    features = [f"wears the {person.shirt} shirt", f"has {person.hair} hair"]
    features += ["wears glasses"] * 2 if person.glasses else []
    features += ["wears a hat", f"wears the {person.hat} hat"] if person.hat else []
    features += ["raises a hand"] * 2 if person.hand_raised else []
    return list(dict.fromkeys(features))


def _unique(pairs: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
    """Return the pairs whose first part occurs once."""
    all_pairs = list(pairs)
    firsts = [first for first, _ in all_pairs]
    return [pair for pair in all_pairs if firsts.count(pair[0]) == 1]


def _beside(scene: Scene, rng: Random) -> Question | None:
    labels = [label for label, _ in tags(scene)]
    pairs = [
        (labels[i], side, labels[j])
        for i in range(len(labels))
        for side, j in (("right", i + 1), ("left", i - 1))
        if labels[i] != "person" and 0 <= j < len(labels)
    ]
    if not pairs:
        return None
    subject, side, neighbour = _balanced(pairs, lambda pair: pair[2] == "person", rng)
    text = rng.choice(
        ("what is directly to the {} of the {}?", "what stands directly to the {} of the {}?")
    )
    return Question("beside", text.format(side, subject), neighbour, subject)


def _side(scene: Scene, rng: Random) -> Question | None:
    if len(scene.things) < 2:
        return None
    first, second = sorted(rng.sample(range(len(scene.things)), 2), key=lambda _: rng.random())
    side = rng.choice(("left", "right"))
    answer = "yes" if (first < second) == (side == "left") else "no"
    one, other = scene.things[first].label, scene.things[second].label
    text = f"is the {one} to the {side} of the {other}?"
    return Question("side", text, answer, one)


def _presence(scene: Scene, rng: Random) -> Question:
    here = [thing.label for thing in scene.things]
    if here and rng.random() < 0.5:
        noun, answer = rng.choice(here), "yes"
    else:
        absent = [label for label in THINGS if label not in here]
        noun = rng.choice(STRANGERS) if rng.random() < 0.15 else rng.choice(absent)
        answer = "no"
    text = rng.choice(("is there {}?", "is there {} in the room?", "do you see {}?"))
    return Question("presence", text.format(article(noun)), answer, noun)


def _missing(scene: Scene, rng: Random) -> Question | None:
    if len(scene.things) < 2:
        return None
    here = [thing.label for thing in scene.things]
    absent = rng.choice([label for label in THINGS if label not in here])
    listed = [absent, *rng.sample(here, 2)]
    rng.shuffle(listed)
    text = rng.choice(("which of these is missing: {}?", "which of these is not here: {}?"))
    return Question("missing", text.format(", ".join(listed)), absent, absent)


def _knowledge(scene: Scene, rng: Random) -> Question | None:
    here = {thing.label for thing in scene.things}
    having = {name: sorted(here.intersection(labels)) for name, labels in KNOWLEDGE.items()}
    asked = [(name, found) for name, found in having.items() if len(found) < 2]
    if not asked:
        return None
    name, found = _balanced(asked, lambda pair: not pair[1], rng, share=0.3)
    text = rng.choice(("what here {}?", "which thing {}?")).format(name)
    return Question("knowledge", text, found[0] if found else NOTHING, name)


def _owner(scene: Scene, rng: Random) -> Question | None:
    if not scene.things:
        return None
    label = rng.choice(scene.things).label
    text = rng.choice(("whose {} is this?", "who owns the {}?"))
    return Question("owner", text.format(label), OWNERS[label], label)


def _room(scene: Scene, rng: Random) -> Question:
    text = rng.choice(("which room is this?", "what room is this?"))
    return Question("room", text, scene.room, "room")


def _balanced(
    items: list[T], is_special: Callable[[T], bool], rng: Random, share: float = 0.4
) -> T:
    """Return one of the items; in about `share` of the draws a special one, if both kinds exist."""
    special = [item for item in items if is_special(item)]
    plain = [item for item in items if not is_special(item)]
    chosen = special if special and (not plain or rng.random() < share) else plain
    return rng.choice(chosen)


KINDS: dict[str, Callable[[Scene, Random], Question | None]] = {
    "count_people": _count_people,
    "count_wearing": _count_wearing,
    "thing_colour": _thing_colour,
    "shirt_colour": _shirt_colour,
    "hat_colour": _hat_colour,
    "hair_colour": _hair_colour,
    "who_wears": _who_wears,
    "beside": _beside,
    "side": _side,
    "presence": _presence,
    "missing": _missing,
    "knowledge": _knowledge,
    "owner": _owner,
    "room": _room,
}


def vocabulary() -> list[str]:
    """Return texts with every word of questions and answers, for the tokenizer."""
    forms = [
        "how many people are there in the room do you see wear a hat are wearing glasses",
        "raise a hand raising what color which colour is the shirt of the person on the left?",
        "wear does the hair have who wears raises has what is directly to the right stands",
        "is the in the middle yes no which of these is missing: not here: whose is this? who owns",
        "which room what room is this, to",
        " ".join((UNKNOWN, NOTHING, *NUMBERS, *OWNER_NAMES, *COLOURS, *HAIR_COLOURS)),
        *KNOWLEDGE,
    ]
    forms += [f"{noun} {noun}? {noun}, {article(noun)}" for noun in (*THINGS, *STRANGERS)]
    return forms
