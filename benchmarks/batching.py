"""Our greedy batcher against Ray's `@serve.batch`, under a crowd that does not wait.

The model is a thread that sleeps 100 ms however many items it gets, which is what a batch costs
on a GPU that is far from full. Expected before measuring, at 20 arrivals a second: the greedy
batcher answers all at p50 about 170 ms (the rest of a run plus a run); `@serve.batch` with its
10 ms timer closes batches of one or two while the model is busy, runs out of time for some and
keeps the others waiting for seconds.

Both run in one replica, and the arrivals with them, because `@serve.batch` works only inside a
replica and hops between processes would be measured otherwise.

    python -m benchmarks.batching
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import medians, percentiles_ms
from benchmarks.machine import write
from deployments.batching import Batcher
from deployments.errors import AdmirerError
from serve.cli.ray_environment import environment

MODEL_S = 0.1
MAX_SIZE = 16
TIMEOUT_S = 5.0

OURS, RAYS = "greedy (ours)", "@serve.batch"
Submit = Callable[[int], Awaitable[int]]


def model(items: list[int]) -> list[int]:
    """Take as long for many items as for one."""
    time.sleep(MODEL_S)
    return items


class Contest:
    """A deployment with both batchers, each in front of the same model in one thread."""

    def __init__(self) -> None:
        from ray import serve

        thread = ThreadPoolExecutor(1)

        async def run(items: list[int]) -> list[int]:
            return await asyncio.get_running_loop().run_in_executor(thread, model, items)

        ours: Batcher[int, int] = Batcher(
            lambda items: model(list(items)), max_size=MAX_SIZE, max_waiting=10_000
        )
        rays = serve.batch(max_batch_size=MAX_SIZE, batch_wait_timeout_s=0.01)(run)
        self._submit: dict[str, Submit] = {
            OURS: lambda item: ours.submit(item, TIMEOUT_S),
            RAYS: lambda item: asyncio.wait_for(rays(item), TIMEOUT_S),
        }

    async def crowd(self, name: str, rate: float, seconds: float, seed: int) -> list[float | None]:
        """Return how many seconds each arrival took, None where it ran out of time."""
        submit = self._submit[name]

        async def one(item: int) -> float | None:
            started = time.perf_counter()
            try:
                await submit(item)
            except (AdmirerError, TimeoutError):
                return None
            return time.perf_counter() - started

        arrivals = random.Random(seed)
        tasks: list[asyncio.Task[float | None]] = []
        started, due = time.perf_counter(), 0.0
        while (due := due + arrivals.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(len(tasks))))
        return await asyncio.gather(*tasks)


def main(
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Arrivals a second.")] = 20,
    seconds: Annotated[float, typer.Option(min=1, max=120)] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=20)] = 3,
) -> None:
    """Send the same arrivals to both in turn, and print medians over the rounds."""
    figures: dict[str, list[dict[str, float]]] = {OURS: [], RAYS: []}
    with _contest() as crowd:
        for seed in range(rounds):
            for name, rounds_of_name in figures.items():
                rounds_of_name.append(_figures(crowd(name, rate, seconds, seed)))
    table = Table("batcher", "served %", "p50 ms", "p99 ms", title=f"{rate:g} arrivals a second")
    of_rounds = {name: medians(values) for name, values in figures.items()}
    for name, each in of_rounds.items():
        table.add_row(name, *(f"{value:.0f}" for value in each.values()))
    console = Console()
    console.print(table)
    console.print(f"Wrote {write('batching', {'rate': rate, 'medians': of_rounds})}.")


@contextmanager
def _contest() -> Iterator[Callable[[str, float, float, int], list[float | None]]]:
    """Start a Ray without any HTTP, and give what sends a crowd to one of the batchers."""
    os.environ.update(environment("default"))
    import ray
    from ray import serve

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        serve.start(proxy_location="Disabled")
        contest = serve.deployment(name="contest", max_ongoing_requests=MAX_SIZE)(Contest)
        handle = serve.run(contest.bind(), name="contest", route_prefix=None)
        yield lambda *arguments: handle.crowd.remote(*arguments).result()
    finally:
        serve.shutdown()
        ray.shutdown()


def _figures(took_s: list[float | None]) -> dict[str, float]:
    served_s = [each for each in took_s if each is not None]
    share = len(served_s) / max(1, len(took_s))
    return {"served_percent": 100 * share, **percentiles_ms(served_s, 50, 99)}


if __name__ == "__main__":
    typer.run(main)
