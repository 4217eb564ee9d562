"""The one way to call a stage: within the deadline, cancelled with its caller, errors ours.

A time-out around a handle call is not enough: over Ray's default transport the stage
would work on to the end. And a call whose replica dies fails there and then: Ray retries
only what no replica had accepted.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from deployments.errors import (
    AdmirerError,
    AnswererFailed,
    DeadlineExceeded,
    ModelNotReady,
    Overloaded,
    StageFailed,
)
from deployments.logs import fields
from deployments.messages import Call, Stage

OUT_OF_TIME = "The time for this request has passed."

logger = logging.getLogger("ray.serve")

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Response(Awaitable[Value_co], Protocol[Value_co]):
    """What a deployment handle's `remote` returns."""

    def cancel(self) -> None:
        """Stop the call and all that it started."""
        ...


class _ReplicaGone(Exception):
    """The replica went away while it worked on the call."""


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
    for _attempt in range(2):
        left_s = deadline - loop.time()
        if left_s <= 0:
            raise DeadlineExceeded(OUT_OF_TIME)
        try:
            return await _finish(start(replace(call, timeout_s=left_s)), left_s)
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


async def _finish(response: Response[Value], timeout_s: float) -> Value:
    """Return the response's value; stop the call when time is up or our own caller has gone."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
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
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceeded(OUT_OF_TIME) from None


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
