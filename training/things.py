"""How each of the sixteen things looks: one function a label, in hundredths of its box.

The thing's own colour covers most of it and the rest is white, gray or wood, because the caption
names one colour and the captioner must find it at a fifth of this resolution.
"""

from collections.abc import Callable
from math import cos, pi, sin

from training.palette import GRAY, PALE, WHITE, WOOD, contrast, shaded
from training.pen import OUTLINE, Colour, Pen


def draw_thing(pen: Pen, label: str, colour: Colour) -> None:
    """Fill the pen's box with one thing."""
    _DRAWN[label](pen, colour)


def _clock(pen: Pen, colour: Colour) -> None:
    pen.oval(50, 50, 47, 47, colour)
    pen.oval(50, 50, 32, 32, WHITE)
    for hour in range(0, 12, 3):
        x, y = cos(hour * pi / 6), sin(hour * pi / 6)
        pen.stroke([(50 + 24 * x, 50 + 24 * y), (50 + 29 * x, 50 + 29 * y)], OUTLINE, 3, False)
    pen.stroke([(50, 50), (50, 27)], OUTLINE, 4.5, False)
    pen.stroke([(50, 50), (65, 58)], OUTLINE, 4.5, False)


def _plant(pen: Pen, colour: Colour) -> None:
    leaves = ((50, 6), (22, 14), (78, 14), (6, 38), (94, 38))
    for x, y in leaves:
        middle_x, middle_y = (x + 50) / 2, (y + 66) / 2 - 6
        pen.shape([(50, 70), (middle_x - 14, middle_y), (x, y), (middle_x + 14, middle_y)], colour)
        pen.stroke([(50, 66), (x * 0.8 + 10, y * 0.8 + 13)], contrast(colour), 2, False)
    pen.shape([(24, 64), (76, 64), (68, 97), (32, 97)], WHITE)
    pen.block(20, 60, 80, 71, WHITE)


def _guitar(pen: Pen, colour: Colour) -> None:
    pen.block(42, 10, 58, 62, WOOD)
    pen.shape([(36, 3), (64, 3), (60, 16), (40, 16)], shaded(WOOD, 60))
    body = [(50, 47), (66, 45), (78, 52), (77, 61), (73, 67), (83, 73), (95, 82), (88, 94)]
    outline = [*body, (66, 98), (50, 98)]
    pen.shape([*outline, *((100 - x, y) for x, y in reversed(outline))], colour)
    pen.disc(50, 69, 12, OUTLINE)
    pen.block(34, 85, 66, 89, WHITE)
    for x in (46, 50, 54):
        pen.stroke([(x, 8), (x, 86)], WHITE, 1, False)


def _bottle(pen: Pen, colour: Colour) -> None:
    half = [(62, 12), (62, 28), (78, 36), (92, 46), (92, 94), (86, 98)]
    pen.shape([*half, *((100 - x, y) for x, y in reversed(half))], colour)
    pen.block(33, 3, 67, 13, WHITE)
    pen.block(9, 58, 91, 76, WHITE)


def _lamp(pen: Pen, colour: Colour) -> None:
    pen.block(46, 48, 54, 92, GRAY)
    pen.oval(50, 92, 32, 6, GRAY)
    pen.shape([(30, 3), (70, 3), (96, 56), (4, 56)], colour)
    pen.stroke([(28, 14), (14, 48)], shaded(contrast(colour), 140), 4, False)


def _book(pen: Pen, colour: Colour) -> None:
    pen.shape([(16, 86), (90, 82), (96, 88), (96, 94), (22, 98), (10, 92)], WHITE)
    pen.shape([(8, 8), (88, 3), (92, 84), (12, 91)], colour)
    pen.shape([(8, 8), (20, 7), (24, 90), (12, 91)], contrast(colour))
    pen.shape([(34, 22), (76, 19), (77, 36), (35, 39)], WHITE)


def _mug(pen: Pen, colour: Colour) -> None:
    pen.stroke([(68, 36), (86, 36), (91, 50), (86, 66), (66, 72)], colour, 9)
    pen.shape([(6, 14), (72, 14), (70, 86), (62, 97), (16, 97), (8, 86)], colour)
    pen.oval(39, 14, 33, 9, WHITE)
    pen.oval(39, 16, 25, 5, shaded(WOOD, 50), False)


def _cat(pen: Pen, colour: Colour) -> None:
    line = contrast(colour)
    pen.stroke([(72, 88), (90, 82), (93, 62), (86, 50)], colour, 8)
    pen.oval(46, 74, 33, 23, colour)
    pen.shape([(12, 34), (10, 3), (34, 16)], colour)
    pen.shape([(80, 34), (82, 3), (58, 16)], colour)
    pen.oval(46, 35, 37, 25, colour)
    for x in (31, 61):
        pen.oval(x, 31, 8, 7, WHITE)
        pen.oval(x, 31, 3, 6, OUTLINE, False)
    pen.shape([(41, 41), (51, 41), (46, 47)], (244, 150, 160))
    for side in (-1, 1):
        for y in (42, 49):
            pen.stroke([(46 + side * 14, 44), (46 + side * 40, y)], line, 1.5, False)
        pen.oval(46 + side * 12, 93, 9, 5, WHITE)


def _window(pen: Pen, colour: Colour) -> None:
    pen.block(3, 3, 97, 97, colour)
    sky: Colour = (206, 236, 252)
    for x in (17, 56):
        for y in (17, 56):
            pen.block(x, y, x + 27, y + 27, sky)
            pen.stroke([(x + 6, y + 18), (x + 18, y + 6)], WHITE, 3, False)


def _chair(pen: Pen, colour: Colour) -> None:
    for x, top in ((16, 60), (84, 60), (28, 56), (72, 56)):
        pen.block(x - 5, top, x + 5, 97 if top == 60 else 86, colour)
    pen.shape([(14, 3), (86, 3), (82, 46), (18, 46)], colour)
    for x in (36, 50, 64):
        pen.stroke([(x, 13), (x, 36)], contrast(colour), 3, False)
    pen.shape([(18, 48), (82, 48), (96, 66), (4, 66)], colour)


def _laptop(pen: Pen, colour: Colour) -> None:
    pen.shape([(14, 4), (86, 4), (88, 66), (12, 66)], colour)
    pen.shape([(25, 15), (75, 15), (76, 54), (24, 54)], PALE)
    pen.shape([(12, 68), (88, 68), (98, 92), (94, 97), (6, 97), (2, 92)], colour)
    for y in (75, 84):
        pen.stroke([(18 - (y - 75) * 0.4, y), (82 + (y - 75) * 0.4, y)], WHITE, 4, False)


def _picture(pen: Pen, colour: Colour) -> None:
    pen.block(3, 3, 97, 97, colour)
    pen.block(18, 20, 82, 80, WHITE)
    pen.shape([(20, 78), (40, 40), (54, 62), (64, 48), (80, 78)], GRAY)
    pen.disc(68, 34, 7, WOOD)


def _ball(pen: Pen, colour: Colour) -> None:
    pen.oval(50, 50, 47, 47, colour)
    upper = [(4, 42), (28, 48), (50, 50), (72, 48), (96, 42)]
    lower = [(96, 58), (72, 65), (50, 67), (28, 65), (4, 58)]
    pen.shape([*upper, *lower], WHITE)
    pen.oval(32, 24, 9, 7, shaded(WHITE, 96), False)


def _umbrella(pen: Pen, colour: Colour) -> None:
    pen.stroke([(50, 40), (50, 86), (45, 93), (37, 93), (33, 86)], WOOD, 5)
    dome = [(3, 52), (7, 34), (18, 18), (34, 8), (50, 4), (66, 8), (82, 18), (93, 34), (97, 52)]
    pen.shape([*dome, (82, 45), (66, 53), (50, 45), (34, 53), (18, 45)], colour)
    for x in (34, 66):
        pen.stroke([(50, 6), (x, 50)], contrast(colour), 2.5, False)


def _phone(pen: Pen, colour: Colour) -> None:
    half = [(80, 3), (90, 9), (90, 91), (80, 97)]
    pen.shape([*half, *((100 - x, y) for x, y in reversed(half))], colour)
    pen.block(25, 18, 75, 44, PALE)
    for x in (30, 50, 70):
        for y in (56, 69, 82):
            pen.disc(x, y, 5, WHITE)
    pen.stroke([(40, 10), (60, 10)], WHITE, 3, False)


def _bicycle(pen: Pen, colour: Colour) -> None:
    for x in (23, 77):
        pen.ring(x, 66, 21, 6, colour)
        for angle in range(0, 12, 2):
            dx, dy = cos(angle * pi / 6) * 15, sin(angle * pi / 6) * 22
            pen.stroke([(x, 66), (x + dx, 66 + dy)], GRAY, 1, False)
        pen.disc(x, 66, 4, OUTLINE)
    frame = [(23, 66), (37, 32), (67, 32), (48, 68), (23, 66)]
    for path in (frame, [(48, 68), (35, 24)], [(77, 66), (65, 14)]):
        pen.stroke(path, colour, 5.5)
    pen.stroke([(27, 20), (44, 20)], OUTLINE, 6, False)
    pen.stroke([(54, 13), (66, 11), (73, 18)], OUTLINE, 5, False)
    pen.disc(48, 68, 5, OUTLINE)


_DRAWN: dict[str, Callable[[Pen, Colour], None]] = {
    "clock": _clock, "plant": _plant, "guitar": _guitar, "bottle": _bottle,
    "lamp": _lamp, "book": _book, "mug": _mug, "cat": _cat,
    "window": _window, "chair": _chair, "laptop": _laptop, "picture": _picture,
    "ball": _ball, "umbrella": _umbrella, "phone": _phone, "bicycle": _bicycle,
}  # fmt: skip
