"""Calls of a stage: deadline, outcome, cancellation, retry, and mapping of errors.

This module alone decides how a call ended; metrics, logs and spans read `outcome`. Of nested time
limits with the same end, only the outermost times out: the others see a cancellation, as does a
replica whose caller has timed out. So `outcome` reports a cancelled task whose deadline has passed
as `deadline_exceeded`, and as `cancelled` only before that.

A time-out around a handle call is not enough: over Ray's default transport the stage would run to
the end. Nor does Ray retry a call whose replica dies: it retries only calls that no replica had
accepted.
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
"""Seconds by which a timer of the event loop may fire early."""
_CLOCKS_S = 0.25
"""Seconds by which clocks of two nodes may differ. A disconnect so close to the deadline counts as
`deadline_exceeded`, which does less harm than a hang that counts as a disconnect."""

logger = logging.getLogger("ray.serve")

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Response(Awaitable[Value_co], Protocol[Value_co]):
    """What a deployment handle's `remote` returns."""

    def cancel(self) -> None:
        """Cancel the call and the calls that it started."""
        ...


_OUT_OF_TIME = "The time for this request has passed."


class _ReplicaGone(Exception):
    """The replica died during the call."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """Deadline of the running task, by the clock of its event loop."""

    clock: Callable[[], float]
    ends_at: float
    """When the task is cancelled in this process."""
    over_at: float
    """The caller's deadline: in a replica, earlier by the time that the call was under way."""

    def is_over(self) -> bool:
        return self.clock() >= self.over_at - _EARLY_S


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def outcome(error: BaseException | None) -> str:
    """Return how a task ended that raised `error`, or None; call it inside the task's time limit.

    Returns:
        `ok`; the code of an AdmirerError; for a cancelled task, `deadline_exceeded` if its deadline
        has passed and `cancelled` if not; else `internal_error`.
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
    """Return an error's `error.type`: its outcome, or the class name of an unexpected error."""
    code = outcome(error)
    return type(error).__name__ if code == INTERNAL else code


@contextlib.asynccontextmanager
async def within(timeout_s: float, *, already_s: float = 0) -> AsyncIterator[None]:
    """Limit the time of the block; an earlier limit of an outer block stays in force.

    Args:
        timeout_s: Time limit in seconds, from now.
        already_s: Seconds of the caller's time that passed before the call arrived here.

    Raises:
        DeadlineExceeded: The time has passed; the block has been cancelled.
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
    """Run a call in the replica of its stage, within its deadline and its trace.

    Raises:
        DeadlineExceeded: The call's time has passed.
    """
    already_s = 0.0 if call.sent_at_s is None else time.time() - call.sent_at_s + _CLOCKS_S
    async with within(call.timeout_s, already_s=already_s):
        with tracer.join(stage, call.trace):
            yield


async def call_stage(stage: Stage, start: Callable[[Call], Response[Value]], call: Call) -> Value:
    """Return what the stage returns.

    A call whose replica died is retried once: stages have no side effects, and a retry costs at
    most a language model's tokens.

    Args:
        stage: Named in errors and logs.
        start: Starts the call, for example `lambda call: handle.caption.remote(photo, call)`;
            gets `call` with the time left.
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
    """Return the response's value; cancel the call when this task is cancelled."""
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
    """Return our error for any error of a handle call."""
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
    """Return our error for an error of Ray itself; None for an error of a stage."""
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
