"""How many people ask at which moment: as a share of all of them, by the share of time gone.

Plain functions: importing Locust would monkey-patch sockets and threads of the importer.
"""

import math
from collections.abc import Callable, Mapping

STEPS = 4
_CALM = 0.25
_SPIKE = (0.4, 0.6)
"""Share of the users outside a spike, and when it begins and ends."""


def ramp(gone: float) -> float:
    """Return a share that grows steadily to all."""
    return gone


def spike(gone: float) -> float:
    """Return a quarter, but for a fifth of the time in the middle all."""
    begins, ends = _SPIKE
    return 1.0 if begins <= gone < ends else _CALM


def soak(gone: float) -> float:
    """Return all, from first to last: for what grows slowly, such as memory."""
    del gone
    return 1.0


def step(gone: float) -> float:
    """Return a quarter, a half, three quarters, all: each long enough to settle."""
    return (math.floor(gone * STEPS) + 1) / STEPS


SHAPES: Mapping[str, Callable[[float], float]] = {
    each.__name__: each for each in (ramp, spike, soak, step)
}


def users_at(shape: str, *, users: int, seconds: float, now_s: float) -> int | None:
    """Return how many people ask now, at least one; None when the time is over."""
    if not 0 <= now_s < seconds:
        return None
    return max(1, round(users * SHAPES[shape](now_s / seconds)))
