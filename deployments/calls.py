"""The one owner of a call's time and of how it ended, and the one way to call a stage.

A limit inside another of the same length has no time-out of its own: it sees a cancellation, and
so does a replica whose caller's time is over. `outcome` tells that from a caller who went away by
asking whether the time of the running work has passed; metrics, logs and spans all ask it.

A time-out around a handle call is not enough: over Ray's default transport the stage
would work on to the end. And a call whose replica dies fails there and then: Ray retries
only what no replica had accepted.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from deployments.errors import (
    INTERNAL,
    AdmirerError,
    AnswererFailed,
    DeadlineExceeded,
    ModelNotReady,
    Overloaded,
    StageFailed,
)
from deployments.messages import Call
from deployments.stages import Stage
from deployments.telemetry.logs import fields
from deployments.telemetry.traces import Tracer

OK, CANCELLED = "ok", "cancelled"

_EARLY_S = 0.01
"""By which a timer of the event loop may be early."""
_CLOCKS_S = 0.25
"""By which clocks of two nodes may differ; a caller who goes away in the last of its time counts as
out of time, which harms less than a hang that counts as a caller who went away."""

logger = logging.getLogger("ray.serve")

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Response(Awaitable[Value_co], Protocol[Value_co]):
    """What a deployment handle's `remote` returns."""

    def cancel(self) -> None:
        """Stop the call and all that it started."""
        ...


_OUT_OF_TIME = "The time for this request has passed."


class _ReplicaGone(Exception):
    """The replica went away while it worked on the call."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """When the time of the running work is over, by the clock of its event loop."""

    clock: Callable[[], float]
    ends_at: float
    """When the work is stopped here."""
    over_at: float
    """When the caller's time is over: in a replica sooner, by what the call waited on its way."""

    def is_over(self) -> bool:
        return self.clock() >= self.over_at - _EARLY_S


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def outcome(error: BaseException | None) -> str:
    """Return how work ended that raised `error`, or nothing; ask inside the limit of the work.

    Returns:
        `ok`; one of our codes, among them `deadline_exceeded` whoever stopped the work when its
        time was over; `cancelled` if nobody waits for it any more; else `internal_error`.
    """
    if error is None:
        return OK
    if isinstance(error, AdmirerError):
        return error.code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        limit = _limit.get()
        return DeadlineExceeded.code if limit and limit.is_over() else CANCELLED
    return INTERNAL


def code_of(error: BaseException) -> str:
    """Return what a span says of an error: its outcome, or the name of an unexpected one."""
    code = outcome(error)
    return type(error).__name__ if code == INTERNAL else code


@contextlib.asynccontextmanager
async def within(timeout_s: float, *, already_s: float = 0) -> AsyncIterator[None]:
    """Bound the time of the work inside; a limit that is not shorter than an outer one is its.

    Args:
        timeout_s: From now.
        already_s: What the call waited on its way here.

    Raises:
        DeadlineExceeded: The time has passed; what ran has been cancelled.
    """
    if timeout_s <= 0:
        raise DeadlineExceeded(_OUT_OF_TIME)
    clock, outer = asyncio.get_running_loop().time, _limit.get()
    ends_at = clock() + timeout_s
    limit = _Limit(clock, ends_at, ends_at - min(max(already_s, 0), timeout_s))
    is_shorter = True
    if outer is not None:
        is_shorter = ends_at < outer.ends_at - _EARLY_S
        limit = replace(
            limit,
            ends_at=min(ends_at, outer.ends_at),
            over_at=min(limit.over_at, outer.over_at),
        )
    _limit.set(limit)
    try:
        async with asyncio.timeout_at(ends_at if is_shorter else None) as timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise DeadlineExceeded(_OUT_OF_TIME) from None
    finally:
        _limit.set(outer)


@contextlib.asynccontextmanager
async def received(stage: Stage, call: Call, tracer: Tracer) -> AsyncIterator[None]:
    """Take a call of a stage in, where the stage runs: its time and its trace.

    Raises:
        DeadlineExceeded: The call's time has passed.
    """
    already_s = 0.0 if call.sent_at_s is None else time.time() - call.sent_at_s + _CLOCKS_S
    async with within(call.timeout_s, already_s=already_s):
        with tracer.join(stage, call.trace):
            yield


async def call_stage(stage: Stage, start: Callable[[Call], Response[Value]], call: Call) -> Value:
    """Return what the stage returns.

    A call whose replica died is made once more: no stage changes anything outside itself,
    and the worst that a second attempt costs is a language model's tokens.

    Args:
        stage: Named in errors and logs.
        start: Starts the call, for example `lambda call: handle.caption.remote(photo, call)`;
            gets `call` with the time that is left.
        call: Request id and the time that this call may take, queues included.

    Raises:
        AdmirerError: The stage's own error; `DeadlineExceeded`; `Overloaded` when its queue is
            full; `ModelNotReady` when it has no replica or lost it twice; and `StageFailed`
            (`AnswererFailed`) for anything else, whose traceback goes to the log only.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.timeout_s
    async with within(call.timeout_s):
        for _attempt in range(2):
            left = replace(call, timeout_s=deadline - loop.time(), sent_at_s=time.time())
            try:
                return await _finish(start(left))
            except Exception as error:  # noqa: BLE001 - raised again as ours
                ours = _translate(stage, error, call)
                if not isinstance(ours, _ReplicaGone):
                    raise ours from (None if ours is error else error)
                logger.warning(
                    "The %s lost a replica during request %s.",
                    stage,
                    call.request_id,
                    extra=fields(request_id=call.request_id, stage=stage),
                )
    raise ModelNotReady(f"The {stage} lost its replica while it worked on this request.")


async def _finish(response: Response[Value]) -> Value:
    """Return the response's value; stop the call when this task is stopped."""
    try:
        return await response
    except asyncio.CancelledError:
        # Cancelling a call that has just failed raises its error.
        with contextlib.suppress(Exception):
            response.cancel()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise _ReplicaGone from None


def _translate(stage: Stage, error: Exception, call: Call) -> Exception:
    """Return our error for whatever a handle call raised."""
    cause = getattr(error, "cause", None)  # Ray's default transport wraps a stage's error
    original = cause if isinstance(cause, Exception) else error
    if isinstance(original, AdmirerError | _ReplicaGone):
        return original
    known = _translate_rays_own(stage, original)
    if known is not None:
        return known
    failed = AnswererFailed if stage == "answerer" else StageFailed
    logger.error(
        "The %s failed on request %s.",
        stage,
        call.request_id,
        exc_info=error,
        extra=fields(request_id=call.request_id, stage=stage, code=failed.code),
    )
    return failed(f"The {stage} failed.")


def _translate_rays_own(stage: Stage, error: Exception) -> Exception | None:
    """Return our error for what Ray raises by itself; None for what a stage raised."""
    from ray.exceptions import RayActorError, TaskCancelledError
    from ray.serve.exceptions import (
        BackPressureError,
        DeploymentUnavailableError,
        ReplicaUnavailableError,
    )

    if isinstance(error, BackPressureError):
        return Overloaded(f"Too many requests wait for the {stage}.")
    if isinstance(error, DeploymentUnavailableError):
        return ModelNotReady(f"The {stage} is not running.")
    if isinstance(error, RayActorError | ReplicaUnavailableError | TaskCancelledError):
        return _ReplicaGone()
    return None
