"""How a person looks: hair, face, shirt, glasses, hat and a raised hand, in hundredths of a box.

Some hair always shows below a hat, since the caption names its colour whatever is worn on it.
"""

from training.palette import HAIR, PAINT, SKIN, contrast, shaded
from training.pen import OUTLINE, Colour, Pen
from training.scenes import Person

_LENS: Colour = (206, 232, 250)
_LIPS: Colour = (170, 60, 60)


def draw_person(pen: Pen, person: Person, raises_left: bool) -> None:
    """Draw a person; `raises_left` says on which side of the photo a raised hand is."""
    hair, skin, shirt = HAIR[person.hair], SKIN[person.skin], PAINT[person.shirt]
    _hair_behind(pen, person.hair_style, hair)
    _body(pen, skin, shirt)
    if person.hand_raised:
        _raised_arm(pen, skin, shirt, raises_left)
    _head(pen, skin)
    _hair_before(pen, person.hair_style, hair)
    if person.hair_style == "bun" and person.hat is None:
        pen.disc(50, 9, 9, hair)
    _face(pen, person.glasses)
    if person.hat is not None:
        _hat(pen, PAINT[person.hat])


def _hair_behind(pen: Pen, style: str, hair: Colour) -> None:
    if style == "long":
        pen.shape([(25, 32), (32, 18), (68, 18), (75, 32), (79, 66), (21, 66)], hair)
    elif style == "bob":
        pen.shape([(25, 30), (32, 18), (68, 18), (75, 30), (79, 51), (21, 51)], hair)
    elif style == "curly":
        for x, y in ((27, 26), (24, 35), (27, 43), (73, 26), (76, 35), (73, 43)):
            pen.disc(x, y, 8, hair)
    else:
        pen.oval(50, 33, 30, 17, hair)


def _body(pen: Pen, skin: Colour, shirt: Colour) -> None:
    pen.block(42, 44, 58, 60, skin)
    half = [(60, 55), (78, 58), (86, 64), (90, 76), (92, 112)]
    pen.shape([*half, *((100 - x, y) for x, y in reversed(half))], shirt)
    pen.shape([(40, 55), (60, 55), (50, 63)], skin)
    for x in (24, 76):
        pen.stroke([(x, 78), (x, 112)], contrast(shirt), 1.6, False)


def _raised_arm(pen: Pen, skin: Colour, shirt: Colour, left: bool) -> None:
    def side(x: float) -> float:
        return 100 - x if left else x

    pen.stroke([(side(89), 46), (side(88), 27)], skin, 8)
    for x, y in ((80, 14), (86, 10), (92, 10), (97, 15)):
        pen.stroke([(side(88), 22), (side(x), y)], skin, 3)
    pen.disc(side(88), 22, 6.5, skin)
    pen.stroke([(side(88), 22), (side(88), 18)], skin, 9, False)
    pen.stroke([(side(78), 68), (side(88), 60), (side(89), 45)], shirt, 13)


def _head(pen: Pen, skin: Colour) -> None:
    for x in (28, 72):
        pen.oval(x, 35, 4, 4, skin)
    pen.oval(50, 34, 21, 16, skin)


def _hair_before(pen: Pen, style: str, hair: Colour) -> None:
    fringe = [(27, 33), (27, 24), (34, 16), (50, 13), (66, 16), (73, 24), (73, 33)]
    if style == "curly":
        for x, y in ((30, 24), (36, 18), (45, 15), (55, 15), (64, 18), (70, 24)):
            pen.disc(x, y, 8, hair)
        pen.shape([(31, 25), (40, 16), (60, 16), (69, 25), (50, 24)], hair, outline=False)
        return
    edge = {"bob": [(67, 26), (33, 26)], "long": [(68, 30), (52, 21), (48, 21), (32, 30)]}
    pen.shape([*fringe, *edge.get(style, [(68, 27), (58, 25), (40, 23), (33, 28)])], hair)


def _face(pen: Pen, glasses: bool) -> None:
    for x in (41, 59):
        if glasses:
            pen.disc(x, 34.5, 7.6, OUTLINE)
            pen.disc(x, 34.5, 4.8, _LENS, False)
        pen.disc(x, 34.5, 2.2, OUTLINE, False)
    if glasses:
        for start, end in ((46, 54), (28, 36), (64, 72)):
            pen.stroke([(start, 33), (end, 33)], OUTLINE, 2.4, False)
    pen.stroke([(44, 43.5), (50, 45), (56, 43.5)], _LIPS, 1.8, False)


def _hat(pen: Pen, colour: Colour) -> None:
    pen.shape([(29, 21), (32, 6), (40, 2), (60, 2), (68, 6), (71, 21)], colour)
    pen.shape([(30, 17), (70, 17), (71, 21), (29, 21)], shaded(contrast(colour), 110))
    pen.shape([(16, 20), (84, 20), (88, 24), (82, 26), (18, 26), (12, 24)], colour)
