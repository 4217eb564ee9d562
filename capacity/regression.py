"""Lines through what was measured: least squares in which no part is negative."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]


def affine(items: Floats, seconds: Floats, weights: Floats) -> tuple[float, float, float]:
    """Return a, c and the residuals' share of a + c x items: least squares, neither negative.

    Args:
        items: Mean batch of each point, `[n]`.
        seconds: Mean seconds of a run, `[n]`.
        weights: Runs of each point, `[n]`.
    """
    root = np.sqrt(weights) / seconds  # relative errors count, not absolute ones
    ones = np.ones_like(items)
    (fixed, each), _ = nnls(np.stack([ones, items], 1) * root[:, None], seconds * root)
    residual = seconds / (fixed + each * items) - 1
    return float(fixed), float(each), float(np.sqrt(np.average(residual**2, weights=weights)))


def by_second_and_answer(
    points: Sequence[tuple[float, int, float | None]],
) -> tuple[float, float]:
    """Return the cores that are busy by the second, and the seconds that an answer costs.

    Args:
        points: Seconds, answers and processor seconds of each part; None if it is unknown.
    """
    seen = np.array([point for point in points if point[2] is not None], float)
    if not len(seen):
        return 0.0, 0.0
    (each_second, each_answer), _ = nnls(seen[:, :2], seen[:, 2])
    return float(each_second), float(each_answer)
