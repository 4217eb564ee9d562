"""The demo world: what is in a scene, what can be said of it, and where everything is.

A scene is a value; `training.drawing` paints it. Sampling decides with whole numbers only
(`random.Random` on a string seed), so that one seed is one scene on every machine. The splits
draw from disjoint streams, and `HELD_OUT_THINGS` and `HELD_OUT_CLOTHES` never occur in "train".
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Split = Literal["train", "validation", "test"]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of a 640x480 photo."""

WIDTH, HEIGHT = 640, 480
COLOURS = ("red", "yellow", "green", "blue", "purple", "black")
HAIR_COLOURS = ("black", "brown", "blond", "gray")
HAIR_STYLES = ("short", "bob", "long", "curly", "bun")
SKINS = ("light", "tan", "brown", "dark")
ROOMS = ("kitchen", "studio", "office", "bedroom", "library", "hall")
THINGS = (
    "clock", "plant", "guitar", "bottle", "lamp", "book", "mug", "cat",
    "window", "chair", "laptop", "picture", "ball", "umbrella", "phone", "bicycle",
)  # fmt: skip
LABELS = ("person", *THINGS)

HELD_OUT_THINGS = frozenset(
    {("mug", "purple"), ("guitar", "green"), ("chair", "yellow"), ("umbrella", "black")}
)
HELD_OUT_CLOTHES = frozenset({("red", "yellow")})
"""(shirt, hat) colours of one person."""

MIN_CENTRE_GAP = 30
"""Pixels between the box centres of any two neighbours, so that left to right is never a guess."""

_SHAPES = {  # label: (width, height) in hundredths of the sampled size
    "clock": (100, 100), "plant": (86, 110), "guitar": (58, 140), "bottle": (52, 130),
    "lamp": (76, 118), "book": (88, 106), "mug": (104, 92), "cat": (96, 104),
    "window": (108, 108), "chair": (76, 118), "laptop": (118, 92), "picture": (116, 96),
    "ball": (100, 100), "umbrella": (112, 108), "phone": (66, 118), "bicycle": (134, 88),
}  # fmt: skip
_WALL_THINGS = frozenset({"clock", "window", "picture"})
_THING_COUNTS = {1: (0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6), 2: (0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5),
                 3: (0, 1, 2, 2, 3, 3, 3, 4)}  # fmt: skip
_PERSON_HEIGHTS = {1: (250, 340), 2: (230, 310), 3: (220, 280)}


@dataclass(frozen=True)
class Person:
    """Everything about one person. Style and skin are drawn but never captioned."""

    hair: str
    hair_style: str
    skin: str
    shirt: str
    glasses: bool
    hat: str | None
    hand_raised: bool
    box: Box


@dataclass(frozen=True)
class Thing:
    """One of `THINGS` in one of `COLOURS`."""

    label: str
    colour: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """`people` and `things` are each in order from left to right by box centre."""

    seed: int
    split: str
    room: str
    people: tuple[Person, ...]
    things: tuple[Thing, ...]


def centre_x(box: Box) -> float:
    """Return the x in pixels by which things are ordered from left to right."""
    return (box[0] + box[2]) / 2


def sample_scene(seed: int, split: Split) -> Scene:
    """Return the scene of this seed; equal on every machine, and never one of another split."""
    random = Random(f"{split}:{seed}")
    count = random.choice((1, 1, 2, 2, 2, 3, 3))
    labels = random.sample(THINGS, random.choice(_THING_COUNTS[count]))
    people_boxes, thing_boxes = _layout(random, count, labels)
    people = [_sample_person(random, box, split) for box in people_boxes]
    things = [
        Thing(label, _sample_colour(random, label, split), box)
        for label, box in zip(labels, thing_boxes, strict=False)
    ]
    return Scene(
        seed=seed,
        split=split,
        room=random.choice(ROOMS),
        people=tuple(sorted(people, key=lambda person: centre_x(person.box))),
        things=tuple(sorted(things, key=lambda thing: centre_x(thing.box))),
    )


def _sample_person(random: Random, box: Box, split: Split) -> Person:
    shirt = random.choice(COLOURS)
    hats = [hat for hat in COLOURS if split != "train" or (shirt, hat) not in HELD_OUT_CLOTHES]
    return Person(
        hair=random.choice(HAIR_COLOURS),
        hair_style=random.choice(HAIR_STYLES),
        skin=random.choice(SKINS),
        shirt=shirt,
        glasses=random.randrange(100) < 40,
        hat=random.choice(hats) if random.randrange(100) < 45 else None,
        hand_raised=random.randrange(100) < 35,
        box=box,
    )


def _sample_colour(random: Random, label: str, split: Split) -> str:
    allowed = [c for c in COLOURS if split != "train" or (label, c) not in HELD_OUT_THINGS]
    return random.choice(allowed)


def _layout(random: Random, count: int, labels: list[str]) -> tuple[list[Box], list[Box]]:
    """Return boxes for people and things; a crowded room may have fewer things than labels."""
    best: tuple[list[Box], list[Box]] = ([], [])
    for _ in range(12):
        people = _place_people(random, count)
        things: list[Box] = []
        for label in labels:
            box = _place_thing(random, label, people, things)
            if box is None:
                break
            things.append(box)
        if not best[0] or len(things) > len(best[1]):
            best = (people, things)
        if len(things) == len(labels):
            break
    return best


def _place_people(random: Random, count: int) -> list[Box]:
    slot = WIDTH // count
    boxes: list[Box] = []
    for index in range(count):
        height = random.randint(*_PERSON_HEIGHTS[count])
        width = min(height * random.randint(62, 68) // 100, slot - 8)
        left = index * slot + random.randint(4, slot - width - 4)
        boxes.append((float(left), float(HEIGHT - height), float(left + width), float(HEIGHT)))
    return boxes


def _place_thing(random: Random, label: str, people: list[Box], things: list[Box]) -> Box | None:
    centres = [centre_x(box) for box in (*people, *things)]
    for attempt in range(80):
        size = random.randint(100, 140 if attempt < 40 else 112)
        width, height = (size * share // 100 for share in _SHAPES[label])
        lowest = min(HEIGHT - 6, 330 if label in _WALL_THINGS else HEIGHT) - height
        left = random.randint(6, WIDTH - 6 - width)
        top = random.randint(6, lowest)
        box = (float(left), float(top), float(left + width), float(top + height))
        if (
            all(abs(centre_x(box) - centre) >= MIN_CENTRE_GAP for centre in centres)
            and all(_hidden_percent(box, other) <= 8 for other in people)
            and all(_hidden_percent(box, other) == 0 for other in things)
        ):
            return box
    return None


def _hidden_percent(box: Box, by: Box) -> int:
    """Return the share of `box` covered by the other box, in whole percent, rounded up."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    if width <= 0 or height <= 0:
        return 0
    area = (box[2] - box[0]) * (box[3] - box[1])
    return int(-(-100 * width * height // area))


def canonical_caption(scene: Scene) -> str:
    """Return the caption to learn: people left to right, then things left to right."""
    return _people_sentence(scene) + _things_sentence(scene)


def caption_variants(scene: Scene) -> tuple[str, ...]:
    """Return the canonical caption, then true variants of it (for CLIP, not the captioner)."""
    people = [_describe(person) for person in scene.people]
    things = [f"a {thing.colour} {thing.label}" for thing in scene.things]
    shirts = [f"a person in a {person.shirt} shirt" for person in scene.people]
    variants = [
        canonical_caption(scene),
        f"a room with {_listed(people + things)}.",
        f"{_listed(shirts + things)}.",
        f"{_listed(shirts)} in a room.",
    ]
    if things:
        variants.append(f"there is {_listed(things)}. {_people_sentence(scene)}")
    return tuple(variants)


def tags(scene: Scene) -> list[tuple[str, Box]]:
    """Return every label with its box, people included, from left to right by box centre."""
    found = [("person", person.box) for person in scene.people]
    found += [(thing.label, thing.box) for thing in scene.things]
    return sorted(found, key=lambda tag: centre_x(tag[1]))


def mirrored(scene: Scene) -> Scene:
    """Return the scene of the photo flipped left to right; `seed` and `split` stay the same."""

    def flip(box: Box) -> Box:
        return (WIDTH - box[2], box[1], WIDTH - box[0], box[3])

    return replace(
        scene,
        people=tuple(replace(person, box=flip(person.box)) for person in reversed(scene.people)),
        things=tuple(replace(thing, box=flip(thing.box)) for thing in reversed(scene.things)),
    )


def _people_sentence(scene: Scene) -> str:
    described = [_describe(person) for person in scene.people]
    places = {1: ("",), 2: ("on the left, ", "on the right, ")}.get(
        len(described), ("on the left, ", "in the middle, ", "on the right, ")
    )
    return "; ".join(p + text for p, text in zip(places, described, strict=True)) + "."


def _things_sentence(scene: Scene) -> str:
    if not scene.things:
        return ""
    return " there is " + ", ".join(f"a {t.colour} {t.label}" for t in scene.things) + "."


def _describe(person: Person) -> str:
    worn = ["glasses"] if person.glasses else []
    worn += [f"a {person.hat} hat"] if person.hat else []
    text = f"a person with {person.hair} hair in a {person.shirt} shirt"
    if worn:
        text += " with " + " and ".join(worn)
    return text + (" raising a hand" if person.hand_raised else "")


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
