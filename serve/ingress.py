"""The ingress: the HTTP API over a pipeline of deployment handles.

It defines `__serve_build_asgi_app__` instead of routes: methods as routes of a class that
another module wraps would make FastAPI ask the caller for `self`.
"""

import os
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray.serve import ingress
from ray.serve.handle import DeploymentHandle

from deployments.stages import STAGES, Stage
from deployments.telemetry.metrics import STAGE_MAX_REPLICAS, Meters
from deployments.telemetry.traces import Tracer
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings
from serve.stage_handles import pipeline

Handle = DeploymentHandle[Any]


@ingress()
class Ingress:
    """Serves the HTTP API."""

    def __init__(
        self,
        settings: AppSettings,
        meters: Meters,
        tracer: Tracer,
        stages: Mapping[Stage, Handle],
    ) -> None:
        self._settings, self._meters, self._tracer = settings, meters, tracer
        for stage in STAGES:
            most = settings.stage(stage).scaling.autoscaling.max_replicas
            meters.record(STAGE_MAX_REPLICAS, most, {"stage": stage})
        self._pipeline = pipeline(settings, meters, stages)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the app that this replica serves."""
        # Ray Serve itself adds X-Request-ID to the response.
        return create_api(
            self._pipeline,
            self._settings,
            meters=self._meters,
            tracer=self._tracer,
            adds_request_id=False,
            # Over its default transport Ray cancels a request with what would tell why.
            tells_disconnects=os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1",
        )
