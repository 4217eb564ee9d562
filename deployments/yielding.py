"""Threads that yield the cores to other stages on the same machine.

Linux has a nice value for each thread, and threads inherit it from whoever starts them: so a model
can yield, with all threads of its library, while the event loop of its replica does not.

Beside others a thread still gets a turn of a few milliseconds now and then, and each empties the
caches of both. One of the idle policy gets hardly any while others want its core; what it does then
it does in one go.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

LEAST_URGENT = 19
"""Largest nice value (setpriority(2))."""
IDLE_POLICY = LEAST_URGENT + 1
"""Beyond all nice values: SCHED_IDLE of sched(7)."""


def yielding_thread(niceness: int) -> ThreadPoolExecutor:
    """Return one thread that adds so much to its nice value, or has the idle policy."""
    return ThreadPoolExecutor(
        max_workers=1, thread_name_prefix="model", initializer=_yield_cores, initargs=(niceness,)
    )


def load_yielding(niceness: int, load: Callable[..., Made], *arguments: object) -> Made:
    """Return what `load` gives in a yielding thread; threads that it starts yield as well."""
    with yielding_thread(niceness) as thread:
        return thread.submit(load, *arguments).result()


def _yield_cores(niceness: int) -> None:
    if sys.platform != "linux" or not niceness:
        return
    if niceness == IDLE_POLICY:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(LEAST_URGENT, now + niceness))
