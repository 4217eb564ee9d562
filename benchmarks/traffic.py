"""Send questions to a running app: one after another, a few at a time, or as a crowd does.

A crowd does not wait for answers: its requests come at random moments (Poisson arrivals), and a
server that slows down gets no rest. Requests and seconds are bounded, and so is the address: only
this machine is ever asked.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from benchmarks.questions import Request

MAX_REQUESTS = 20_000
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request; status 0 is a broken connection."""

    status: int
    took_s: float
    retry_after: str | None
    server_timing: str = ""

    @property
    def timings_ms(self) -> dict[str, float]:
        """What the server says that its parts took, by their names."""
        parts = (part.split(";dur=") for part in self.server_timing.split(", ") if part)
        return {name: float(ms) for name, ms in parts}


def one_after_another(url: str, requests: Sequence[Request], count: int) -> list[Outcome]:
    """Send so many requests, each after the answer to the last."""
    return asyncio.run(closed(url, requests, workers=1, count=count))[0]


async def closed(
    url: str, requests: Sequence[Request], *, workers: int, count: int
) -> tuple[list[Outcome], float]:
    """Send `count` requests, `workers` at a time; return outcomes and seconds taken."""
    turns = iter(range(min(count, MAX_REQUESTS)))
    outcomes: list[Outcome] = []

    async def work(client: httpx.AsyncClient) -> None:
        for turn in turns:
            outcome = await _ask(client, requests[turn % len(requests)])
            outcomes.append(outcome)

    async with _client(url) as client, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for _ in range(workers):
            group.create_task(work(client))
    return outcomes, time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds in the middle of steady traffic."""

    outcomes: Sequence[Outcome]
    """Of the requests that ended in it."""
    seconds: float
    spent: Counter[str]
    """What the counters that were read at both its ends grew by."""


async def steady(
    url: str,
    requests: Sequence[Request],
    *,
    workers: int,
    count: int,
    read: Callable[[], Counter[str]],
) -> Window:
    """Have `workers` ask without a pause; return the time of `count` answers in the midst of it.

    The window opens with the answer after each worker's second, so that neither the rush of the
    beginning nor the calm of the end is in it: all first questions meet idle stages, their answers
    come in a heap, and those after them late. What is then still being answered is given up.
    """
    before = 2 * workers + 1
    outcomes: list[Outcome] = []
    ended: list[float] = []
    marks: list[Counter[str]] = []
    is_over = asyncio.Event()
    endless = itertools.cycle(requests)

    async def work(client: httpx.AsyncClient) -> None:
        while True:
            outcomes.append(await _ask(client, next(endless)))
            ended.append(time.perf_counter())
            if len(outcomes) in {before, before + count}:
                marks.append(read())
            if len(outcomes) == before + count:
                is_over.set()

    async with _client(url) as client:
        tasks = [asyncio.create_task(work(client)) for _ in range(workers)]
        await is_over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    seconds = ended[before + count - 1] - ended[before - 1]
    return Window(outcomes[before : before + count], seconds, marks[1] - marks[0])


async def crowd(
    url: str, requests: Sequence[Request], *, rate: float, seconds: float, seed: int
) -> list[Outcome]:
    """Send requests at `rate` a second for so long, whatever becomes of them."""
    arrivals = random.Random(seed)
    sent: list[asyncio.Task[Outcome]] = []
    endless = itertools.cycle(requests)
    async with _client(url) as client, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        due = arrivals.expovariate(rate)
        while due < seconds and len(sent) < MAX_REQUESTS:
            await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
            sent.append(group.create_task(_ask(client, next(endless))))
            due += arrivals.expovariate(rate)
    return [task.result() for task in sent]


async def _ask(client: httpx.AsyncClient, request: Request) -> Outcome:
    data, files = request.form()
    started = time.perf_counter()
    try:
        response = await client.post("/v1/answers", data=data, files=files)
    except httpx.HTTPError:
        return Outcome(0, time.perf_counter() - started, None)
    took_s = time.perf_counter() - started
    headers = response.headers
    return Outcome(
        response.status_code, took_s, headers.get("retry-after"), headers.get("server-timing", "")
    )


def _client(url: str) -> httpx.AsyncClient:
    host = urlsplit(url).hostname
    if host not in {"127.0.0.1", "localhost", "::1"}:
        raise ValueError(f"{host} is not this machine")
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits)
