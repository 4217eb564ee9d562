"""The pipeline over deployment handles, and what is reported of every call.

Without Ray: a handle is whatever is called like one, so that a test's fakes are called as
replicas are.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployments.calls import OK, Response, call_stage, outcome
from deployments.errors import Overloaded
from deployments.messages import Call, Stage
from deployments.telemetry.metrics import STAGE_CALLS, STAGE_SECONDS, Meters
from deployments.telemetry.traces import current
from serve.pipeline import Pipeline
from serve.settings import AppSettings

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

    Handle = DeploymentHandle[Any]

RECENT_S = 10
"""A stage that has answered this recently is ready; asking it again would only add load."""


class StageHandle:
    """One stage as seen from here: how to call it, and when it last answered."""

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

    async def check(self, call: Call) -> None:
        """Return when the stage can answer.

        A full queue counts as ready: the stage works, and taking this replica out of
        the load balancer would only shift the load.

        Raises:
            AdmirerError: The stage gave no sign of life within the call's time.
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


def pipeline(
    settings: AppSettings,
    meters: Meters,
    *,
    captioner: StageHandle,
    tagger: StageHandle,
    retriever: StageHandle,
    assembler: StageHandle,
    answerer: StageHandle,
) -> Pipeline:
    """Return the pipeline whose stages are deployments."""
    stages = (captioner, tagger, retriever, assembler, answerer)
    return Pipeline(
        caption=lambda photo, call: captioner.call(
            lambda handle, left: handle.caption.remote(photo, left), call
        ),
        tag=lambda photo, call: tagger.call(
            lambda handle, left: handle.tag.remote(photo, left), call
        ),
        retrieve=lambda photo, question, k, call: retriever.call(
            lambda handle, left: handle.retrieve.remote(photo, question, k, left), call
        ),
        assemble=lambda caption, tags, question, examples, call: assembler.call(
            lambda handle, left: handle.assemble.remote(caption, tags, question, examples, left),
            call,
        ),
        answer=lambda prompt, call: answerer.call(
            lambda handle, left: handle.answer.remote(prompt, left), call
        ),
        embed=lambda photos, texts, call: retriever.call(
            lambda handle, left: handle.embed.remote(photos, texts, left), call
        ),
        checks={stage.name: stage.check for stage in stages},
        degrade=settings.degrade,
        meters=meters,
    )
