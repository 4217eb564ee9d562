import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.batching import Batcher
from deployments.thread_priority import IDLE_POLICY, LEAST_URGENT, load_in_model_thread

ON_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only there a thread has a nice value"
)


def nice_value() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@ON_LINUX
async def test_only_the_models_thread_yields_the_cores() -> None:
    def niceness(items: Sequence[int]) -> list[int]:
        return [nice_value() for _ in items]

    here = nice_value()
    plain = Batcher(niceness, max_size=1, max_waiting=1)
    some = Batcher(niceness, max_size=1, max_waiting=1, niceness=2)
    most = Batcher(niceness, max_size=1, max_waiting=1, niceness=LEAST_URGENT)
    assert await some.submit(0, 5) == min(here + 2, LEAST_URGENT)
    assert await most.submit(0, 5) == LEAST_URGENT
    assert await plain.submit(0, 5) == here
    assert nice_value() == here


@ON_LINUX
def test_threads_that_a_model_starts_while_it_is_loaded_yield_as_well() -> None:
    def load(started: str) -> tuple[str, int]:
        with ThreadPoolExecutor(1) as thread:
            return started, thread.submit(nice_value).result()

    here = nice_value()
    assert load_in_model_thread(3, load, "a model") == ("a model", min(here + 3, LEAST_URGENT))
    assert load_in_model_thread(0, load, "another") == ("another", here)
    assert nice_value() == here


@ON_LINUX
def test_all_threads_of_the_idle_policy_run_where_nothing_else_does() -> None:
    def load() -> list[int]:
        with ThreadPoolExecutor(1) as thread:
            return [os.sched_getscheduler(0), thread.submit(os.sched_getscheduler, 0).result()]

    before = os.sched_getscheduler(0)
    assert load_in_model_thread(IDLE_POLICY, load) == [os.SCHED_IDLE] * 2
    assert os.sched_getscheduler(0) == before


def test_a_model_that_cannot_be_loaded_says_so() -> None:
    def load() -> None:
        raise FileNotFoundError("model.onnx")

    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        load_in_model_thread(5, load)
