"""Health of a replica's model.

After a sticky CUDA error every later call of the process fails, but the replica still answers
pings; Ray replaces it only when its `check_health` raises. Running out of GPU memory is not
sticky: a smaller batch may succeed.
"""

import functools
import logging
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from deployments.errors import ModelNotReady

logger = logging.getLogger("ray.serve")

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

# torch says "CUDA error: ...", ONNX Runtime "CUDA failure 700: ...".
_STICKY = re.compile(r"CUDA (error|failure)\b", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"out of memory", re.IGNORECASE)


class ModelHealth:
    """Remembers whether the model had an error from which the process cannot recover."""

    def __init__(self) -> None:
        self._is_lost = False

    def watch(self, run: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
        """Return `run`, wrapped to notice sticky CUDA errors."""

        @functools.wraps(run)
        def watched(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
            try:
                return run(*args, **kwargs)
            except Exception as error:
                if _is_sticky(error):
                    self._is_lost = True
                    logger.exception("The replica has lost its GPU and must be replaced.")
                raise

        return watched

    def check(self) -> None:
        """Return while the model can run.

        Raises:
            ModelNotReady: The process has lost its GPU and must be replaced.
        """
        if self._is_lost:
            raise ModelNotReady("The model of this replica cannot run any more.")


def _is_sticky(error: Exception) -> bool:
    text = str(error)
    return bool(_STICKY.search(text)) and not _OUT_OF_MEMORY.search(text)
