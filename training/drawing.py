"""Paints a scene as a webcam would see it.

Everything random here comes from the scene's own seed, in a stream of its own, so that a scene is
one photo. Boxes are already in photo coordinates: the camera's tilt turns each figure about the
middle of its box, and zoom is the spread of sizes that sampling drew. Post-processing (blur,
light, noise, JPEG) is most of the cost and runs at the size asked for, which makes
`draw(scene, TRAINING_SIZE)` three times as fast as a full photo.
"""

from collections.abc import Callable
from io import BytesIO
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from models.pixels import PhotoFile
from training.palette import FLOOR, GRAY, PAINT, WALL, shaded
from training.pen import Colour, Pen
from training.people import draw_person
from training.scenes import HEIGHT, WIDTH, Box, Scene
from training.things import draw_thing

Size = tuple[int, int]
FULL_SIZE: Size = (WIDTH, HEIGHT)
TRAINING_SIZE: Size = (320, 240)
RENDERING = 1
"""Names the cached photos of `training.dataset`; raise it with any change that moves a pixel."""

_SUPERSAMPLING = 2
_WHOLE: Box = (0.0, 0.0, float(WIDTH), float(HEIGHT))
_HANGING = frozenset({"clock", "window", "picture"})


def draw(scene: Scene, size: Size = FULL_SIZE) -> Image.Image:
    """Return the photo as RGB, after its JPEG round trip. `size` is (width, height), 4:3."""
    return PhotoFile(BytesIO(draw_jpeg(scene, size))).rgb()


def draw_jpeg(scene: Scene, size: Size = FULL_SIZE) -> bytes:
    """Return the photo as a webcam's JPEG; small sizes keep their colour resolution (4:4:4)."""
    look = Random(f"look:{scene.split}:{scene.seed}")
    tilt = look.randint(-60, 60) / 1000
    clean = _paint(scene, size, tilt, look)
    photo = _expose(clean, look)
    file = BytesIO()
    full = size[0] >= WIDTH
    quality = look.randint(78, 93) if full else look.randint(88, 95)
    photo.save(file, "JPEG", quality=quality, subsampling="4:2:0" if full else "4:4:4")
    return file.getvalue()


def _paint(scene: Scene, size: Size, tilt: float, look: Random) -> Image.Image:
    scale = size[0] * _SUPERSAMPLING / WIDTH
    canvas = Image.new("RGB", (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING))
    pencil = ImageDraw.Draw(canvas)
    horizon = look.randint(66, 82)
    _room(Pen(pencil, _WHOLE, scale, tilt), scene.room, horizon)
    for thing in scene.things:
        pen = Pen(pencil, thing.box, scale, tilt)
        if thing.label not in _HANGING and thing.box[3] < horizon * HEIGHT / 100:
            pen.block(-8, 97, 108, 104, shaded(WALL[scene.room], 72))
        draw_thing(pen, thing.label, PAINT[thing.colour])
    for person in scene.people:
        draw_person(Pen(pencil, person.box, scale, tilt), person, look.randrange(2) == 0)
    return canvas.reduce(_SUPERSAMPLING)


def _room(pen: Pen, room: str, horizon: int) -> None:
    """Draw wall, its pattern down to the horizon (hundredths of the height), floor, skirting."""
    pen.block(-20, -20, 120, 120, WALL[room], outline=False)
    _PATTERNS[room](pen, shaded(WALL[room], 91), horizon)
    pen.block(-20, horizon, 120, 125, FLOOR[room], outline=False)
    pen.block(-20, horizon, 120, horizon + 2, shaded(GRAY, 120), outline=False)


def _panels(pen: Pen, line: Colour, horizon: int) -> None:
    for x in range(-10, 120, 15):
        pen.stroke([(x, -15), (x, horizon)], line, 0.5, outline=False)


def _boards(pen: Pen, line: Colour, horizon: int) -> None:
    for y in range(-10, horizon, 14):
        pen.stroke([(-15, y), (115, y)], line, 0.5, outline=False)


def _tiles(pen: Pen, line: Colour, horizon: int) -> None:
    _panels(pen, line, horizon)
    _boards(pen, line, horizon)


def _bands(pen: Pen, line: Colour, horizon: int) -> None:
    for y in range(-10, horizon, 20):
        pen.block(-20, y, 120, y + 10, line, outline=False)


def _dots(pen: Pen, line: Colour, horizon: int) -> None:
    for x in range(-10, 115, 20):
        for y in range(-10, horizon, 15):
            pen.disc(x + (y % 2) * 10, y, 1.2, line, outline=False)


def _stripes(pen: Pen, line: Colour, horizon: int) -> None:
    for x in range(-10, 115, 20):
        pen.block(x, -15, x + 10, horizon, line, outline=False)


_PATTERNS: dict[str, Callable[[Pen, Colour, int], None]] = {
    "kitchen": _tiles,
    "studio": _bands,
    "office": _boards,
    "bedroom": _dots,
    "library": _stripes,
    "hall": _panels,
}


def _expose(photo: Image.Image, look: Random) -> Image.Image:
    """Add blur, light falling off to one side, a colour cast and sensor noise."""
    width, height = photo.size
    photo = photo.filter(ImageFilter.GaussianBlur(look.randint(0, 90) / 100 * width / WIDTH))
    pixels = np.asarray(photo, dtype=np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    light = look.randint(90, 106) / 100
    slope_x, slope_y = look.randint(-9, 9) / 100, look.randint(-8, 4) / 100
    cast = np.array([look.randint(96, 104) / 100 for _ in range(3)], dtype=np.float32)
    noise = np.random.Generator(np.random.PCG64(look.getrandbits(63)))
    grain = noise.standard_normal(pixels.shape, dtype=np.float32) * (look.randint(15, 55) / 10)
    pixels = pixels * ((light + slope_x * across + slope_y * down) * cast) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
