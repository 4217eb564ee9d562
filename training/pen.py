"""A pen that draws in hundredths of a box, tilted with the camera.

Figures are written once in coordinates 0..100 of their own box; the pen alone knows where the
box lies on the canvas, its size in pixels and the camera's tilt. Every filled shape gets a dark
outline, which keeps a red ball visible in front of a red shirt.
"""

from collections.abc import Iterable
from math import cos, hypot, pi, sin, sqrt

from PIL import ImageDraw

from training.scenes import Box

Colour = tuple[int, int, int]
Point = tuple[float, float]

OUTLINE: Colour = (24, 22, 28)
_OUTLINE_WIDTH = 2.2
_CIRCLE = tuple((cos(2 * pi * i / 40), sin(2 * pi * i / 40)) for i in range(40))


class Pen:
    """Draws into `box` (pixels of 640x480) of a canvas that is `scale` times as large."""

    def __init__(
        self, canvas: ImageDraw.ImageDraw, box: Box, scale: float, tilt: float = 0.0
    ) -> None:
        self._canvas = canvas
        self._cos, self._sin = cos(tilt), sin(tilt)
        self._x, self._y = (box[0] + box[2]) / 2 * scale, (box[1] + box[3]) / 2 * scale
        self._width, self._height = (box[2] - box[0]) * scale, (box[3] - box[1]) * scale
        self._unit = sqrt(self._width * self._height) / 100
        self._outline = max(1, round(_OUTLINE_WIDTH * scale))

    def at(self, x: float, y: float) -> Point:
        """Return the canvas pixel of a point of the box."""
        across, down = (x - 50) / 100 * self._width, (y - 50) / 100 * self._height
        return (
            self._x + self._cos * across - self._sin * down,
            self._y + self._sin * across + self._cos * down,
        )

    def shape(self, points: Iterable[Point], fill: Colour, outline: bool = True) -> None:
        """Draw a filled polygon."""
        corners = [self.at(x, y) for x, y in points]
        self._canvas.polygon(corners, fill=fill)
        if outline:
            self._canvas.line(
                [*corners, corners[0], corners[1]], fill=OUTLINE, width=self._outline, joint="curve"
            )

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, outline: bool = True
    ) -> None:
        """Draw an ellipse; the radii are in hundredths of the box's width and height."""
        self.shape([(x + rx * c, y + ry * s) for c, s in _CIRCLE], fill, outline)

    def disc(self, x: float, y: float, radius: float, fill: Colour, outline: bool = True) -> None:
        """Draw a circle; the radius is in hundredths of the box's mean side."""
        rx = radius * self._unit / self._width * 100
        ry = radius * self._unit / self._height * 100
        self.oval(x, y, rx, ry, fill, outline)

    def block(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, outline: bool = True
    ) -> None:
        """Draw a rectangle."""
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outline)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Colour) -> None:
        """Draw a circle without filling; radius and width as in `disc`."""
        rx = radius * self._unit / self._width * 100
        ry = radius * self._unit / self._height * 100
        self.stroke([(x + rx * c, y + ry * s) for c, s in (*_CIRCLE, *_CIRCLE[:2])], fill, width)

    def stroke(
        self, points: Iterable[Point], fill: Colour, width: float, outline: bool = True
    ) -> None:
        """Draw a line of `width` hundredths of the box's mean side, with round ends."""
        path = [self.at(x, y) for x, y in points]
        thick = max(1, round(width * self._unit))
        if outline:
            self._line(path, OUTLINE, thick + 2 * self._outline)
        self._line(path, fill, thick)

    def _line(self, path: list[Point], fill: Colour, width: int) -> None:
        self._canvas.line(path, fill=fill, width=width, joint="curve")
        if hypot(path[0][0] - path[-1][0], path[0][1] - path[-1][1]) < width / 4:
            return
        for x, y in (path[0], path[-1]):
            r = width / 2
            self._canvas.ellipse((x - r, y - r, x + r, y + r), fill=fill)
