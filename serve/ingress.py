"""The ingress: the HTTP API over a pipeline of deployment handles.

It defines `__serve_build_asgi_app__` instead of routes: methods as routes of a class that
another module wraps would make FastAPI ask the caller for `self`.
"""

from typing import Any, get_args

from fastapi import FastAPI
from ray.serve import ingress
from ray.serve.handle import DeploymentHandle

from deployments.messages import Stage
from deployments.telemetry.metrics import STAGE_MAX_REPLICAS, Meters
from deployments.telemetry.traces import Tracer
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings
from serve.stage_handles import StageHandle, pipeline

Handle = DeploymentHandle[Any]


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
