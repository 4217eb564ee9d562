"""Ask a running app: so many callers at a time, or a crowd that does not wait.

The moments at which a crowd asks depend on rate, time and seed alone, so that a prediction can be
made for the very arrivals that will be sent. A caller is a thread: a client that every environment
has (urllib3) needs no event loop, and a thread that waits costs nothing.
"""

import itertools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

import urllib3

from load_tests.client.messages import Fields, Reply, form
from load_tests.client.questions import PhotoQuestion, as_new

MAX_REQUESTS = 20_000
TIMEOUT_S = 120.0
ANSWERS = "/v1/answers"
PHOTO_ALONE = {"/v1/captions", "/v1/tags"}
"""Routes that take no question."""

Result = TypeVar("Result")


class Client:
    """Asks one app questions in turn, from any number of threads; use it as a context.

    Args:
        url: Address of the app.
        questions: Asked one after the other, from the start again after the last.
        new_photos: Give every photo bytes of its own, so that no cache answers.
        keep_alive: Use connections again; otherwise each request has its own, as with curl.
        timeout_s: Seconds that a server may be silent.
    """

    def __init__(
        self,
        url: str,
        questions: Sequence[PhotoQuestion],
        *,
        new_photos: bool = False,
        keep_alive: bool = True,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url, self._questions, self._new_photos = url, questions, new_photos
        self._keep_alive = keep_alive
        self._turns = itertools.count()
        # Retries would hide failures, and waiting for a connection would delay a request.
        self._pool = urllib3.PoolManager(
            retries=False, timeout=timeout_s, maxsize=256 if keep_alive else 1, block=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def ask(self, route: str = ANSWERS) -> Reply:
        """Send the next question, or its photo alone to a route that takes no more."""
        asked = self._questions[next(self._turns) % len(self._questions)]
        photo = as_new(asked.photo) if self._new_photos else asked.photo
        question = () if route in PHOTO_ALONE else (("question", asked.question),)
        return self.post(route, (*question, ("image", photo)))

    def post(self, route: str, fields: Fields) -> Reply:
        """Send a form."""
        body, kind = form(fields)
        headers = {"Content-Type": kind} | ({} if self._keep_alive else {"Connection": "close"})
        started = time.perf_counter()
        try:
            response = self._pool.request("POST", self._url + route, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            took_s = time.perf_counter() - started
            return Reply(0, {}, f"{type(error).__name__}: {error}", took_s)
        took_s = time.perf_counter() - started
        names = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, names, response.data.decode(errors="replace"), took_s)


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the moments at which a crowd asks, in seconds from the start (Poisson)."""
    chance = random.Random(seed)
    moments: list[float] = []
    due = chance.expovariate(rate)
    while due < seconds and len(moments) < MAX_REQUESTS:
        moments.append(due)
        due += chance.expovariate(rate)
    return moments


def crowd(send: Callable[[], Result], moments: Sequence[float]) -> list[Result]:
    """Send at those times, not waiting for replies; return each result, in order."""
    with ThreadPoolExecutor(MAX_REQUESTS) as callers:
        started = time.perf_counter()
        sent = []
        for due in moments:
            time.sleep(max(0.0, started + due - time.perf_counter()))
            sent.append(callers.submit(send))
        return [each.result() for each in sent]


def closed(
    send: Callable[[], Result],
    *,
    callers: int,
    seconds: float = math.inf,
    count: int = MAX_REQUESTS,
    stop: threading.Event | None = None,
) -> list[Result]:
    """Let so many callers send, each after the answer to its last.

    Args:
        send: Sends one request and returns what came of it.
        callers: How many there are.
        seconds: Time after which no further request starts.
        count: Requests of all callers together.
        stop: Ends it earlier.
    """
    turns = iter(range(min(count, MAX_REQUESTS)))
    until = time.perf_counter() + seconds
    results: list[Result] = []

    def send_one() -> bool:
        is_over = time.perf_counter() >= until or (stop is not None and stop.is_set())
        if is_over or next(turns, None) is None:
            return False
        results.append(send())
        return True

    _at_the_same_time(callers, send_one)
    return results


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds in the middle of steady traffic."""

    replies: Sequence[Reply]
    """To the requests that ended in it."""
    seconds: float
    spent: Counter[str]
    """What the counters that were read at both its ends grew by."""


def steady(
    send: Callable[[], Reply], *, callers: int, count: int, read: Callable[[], Counter[str]]
) -> Window:
    """Have callers send without a pause; return the time of `count` replies in the midst of it.

    The window opens with the reply after each caller's second, so that neither the rush of the
    beginning nor the calm of the end is in it: all first questions meet idle stages, their answers
    come in a heap, and those after them late. What is then still being answered is waited for.
    """
    before = 2 * callers + 1
    replies: list[Reply] = []
    ended: list[float] = []
    marks: list[Counter[str]] = []
    one_at_a_time = threading.Lock()

    def send_one() -> bool:
        reply, end = send(), time.perf_counter()
        with one_at_a_time:
            replies.append(reply)
            ended.append(end)
            if len(ended) in {before, before + count}:
                marks.append(read())
            return len(ended) < before + count

    _at_the_same_time(callers, send_one)
    seconds = ended[before + count - 1] - ended[before - 1]
    return Window(replies[before : before + count], seconds, marks[1] - marks[0])


def _at_the_same_time(callers: int, send_one: Callable[[], bool]) -> None:
    """Have threads send until they are told that nothing is left, or one of them fails."""
    is_broken_off = threading.Event()

    def send_on() -> None:
        while not is_broken_off.is_set() and send_one():
            pass

    with ThreadPoolExecutor(callers) as threads:
        try:
            for each in [threads.submit(send_on) for _ in range(callers)]:
                each.result()
        except BaseException:
            is_broken_off.set()
            raise
