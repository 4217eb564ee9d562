import asyncio
import random
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from support.virtual_time import run as run_in_virtual_time

from deployments.batching import Batcher, BatchRun
from deployments.errors import BadImage, DeadlineExceeded, ModelNotReady, Overloaded


class Gate:
    """A model that doubles numbers and runs only while the gate is open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.entered = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.entered.set()
        assert self.open.wait(5)
        return [item * 2 for item in items]

    async def is_running(self) -> None:
        await asyncio.to_thread(self.entered.wait, 5)


async def test_items_that_come_together_run_together() -> None:
    gate = Gate()
    gate.open.set()
    batcher = Batcher(gate, max_size=8, max_waiting=8)
    assert await asyncio.gather(*(batcher.submit(n, 5) for n in range(5))) == [0, 2, 4, 6, 8]
    assert gate.batches == [[0, 1, 2, 3, 4]]


async def test_a_free_model_takes_all_that_waits_up_to_the_limit() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=3, max_waiting=8)
    first = asyncio.create_task(batcher.submit(0, 5))
    await gate.is_running()
    rest = [asyncio.create_task(batcher.submit(n, 5)) for n in range(1, 6)]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(first, *rest) == [0, 2, 4, 6, 8, 10]
    assert gate.batches == [[0], [1, 2, 3], [4, 5]]


async def test_an_item_over_the_waiting_limit_is_refused_at_once() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=1, max_waiting=2)
    running = asyncio.create_task(batcher.submit(0, 5))
    await gate.is_running()
    waiting = [asyncio.create_task(batcher.submit(n, 5)) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await batcher.submit(3, 5)
    gate.open.set()
    assert await asyncio.gather(running, *waiting) == [0, 2, 4]


async def test_a_caller_that_has_gone_costs_no_run_and_no_place_in_the_queue() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=4, max_waiting=1)
    running = asyncio.create_task(batcher.submit(0, 5))
    await gate.is_running()
    gone = asyncio.create_task(batcher.submit(1, 5))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    stays = asyncio.create_task(batcher.submit(2, 5))
    await asyncio.sleep(0)
    gate.open.set()
    assert [await running, await stays] == [0, 4]
    assert gate.batches == [[0], [2]]


async def test_an_item_that_is_out_of_time_while_it_waits_never_runs() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=4, max_waiting=4)
    running = asyncio.create_task(batcher.submit(0, 5))
    await gate.is_running()
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(1, 0.01)
    gate.open.set()
    assert await running == 0
    assert gate.batches == [[0]]


async def test_a_caller_is_told_in_time_even_while_its_batch_runs() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=4, max_waiting=4)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(0, 0.05)
    assert time.monotonic() - started < 2
    gate.open.set()
    assert await batcher.submit(1, 5) == 2


async def test_an_item_without_time_left_is_not_run() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=4, max_waiting=4)
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(0, 0)
    assert gate.batches == []


async def test_each_item_gets_its_own_value_or_error() -> None:
    def odd_is_bad(items: Sequence[int]) -> list[int | BadImage]:
        return [BadImage(f"{item} is odd") if item % 2 else item for item in items]

    batcher = Batcher(odd_is_bad, max_size=8, max_waiting=8)
    outcomes = await asyncio.gather(
        *(batcher.submit(n, 5) for n in range(4)), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == ["0", "1 is odd", "2", "3 is odd"]


async def test_one_item_that_breaks_a_batch_fails_alone() -> None:
    calls: list[list[int]] = []

    def breaks_at_two(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        if 2 in items:
            raise ValueError("two")
        return list(items)

    batcher = Batcher(breaks_at_two, max_size=8, max_waiting=8)
    outcomes = await asyncio.gather(
        *(batcher.submit(n, 5) for n in range(4)), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == ["0", "1", "two", "3"]
    assert calls == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_an_item_that_fails_alone_is_not_tried_again() -> None:
    calls = 0

    def breaks(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        raise ValueError(items)

    with pytest.raises(ValueError, match="7"):
        await Batcher(breaks, max_size=8, max_waiting=8).submit(7, 5)
    assert calls == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError(), StopIteration(), SystemExit(1)])
async def test_a_cancellation_or_exit_inside_the_model_hangs_nobody(error: BaseException) -> None:
    broken = True

    def stops(items: Sequence[int]) -> list[int]:
        if broken:
            raise error
        return list(items)

    batcher = Batcher(stops, max_size=8, max_waiting=8)
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(batcher.submit(n, 5) for n in range(3)), return_exceptions=True), 2
    )
    assert all(isinstance(outcome, RuntimeError) for outcome in outcomes)
    broken = False
    assert await batcher.submit(1, 5) == 1


async def test_a_model_that_loses_an_item_is_an_error_not_a_shift() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: list(items)[1:], max_size=8, max_waiting=8)
    outcomes = await asyncio.gather(
        *(batcher.submit(n, 5) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, RuntimeError) for outcome in outcomes)


async def test_a_timeout_error_of_the_model_is_not_taken_for_a_deadline() -> None:
    def breaks(items: Sequence[int]) -> list[int]:
        raise TimeoutError(len(items))

    with pytest.raises(TimeoutError):
        await Batcher(breaks, max_size=8, max_waiting=8).submit(1, 5)


async def test_a_closed_batcher_finishes_what_runs_and_refuses_the_rest() -> None:
    gate = Gate()
    batcher = Batcher(gate, max_size=1, max_waiting=4)
    running = asyncio.create_task(batcher.submit(0, 5))
    await gate.is_running()
    waiting = asyncio.create_task(batcher.submit(1, 5))
    await asyncio.sleep(0)
    batcher.close()
    gate.open.set()
    assert await running == 0
    with pytest.raises(ModelNotReady):
        await waiting
    with pytest.raises(ModelNotReady):
        await batcher.submit(2, 5)


async def test_every_run_is_observed() -> None:
    runs: list[BatchRun] = []
    batcher: Batcher[int, int] = Batcher(
        lambda items: [BadImage("no") if item == 1 else item for item in items],
        max_size=8,
        max_waiting=8,
        observe=runs.append,
    )
    await asyncio.gather(*(batcher.submit(n, 5) for n in range(3)), return_exceptions=True)
    [run] = runs
    assert len(run.waited_s) == 3
    assert run.failed == 1
    assert run.ran_s >= 0


@dataclass
class SlowModel:
    """100 ms a run and 5 ms an item: at most 89 items a second in batches of sixteen."""

    batches: list[int] = field(default_factory=list)

    def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(len(items))
        return items

    def cost_s(self) -> float:
        return 0.1 + 0.005 * self.batches[-1]


@dataclass
class Load:
    """Callers that come as a Poisson process, for one virtual minute."""

    rate: float
    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0

    async def offer(self, batcher: Batcher[int, int]) -> None:
        draw = random.Random(0)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as callers:
            while loop.time() < 60:
                callers.create_task(self._call(batcher))
                await asyncio.sleep(draw.expovariate(self.rate))

    async def _call(self, batcher: Batcher[int, int]) -> None:
        started = asyncio.get_running_loop().time()
        try:
            await batcher.submit(1, 5)
        except Overloaded:
            self.refused += 1
        else:
            self.latencies_s.append(asyncio.get_running_loop().time() - started)


@pytest.mark.parametrize(("rate", "median_s"), [(20, 0.25), (60, 0.3), (80, 0.5)])
def test_it_keeps_up_with_poisson_arrivals_below_the_models_capacity(
    rate: float, median_s: float
) -> None:
    model, load = SlowModel(), Load(rate)
    batcher: Batcher[int, int] = Batcher(model, max_size=16, max_waiting=64)
    run_in_virtual_time(load.offer(batcher), model.cost_s)
    assert len(load.latencies_s) > 50 * rate
    assert load.refused == 0
    assert statistics.median(load.latencies_s) < median_s


def test_at_twice_the_capacity_those_who_are_accepted_keep_their_latency() -> None:
    model, load = SlowModel(), Load(rate=178)
    batcher: Batcher[int, int] = Batcher(model, max_size=16, max_waiting=32)
    run_in_virtual_time(load.offer(batcher), model.cost_s)
    served_per_s = len(load.latencies_s) / 60
    assert 85 <= served_per_s <= 91
    assert load.refused > 0.4 * 178 * 60
    # Two batches before it and its own.
    assert max(load.latencies_s) <= 3 * 0.18 + 0.001


async def test_an_observer_that_fails_strands_nobody() -> None:
    def fail(run: BatchRun) -> None:
        raise ZeroDivisionError(run)

    batcher: Batcher[int, int] = Batcher(
        lambda items: items, max_size=1, max_waiting=8, observe=fail
    )
    found = await asyncio.gather(*(batcher.submit(n, 2) for n in range(3)))
    assert found == [0, 1, 2]
