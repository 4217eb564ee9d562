"""Photos for checkpoints that know nothing: no two are alike, and every decoder agrees on them."""

import numpy as np

from models.pixels import Rgb


def noisy_gradients(count: int, *, seed: int = 0) -> list[Rgb]:
    """Return photos of different sizes, each a gradient of its own with noise."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        height, width = 40 + 7 * index, 60 + 11 * index
        ramp = np.linspace(0, 255, width)[None, :, None] * random.random(3)
        noise = random.integers(0, 60, (height, width, 3))
        made.append(np.clip(ramp + noise, 0, 255).astype(np.uint8))
    return made


def coloured_rectangles(*sizes: tuple[int, int]) -> list[Rgb]:
    """Return photos of the given heights and widths: rectangles on a noisy gradient."""
    random = np.random.default_rng(7)
    made = []
    for height, width in sizes:
        photo = np.linspace(0, 255, width)[None, :, None] * random.random(3)
        photo = photo + random.integers(0, 40, (height, width, 3))
        for _ in range(6):
            top, left = random.integers(0, height - 8), random.integers(0, width - 8)
            bottom, right = random.integers(top + 4, height), random.integers(left + 4, width)
            photo[top:bottom, left:right] = random.integers(0, 256, 3)
        made.append(np.clip(photo, 0, 255).astype(np.uint8))
    return made
