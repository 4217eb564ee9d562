"""The ingress: the HTTP API over a pipeline of deployment handles.

It defines `__serve_build_asgi_app__` instead of routes: methods as routes of a class that
another module wraps would make FastAPI ask the caller for `self`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from ray.serve import ingress
from ray.serve.handle import DeploymentHandle

from deployments.calls import Response, call_stage
from deployments.errors import Overloaded
from deployments.messages import Call, Stage
from serve.api import create_api
from serve.pipeline import Pipeline
from serve.settings import AppSettings

Handle = DeploymentHandle[Any]

RECENT_S = 10
"""A stage that has answered this recently is ready; asking it again would only add load."""


class StageHandle:
    """One stage as seen from here: how to call it, and when it last answered."""

    def __init__(self, stage: Stage, handle: Handle) -> None:
        self.name = stage
        self._handle = handle
        self._answered_at = -float("inf")

    async def call(self, start: Callable[[Handle, Call], Response[Any]], call: Call) -> Any:  # noqa: ANN401
        """Return what the stage returns; see `deployments.calls.call_stage`."""
        value = await call_stage(self.name, lambda left: start(self._handle, left), call)
        self._answered_at = asyncio.get_running_loop().time()
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
            await self.call(lambda handle, _: handle.check_health.remote(), call)
        except Overloaded:
            return


@ingress()
class Ingress:
    """Serves the HTTP API."""

    def __init__(
        self,
        settings: AppSettings,
        *,
        captioner: Handle,
        tagger: Handle,
        retriever: Handle,
        assembler: Handle,
        answerer: Handle,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline(
            settings,
            captioner=StageHandle("captioner", captioner),
            tagger=StageHandle("tagger", tagger),
            retriever=StageHandle("retriever", retriever),
            assembler=StageHandle("assembler", assembler),
            answerer=StageHandle("answerer", answerer),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the app that this replica serves."""
        # Ray Serve itself puts the request's id on the response.
        return create_api(self._pipeline, self._settings, adds_request_id=False)


def pipeline(
    settings: AppSettings,
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
            lambda handle, _: handle.assemble.remote(caption, tags, question, examples), call
        ),
        answer=lambda prompt, call: answerer.call(
            lambda handle, left: handle.answer.remote(prompt, left), call
        ),
        embed=lambda photos, texts, call: retriever.call(
            lambda handle, left: handle.embed.remote(photos, texts, left), call
        ),
        checks={stage.name: stage.check for stage in stages},
        degrade=settings.degrade,
    )
