"""The ingress: the HTTP API over a pipeline of deployment handles.

It defines `__serve_build_asgi_app__` instead of routes: methods as routes of a class that
another module wraps would make FastAPI ask the caller for `self`.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from fastapi import FastAPI
from ray.serve import ingress
from ray.serve.handle import DeploymentHandle

from deployments.calls import Response, call_stage
from deployments.errors import AdmirerError, Overloaded
from deployments.messages import Call, Stage
from deployments.metrics import STAGE_CALLS, STAGE_MAX_REPLICAS, STAGE_SECONDS, Meters
from deployments.tracing import Tracer, current
from serve.api import create_api
from serve.pipeline import Pipeline
from serve.settings import AppSettings

Handle = DeploymentHandle[Any]

RECENT_S = 10
"""A stage that has answered this recently is ready; asking it again would only add load."""


class StageHandle:
    """One stage as seen from here: how to call it, and when it last answered."""

    def __init__(self, stage: Stage, handle: Handle, meters: Meters) -> None:
        self.name = stage
        self._meters = meters
        self._handle = handle
        self._answered_at = -float("inf")

    async def call(self, start: Callable[[Handle, Call], Response[Any]], call: Call) -> Any:  # noqa: ANN401
        """Return what the stage returns; see `deployments.calls.call_stage`."""
        started, code = time.perf_counter(), "cancelled"
        try:
            value = await self._call(start, replace(call, trace=current().context))
            code = "ok"
        except AdmirerError as error:
            code = error.code
            raise
        finally:
            self._meters.record(STAGE_CALLS, labels={"stage": self.name, "code": code})
            took_s = time.perf_counter() - started
            self._meters.record(STAGE_SECONDS, took_s, {"stage": self.name})
        return value

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

    async def _call(self, start: Callable[[Handle, Call], Response[Any]], call: Call) -> Any:  # noqa: ANN401
        value = await call_stage(self.name, lambda left: start(self._handle, left), call)
        self._answered_at = asyncio.get_running_loop().time()
        return value


@ingress()
class Ingress:
    """Serves the HTTP API."""

    def __init__(
        self,
        settings: AppSettings,
        meters: Meters,
        tracer: Tracer,
        *,
        captioner: Handle,
        tagger: Handle,
        retriever: Handle,
        assembler: Handle,
        answerer: Handle,
    ) -> None:
        self._settings, self._meters, self._tracer = settings, meters, tracer
        for stage in get_args(Stage):
            most = getattr(settings, stage).scaling.autoscaling.max_replicas
            meters.record(STAGE_MAX_REPLICAS, most, {"stage": stage})
        self._pipeline = pipeline(
            settings,
            meters,
            captioner=StageHandle("captioner", captioner, meters),
            tagger=StageHandle("tagger", tagger, meters),
            retriever=StageHandle("retriever", retriever, meters),
            assembler=StageHandle("assembler", assembler, meters),
            answerer=StageHandle("answerer", answerer, meters),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the app that this replica serves."""
        # Ray Serve itself puts the request's id on the response.
        return create_api(
            self._pipeline,
            self._settings,
            meters=self._meters,
            tracer=self._tracer,
            adds_request_id=False,
        )


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
