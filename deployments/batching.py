"""Greedy batcher: when the model is free, it takes all queued items, up to the batch limit.

Ray's `@serve.batch` closes a batch on a timer even while the model is busy, so that under open load
requests queue behind batches of one or two; here a batch closes only when it can run. Ray's also
fails a whole batch for one bad item, and runs items whose callers have disconnected.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from deployments.calls import within
from deployments.errors import AdmirerError, DeadlineExceeded, ModelNotReady, Overloaded
from deployments.settings import BatchSettings
from deployments.telemetry.metrics import (
    BATCH_ITEMS,
    BATCH_MAX_ITEMS,
    BATCH_NICENESS,
    MODEL_ERRORS,
    MODEL_SECONDS,
    QUEUE_SECONDS,
    Meters,
)
from deployments.telemetry.traces import Span, current
from deployments.thread_priority import model_thread

logger = logging.getLogger("ray.serve")

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class BatchRun:
    """Metrics of one model run."""

    waited_s: tuple[float, ...]
    """Queue time of each item, in seconds."""
    ran_s: float
    failed: int
    """Items that got an error instead of a value."""


def _ignore(run: BatchRun) -> None:
    """Observe nothing."""


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Value]):
    item: Item
    outcome: asyncio.Future[Value]
    """Cancelled when its caller disconnects or its deadline passes."""
    since: float
    deadline: float
    span: Span = field(default_factory=current)
    came_s: float = field(default_factory=time.time)
    """Wall clock, for the trace; uvloop's clock has only milliseconds."""

    def settle(self, outcome: Value | BaseException) -> None:
        if self.outcome.done():
            return
        if isinstance(outcome, BaseException):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class Batcher(Generic[Item, Value]):
    """Runs a model in one thread, on batches of the queued items.

    Args:
        run: Called in the model's thread with one to `max_size` items; returns one value, or
            one error, for each item in order. If it raises, each item is run again alone,
            so that one bad item fails alone and a batch too large for memory still succeeds.
        max_size: Largest batch, in items.
        max_waiting: Most queued items, beside the running batch.
        niceness: Increment of the nice value of the model's thread (`deployments.thread_priority`).
            A higher one makes batches larger where stages share cores.
        observe: Called after each run, on the event loop.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Value | AdmirerError]],
        *,
        max_size: int,
        max_waiting: int,
        niceness: int = 0,
        observe: Callable[[BatchRun], None] = _ignore,
    ) -> None:
        self._run = run
        self._max_size = max_size
        self._max_waiting = max_waiting
        self._observe = observe
        self._thread = model_thread(niceness)
        # A dictionary as an ordered set: a disconnect removes an item from anywhere in the queue.
        self._waiting: dict[_Waiting[Item, Value], None] = {}
        self._working: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: Item, timeout_s: float) -> Value:
        """Return the model's value for `item`.

        Raises:
            Overloaded: `max_waiting` items are queued already.
            DeadlineExceeded: `timeout_s` has passed; an item that was still queued never runs.
            ModelNotReady: The batcher was closed.
            Exception: What `run` raised or returned for this item.
        """
        if self._closed:
            raise ModelNotReady("This stage is shutting down.")
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("Too many requests wait for this stage.")
        loop = asyncio.get_running_loop()
        now = loop.time()
        waiting: _Waiting[Item, Value] = _Waiting(
            item, loop.create_future(), since=now, deadline=now + timeout_s
        )
        self._waiting[waiting] = None
        if self._working is None:
            # An empty context: the task outlives the request that starts it.
            self._working = asyncio.create_task(self._work(), context=contextvars.Context())
        try:
            async with within(timeout_s):
                return await waiting.outcome
        finally:
            self._waiting.pop(waiting, None)

    def close(self) -> None:
        """Refuse queued and new items; the running batch is finished."""
        self._closed = True
        for waiting in list(self._waiting):
            waiting.settle(ModelNotReady("This stage is shutting down."))
        self._waiting.clear()
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        batch: list[_Waiting[Item, Value]] = []
        try:
            while batch := self._take(loop.time()):
                started, began_s = loop.time(), time.time()
                outcomes, ran_s = await loop.run_in_executor(self._thread, self._timed, batch)
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    waiting.settle(outcome)
                self._report(
                    batch,
                    began_s,
                    BatchRun(
                        waited_s=tuple(started - waiting.since for waiting in batch),
                        ran_s=ran_s,
                        failed=sum(isinstance(outcome, BaseException) for outcome in outcomes),
                    ),
                )
        finally:
            self._working = None
            for waiting in batch:
                # Only if this task was cancelled: no caller may wait for ever.
                waiting.settle(ModelNotReady("This stage stopped before it was done."))

    def _report(
        self, batch: Sequence[_Waiting[Item, Value]], began_s: float, run: BatchRun
    ) -> None:
        try:
            _trace(batch, began_s, run.ran_s)
            self._observe(run)
        except Exception:
            # Continue: other callers wait for their items.
            logger.exception("A run of the model could not be reported.")

    def _take(self, now: float) -> list[_Waiting[Item, Value]]:
        """Return the next batch, oldest item first; empty if the queue is."""
        batch: list[_Waiting[Item, Value]] = []
        while self._waiting and len(batch) < self._max_size:
            waiting = next(iter(self._waiting))
            del self._waiting[waiting]
            if waiting.deadline > now and not waiting.outcome.done():
                batch.append(waiting)
        return batch

    def _timed(
        self, batch: Sequence[_Waiting[Item, Value]]
    ) -> tuple[Sequence[Value | BaseException], float]:
        started = time.perf_counter()
        outcomes = self._attempt([waiting.item for waiting in batch])
        if isinstance(outcomes, BaseException):
            outcomes = [outcomes] if len(batch) == 1 else [self._alone(each) for each in batch]
        return outcomes, time.perf_counter() - started

    def _alone(self, waiting: _Waiting[Item, Value]) -> Value | BaseException:
        if waiting.outcome.done():
            return DeadlineExceeded("The caller has disconnected.")
        outcomes = self._attempt([waiting.item])
        return outcomes if isinstance(outcomes, BaseException) else outcomes[0]

    def _attempt(self, items: Sequence[Item]) -> Sequence[Value | BaseException] | BaseException:
        """Return one outcome for each item; if `run` raises, its error for all of them."""
        try:
            outcomes = self._run(items)
        except BaseException as error:  # noqa: BLE001 - it is raised for the callers
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                return error
            # An asyncio future takes no StopIteration, and an exit or a cancellation inside
            # the model must not end the work of everybody else.
            return RuntimeError(f"The model stopped with {type(error).__name__}.")
        if len(outcomes) != len(items):
            return RuntimeError(f"The model gave {len(outcomes)} values for {len(items)} items.")
        return outcomes


def _trace(batch: Sequence[_Waiting[Item, Value]], began_s: float, ran_s: float) -> None:
    """Add queue and model spans to the trace of every item of the batch.

    Items of one caller get one pair of spans, with the longest queue time.
    """
    for waiting in {id(each.span): each for each in reversed(batch)}.values():
        waiting.span.add("queue", waiting.came_s, began_s)
        waiting.span.add("model", began_s, began_s + ran_s, {"admirer.batch.items": len(batch)})


def metered_batcher(
    run: Callable[[Sequence[Item]], Sequence[Value | AdmirerError]],
    settings: BatchSettings,
    meters: Meters,
) -> Batcher[Item, Value]:
    """Return a stage's batcher, which reports its batch limit and every run as metrics."""
    meters.record(BATCH_MAX_ITEMS, settings.max_size)
    meters.record(BATCH_NICENESS, settings.niceness)

    def report(run: BatchRun) -> None:
        for waited_s in run.waited_s:
            meters.record(QUEUE_SECONDS, waited_s)
        meters.record(MODEL_SECONDS, run.ran_s)
        meters.record(BATCH_ITEMS, len(run.waited_s))
        meters.record(MODEL_ERRORS, run.failed)

    return Batcher(
        run,
        max_size=settings.max_size,
        max_waiting=settings.max_waiting,
        niceness=settings.niceness,
        observe=report,
    )
