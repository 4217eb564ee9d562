"""The same Poisson arrivals for `@serve.batch` and for ours, at the same time, in one process."""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from ray import serve as ray_serve
from ray.serve.batching import _BatchQueue

from deployments.batching import Batcher

# Collected where no event loop runs, Ray's queue opens one and leaves it open: some later test
# would be blamed for that.
del _BatchQueue.__del__

# A model of 100 ms a run and 5 ms an item, five times as fast as real.
SPEED = 5
RATE = 60 * SPEED
WINDOW_S = 15 / SPEED
RAYS_DEFAULT_WAIT_S = 0.01
MAX_SIZE = 16


def run_s(items: int) -> float:
    return (0.1 + 0.005 * items) / SPEED


@dataclass
class Served:
    latencies_s: list[float] = field(default_factory=list)

    async def call(self, submit: Callable[[int], Awaitable[int]], until: float) -> None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(until - started):
                assert await submit(7) == 7
        except TimeoutError:
            return
        self.latencies_s.append(time.monotonic() - started)


@pytest.fixture
def rays_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much of a replica as `@serve.batch` asks for outside one."""
    config = SimpleNamespace(max_ongoing_requests=1000)
    monkeypatch.setattr(
        ray_serve, "get_replica_context", lambda: SimpleNamespace(_deployment_config=config)
    )


@pytest.mark.usefixtures("rays_replica")
async def test_ours_serves_all_of_what_rays_serves_a_part() -> None:
    thread = asyncio.Lock()

    @ray_serve.batch(max_batch_size=MAX_SIZE, batch_wait_timeout_s=RAYS_DEFAULT_WAIT_S / SPEED)
    async def rays(items: list[int]) -> list[int]:
        async with thread:
            await asyncio.sleep(run_s(len(items)))
        return items

    def model(items: Sequence[int]) -> Sequence[int]:
        time.sleep(run_s(len(items)))
        return items

    ours: Batcher[int, int] = Batcher(model, max_size=MAX_SIZE, max_waiting=10_000)
    by_ray, by_us, offered = Served(), Served(), 0
    draw = random.Random(0)
    end = time.monotonic() + WINDOW_S
    at = time.monotonic()
    async with asyncio.TaskGroup() as callers:
        while at < end:
            callers.create_task(by_ray.call(rays, end + 3 / SPEED))
            callers.create_task(by_us.call(lambda item: ours.submit(item, 60), end + 3 / SPEED))
            offered += 1
            at += draw.expovariate(RATE)
            await asyncio.sleep(max(0, at - time.monotonic()))
    share_of_ray, share_of_us = len(by_ray.latencies_s) / offered, len(by_us.latencies_s) / offered
    assert offered > 0.8 * RATE * WINDOW_S
    assert share_of_us > 0.95
    assert share_of_ray < 0.7 * share_of_us
    assert statistics.median(by_us.latencies_s) < 0.2 * statistics.median(by_ray.latencies_s)
