"""What each patch of a photo shows, and which words of a caption speak of it: dense truth.

Learning where things are through words alone takes the captioner hours on a CPU; one linear layer
a patch and one supervised attention head take minutes. A patch shows what covers its centre, people
before things, as they are painted. The sides of a person's box, where a raised arm may or may not
be, are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.scenes import COLOURS, HAIR_COLOURS, HEIGHT, THINGS, WIDTH, Box, Person, Scene

IGNORED = -100
SHOWN = ("nothing", *THINGS, "head", "shirt")
MOST_PEOPLE, MOST_THINGS = 3, 6
TARGETS = {
    "shown": len(SHOWN),
    "colour": len(COLOURS),
    "thing_place": MOST_THINGS,
    "person_place": 6,
    "hair": len(HAIR_COLOURS),
    "shirt": len(COLOURS),
    "hat": 1 + len(COLOURS),
    "glasses": 2,
    "hand": 2,
}
"""Name of each dense target: its number of classes.

`thing_place` is the place in the caption's list; `person_place` counts (1 of 1), (1 of 2), (2 of
2), (1 of 3), (2 of 3), (3 of 3).
"""

_HEAD = (25.0, 3.0, 75.0, 50.0)
_SHIRT = (14.0, 57.0, 86.0, 100.0)


@dataclass(frozen=True)
class PatchTruth:
    """`targets`: a column of class ids for each of `TARGETS`, (patches, 9) int64, row by row.

    `covers`: which patches each entity covers, (9, patches) bool; people are entities 0 to 2 and
    things 3 to 8, each from left to right.
    """

    targets: NDArray[np.int64]
    covers: NDArray[np.bool_]


def patch_truth(scene: Scene, rows: int, columns: int) -> PatchTruth:
    """Return the truth for a photo cut into `rows` x `columns` equal patches."""
    targets = np.full((rows, columns, len(TARGETS)), IGNORED, dtype=np.int64)
    targets[..., 0] = 0
    covers = np.zeros((MOST_PEOPLE + MOST_THINGS, rows, columns), dtype=np.bool_)
    for place, thing in enumerate(scene.things):
        covered = _covered(thing.box, rows, columns)
        targets[covered] = IGNORED
        targets[covered, :3] = (SHOWN.index(thing.label), COLOURS.index(thing.colour), place)
        covers[MOST_PEOPLE + place] = covered
    for place, person in enumerate(scene.people):
        head = _covered(_part(person.box, _HEAD), rows, columns)
        shirt = _covered(_part(person.box, _SHIRT), rows, columns)
        targets[_covered(person.box, rows, columns)] = IGNORED
        for part, covered in (("head", head), ("shirt", shirt)):
            targets[covered, 0] = SHOWN.index(part)
            targets[covered, 3:] = _looks(person, place, len(scene.people))
        covers[place] = head | shirt
    patches = rows * columns
    return PatchTruth(targets.reshape(patches, -1), covers.reshape(-1, patches))


def spoken_of(words: Sequence[str]) -> list[int]:
    """Return for each word (or token) of a canonical caption the entity that it mentions, or -1."""
    return list(_entities(words))


def _entities(words: Sequence[str]) -> Iterator[int]:
    person, thing = 0, -1
    for word in (word.strip(" \u0120") for word in words):
        yield person if thing < 0 else MOST_PEOPLE + thing
        if thing < 0 and word == ";":
            person += 1
        elif word == ".":
            person, thing = -1, -1
        elif word == "is":
            thing = 0
        elif word == "," and thing >= 0:
            thing += 1


def _looks(person: Person, place: int, count: int) -> tuple[int, ...]:
    return (
        (0, 1, 3)[count - 1] + place,
        HAIR_COLOURS.index(person.hair),
        COLOURS.index(person.shirt),
        0 if person.hat is None else 1 + COLOURS.index(person.hat),
        int(person.glasses),
        int(person.hand_raised),
    )


def _part(box: Box, part: Box) -> Box:
    width, height = (box[2] - box[0]) / 100, (box[3] - box[1]) / 100
    return (
        box[0] + part[0] * width,
        box[1] + part[1] * height,
        box[0] + part[2] * width,
        box[1] + part[3] * height,
    )


def _covered(box: Box, rows: int, columns: int) -> NDArray[np.bool_]:
    x = (np.arange(columns) + 0.5) * (WIDTH / columns)
    y = (np.arange(rows) + 0.5) * (HEIGHT / rows)
    across = (x >= box[0]) & (x < box[2])
    down = (y >= box[1]) & (y < box[3])
    return np.asarray(down[:, None] & across[None, :])
