"""The pipeline over deployment handles, with metrics of every call.

It does not import Ray: a handle is anything that is called like one, so that tests can use fakes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployments.calls import OK, Response, call_stage, outcome
from deployments.errors import Overloaded
from deployments.messages import Call
from deployments.stages import STAGES, Stage
from deployments.telemetry.metrics import STAGE_CALLS, STAGE_SECONDS, Meters
from deployments.telemetry.traces import current
from serve.pipeline import Pipeline
from serve.settings import AppSettings

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

    Handle = DeploymentHandle[Any]

RECENT_S = 10
"""Seconds for which a successful call counts as a health check."""


class StageHandle:
    """A stage's handle with metrics and the time of its last answer."""

    def __init__(self, stage: Stage, handle: "Handle", meters: Meters) -> None:
        self.name = stage
        self._meters = meters
        self._handle = handle
        self._answered_at = -float("inf")

    async def call(self, start: Callable[["Handle", Call], Response[Any]], call: Call) -> Any:  # noqa: ANN401
        """Return what the stage returns; see `deployments.calls.call_stage`."""
        started, code = time.perf_counter(), OK
        try:
            return await self._call(start, replace(call, trace=current().context))
        except BaseException as error:
            code = outcome(error)
            raise
        finally:
            self._meters.record(STAGE_CALLS, labels={"stage": self.name, "code": code})
            took_s = time.perf_counter() - started
            self._meters.record(STAGE_SECONDS, took_s, {"stage": self.name})

    def calls(self, method: str) -> Callable[..., Awaitable[Any]]:
        """Return the stage's method as the pipeline has it: its inputs, and the `Call` last."""

        async def run(*inputs_and_call: Any) -> Any:  # noqa: ANN401
            *inputs, call = inputs_and_call
            return await self.call(
                lambda handle, left: getattr(handle, method).remote(*inputs, left), call
            )

        return run

    async def check(self, call: Call) -> None:
        """Return when the stage can answer.

        A full queue counts as ready: the stage works, and taking this replica out of
        the load balancer would only shift the load.

        Raises:
            AdmirerError: The stage did not answer within the call's time.
        """
        if asyncio.get_running_loop().time() - self._answered_at < RECENT_S:
            return
        try:
            await self._call(lambda handle, _: handle.check_health.remote(), call)
        except Overloaded:
            return

    async def _call(self, start: Callable[["Handle", Call], Response[Any]], call: Call) -> Any:  # noqa: ANN401
        value = await call_stage(self.name, lambda left: start(self._handle, left), call)
        self._answered_at = asyncio.get_running_loop().time()
        return value


def pipeline(settings: AppSettings, meters: Meters, handles: Mapping[Stage, "Handle"]) -> Pipeline:
    """Return the pipeline over deployments."""
    stages = {stage: StageHandle(stage, handles[stage], meters) for stage in STAGES}

    def calls(stage: Stage, method: str | None = None) -> Callable[..., Awaitable[Any]]:
        return stages[stage].calls(method or STAGES[stage].method)

    return Pipeline(
        caption=calls("captioner"),
        tag=calls("tagger"),
        retrieve=calls("retriever"),
        assemble=calls("assembler"),
        answer=calls("answerer"),
        embed=calls("retriever", "embed"),
        checks={name: stage.check for name, stage in stages.items()},
        degrade=settings.degrade,
        meters=meters,
    )
