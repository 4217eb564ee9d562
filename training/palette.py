"""The demo world's colours as RGB, kept far apart so that a small network can tell them.

Blue leans to cyan and purple to magenta, and no wall or floor comes near any of the six: under a
warm lamp they would otherwise meet.
"""

from training.pen import Colour

PAINT: dict[str, Colour] = {
    "red": (222, 32, 38),
    "yellow": (252, 208, 20),
    "green": (32, 158, 58),
    "blue": (28, 92, 226),
    "purple": (160, 44, 178),
    "black": (42, 42, 48),
}
HAIR: dict[str, Colour] = {
    "black": (30, 27, 30),
    "brown": (124, 64, 20),
    "blond": (246, 214, 98),
    "gray": (168, 168, 174),
}
SKIN: dict[str, Colour] = {
    "light": (250, 218, 196),
    "tan": (228, 180, 144),
    "brown": (190, 134, 100),
    "dark": (152, 104, 82),
}
WALL: dict[str, Colour] = {
    "kitchen": (252, 240, 184),
    "studio": (250, 206, 204),
    "office": (188, 216, 248),
    "bedroom": (222, 200, 244),
    "library": (198, 234, 192),
    "hall": (230, 230, 228),
}
FLOOR: dict[str, Colour] = {
    "kitchen": (206, 192, 160),
    "studio": (190, 158, 148),
    "office": (150, 164, 184),
    "bedroom": (172, 156, 184),
    "library": (158, 172, 140),
    "hall": (176, 172, 166),
}
WHITE: Colour = (246, 246, 244)
PALE: Colour = (214, 226, 236)
GRAY: Colour = (150, 152, 156)
WOOD: Colour = (176, 132, 88)


def shaded(colour: Colour, percent: int) -> Colour:
    """Return a darker colour for less than 100 percent, a lighter one for more."""
    red, green, blue = (min(255, part * percent // 100) for part in colour)
    return (red, green, blue)


def contrast(colour: Colour) -> Colour:
    """Return a line colour that shows on `colour`: darker, or gray on black."""
    return (112, 112, 120) if max(colour) < 80 else shaded(colour, 62)
