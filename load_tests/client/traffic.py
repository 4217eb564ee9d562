"""Ask a running app questions: so many callers at a time, or a crowd that does not wait.

The moments at which a crowd asks depend on rate, time and seed alone, so that a prediction can
be made for the very arrivals that will be sent. Every photo gets bytes of its own behind its end,
which decoders skip, so that no cache answers.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from capacity.problems import CapacityError

MAX_REQUESTS = 20_000
TIMEOUT_S = 60.0
Target = Literal["answers", "captioner", "tagger", "retriever"]
ROUTES: dict[Target, str] = {
    "answers": "/v1/answers",
    "captioner": "/v1/captions",
    "tagger": "/v1/tags",
    "retriever": "/v1/examples/search",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A photo and what is asked of it."""

    photo: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request; status 0 is a broken connection."""

    status: int
    took_s: float
    refused: bool = False
    timings_s: dict[str, float] = field(default_factory=dict)


def questions(folder: Path) -> list[Question]:
    """Return the questions of `questions.jsonl` in a folder of photos.

    Raises:
        CapacityError: There are none.
    """
    try:
        lines = (folder / "questions.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        found = [Question((folder / row["photo"]).read_bytes(), row["question"]) for row in rows]
    except (OSError, ValueError, KeyError):
        found = []
    if not found:
        raise CapacityError(f"{folder} has no questions.jsonl that names photos and questions.")
    return found


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the moments at which a crowd asks, in seconds from the start (Poisson)."""
    chance = random.Random(seed)
    moments: list[float] = []
    due = chance.expovariate(rate)
    while due < seconds and len(moments) < MAX_REQUESTS:
        moments.append(due)
        due += chance.expovariate(rate)
    return moments


class Traffic:
    """One client of one app; use it as a context."""

    def __init__(self, url: str, asked: list[Question]) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self._client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_S, limits=limits, trust_env=False
        )
        self._endless: Iterator[Question] = itertools.cycle(asked)
        self._chance = random.Random(0)

    async def __aenter__(self) -> "Traffic":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def closed(self, target: Target, callers: int, seconds: float) -> list[Reply]:
        """Let so many callers ask, each after the answer to its last, for so long."""
        replies: list[Reply] = []
        until = time.perf_counter() + seconds

        async def ask_on() -> None:
            while time.perf_counter() < until and len(replies) < MAX_REQUESTS:
                replies.append(await self.ask(target))

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(ask_on())
        return replies

    async def crowd(self, moments: list[float]) -> list[Reply]:
        """Ask at those moments, whatever becomes of it."""
        started = time.perf_counter()
        sent: list[asyncio.Task[Reply]] = []
        async with asyncio.TaskGroup() as group:
            for due in moments:
                await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
                sent.append(group.create_task(self.ask("answers")))
        return [task.result() for task in sent]

    async def ask(self, target: Target) -> Reply:
        """Ask one question."""
        asked = next(self._endless)
        data = {} if target in {"captioner", "tagger"} else {"question": asked.text}
        photo = asked.photo + self._chance.randbytes(8)
        started = time.perf_counter()
        try:
            response = await self._client.post(
                ROUTES[target], data=data, files={"image": ("photo.jpg", photo, "image/jpeg")}
            )
        except httpx.HTTPError:
            return Reply(0, time.perf_counter() - started)
        took_s = time.perf_counter() - started
        return Reply(
            response.status_code,
            took_s,
            refused=response.status_code == 503 and "retry-after" in response.headers,
            timings_s=server_timing(response.headers.get("server-timing", "")),
        )


def server_timing(header: str) -> dict[str, float]:
    """Return the seconds of each part that a `Server-Timing` header names (W3C)."""
    found: dict[str, float] = {}
    for entry in header.split(","):
        name, *parameters = (piece.strip() for piece in entry.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur" and name:
                found[name] = float(value) / 1000
    return found


async def check_up(url: str) -> dict[str, Any]:
    """Return what the app says of its models.

    Raises:
        CapacityError: Nothing answers, or something else does.
    """
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
            (await client.get("/health/ready")).raise_for_status()
            response = (await client.get("/v1/models")).raise_for_status()
            return dict(response.json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise CapacityError(f"No app is ready at {url}: {reason}.") from None
