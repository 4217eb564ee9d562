"""The deployment graph; the only place that binds deployments.

`build` is what a Serve config file names as `import_path`. Its one parameter must be
annotated with a real class: as a string annotation, Ray would hand it an unchecked dict.
"""

import os
from dataclasses import dataclass
from typing import Any

from ray.serve import Application, Deployment, deployment
from ray.serve.config import BackpressureConfig

from deployments.answerer import Answerer, LoadAnswerer, load_answerer
from deployments.assembler import Assembler
from deployments.captioner import Captioner, LoadCaptioner, load_captioner
from deployments.retriever import LoadRetriever, Retriever, load_retriever
from deployments.settings import Autoscaling, Scaling
from deployments.stages import Stage
from deployments.tagger import LoadTagger, Tagger, load_tagger
from deployments.telemetry.metrics import Meters
from deployments.telemetry.otel_traces import OtelTracer
from deployments.telemetry.ray_metrics import RayMeters
from deployments.telemetry.traces import NO_TRACER, Tracer
from serve.ingress import Ingress
from serve.settings import AppSettings, TracingSettings

RETRY_AFTER_S = 1
CALM_PERIOD_S = 50
"""Look-back period in seconds where autoscaling is off: five times Ray's default interval."""


@dataclass(frozen=True)
class Loaders:
    """How each stage loads its model."""

    captioner: LoadCaptioner = load_captioner
    tagger: LoadTagger = load_tagger
    retriever: LoadRetriever = load_retriever
    answerer: LoadAnswerer = load_answerer


def build(settings: AppSettings) -> Application:
    """Return the app for the bundle in the settings."""
    return bind(settings, Loaders())


def bind(settings: AppSettings, loaders: Loaders) -> Application:
    """Return the app, its models loaded by `loaders`."""
    bundle = settings.bundle
    meters: Meters = RayMeters()

    def tracer(deployment: str) -> Tracer:
        return _tracer(settings.tracing, deployment)

    def stage(of: type, name: Stage, *loading: object) -> Application:
        own = settings.stage(name)
        return _deploy(of, name, own.scaling).bind(own, *loading, tracer(name))

    return _deploy(Ingress, "ingress", settings.ingress).bind(
        settings,
        meters,
        tracer("ingress"),
        {
            "captioner": stage(Captioner, "captioner", bundle, loaders.captioner, meters),
            "tagger": stage(Tagger, "tagger", bundle, loaders.tagger, meters),
            "retriever": stage(Retriever, "retriever", bundle, loaders.retriever, meters),
            "assembler": stage(Assembler, "assembler"),
            "answerer": stage(Answerer, "answerer", bundle, loaders.answerer, meters),
        },
    )


def _tracer(settings: TracingSettings, deployment: str) -> Tracer:
    endpoint = settings.endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return NO_TRACER
    return OtelTracer(endpoint, deployment, settings.sampling_ratio, settings.timeout_s)


def _deploy(stage: type, name: str, scaling: Scaling) -> Deployment:
    """Return the deployment of one class, its options named as Ray Serve names them."""
    return deployment(
        name=name,
        autoscaling_config=autoscaling(scaling.autoscaling),
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=RETRY_AFTER_S),
        graceful_shutdown_timeout_s=scaling.graceful_shutdown_timeout_s,
        health_check_period_s=scaling.health_check_period_s,
        health_check_timeout_s=scaling.health_check_timeout_s,
        max_ongoing_requests=scaling.max_ongoing_requests,
        max_queued_requests=scaling.max_queued_requests,
        ray_actor_options={"num_cpus": scaling.num_cpus, "num_gpus": scaling.num_gpus},
    )(stage)


def autoscaling(bounds: Autoscaling) -> dict[str, Any]:
    """Return Ray's autoscaling_config.

    Metrics are reported five times in a look-back period: at Ray's default interval of 10 s, a
    shorter period would miss a burst. A fixed number of replicas needs them rarely, and every
    report costs each caller of a stage and the controller.
    """
    period_s = bounds.look_back_period_s
    if bounds.min_replicas == bounds.max_replicas:
        period_s = max(period_s, CALM_PERIOD_S)
    intervals = {"look_back_period_s": period_s, "metrics_interval_s": period_s / 5}
    return {**bounds.model_dump(), **intervals}
