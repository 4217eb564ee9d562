"""Model threads with a higher nice value, which leave the CPU to other stages on the machine.

Linux has a nice value for each thread, and new threads inherit it from the thread that starts them:
so the threads of a model's library have it, while the event loop of the replica does not.

A niced thread still gets time slices of a few milliseconds, and each context switch evicts CPU
caches. A thread of the policy SCHED_IDLE gets almost none while other threads need its core.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Loaded = TypeVar("Loaded")

LEAST_URGENT = 19
"""Largest nice value (setpriority(2))."""
IDLE_POLICY = LEAST_URGENT + 1
"""One above the largest nice value; stands for the policy SCHED_IDLE of sched(7)."""


def model_thread(niceness: int) -> ThreadPoolExecutor:
    """Return an executor of one thread with its nice value raised, or with SCHED_IDLE."""
    return ThreadPoolExecutor(
        max_workers=1, thread_name_prefix="model", initializer=_set_niceness, initargs=(niceness,)
    )


def load_in_model_thread(niceness: int, load: Callable[..., Loaded], *arguments: object) -> Loaded:
    """Return the result of `load`, run in such a thread; threads that it starts inherit this."""
    with model_thread(niceness) as thread:
        return thread.submit(load, *arguments).result()


def _set_niceness(niceness: int) -> None:
    if sys.platform != "linux" or not niceness:
        return
    if niceness == IDLE_POLICY:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(LEAST_URGENT, now + niceness))
