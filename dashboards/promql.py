"""Pieces of PromQL from which `dashboards.queries` builds every query.

A label that no scrape adds (`namespace` outside Kubernetes) is matched by `=~".*"`, which also
takes series without it. Every series of Ray carries its process, so everything is aggregated.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from deployments.telemetry.metrics import (
    BATCH_ITEMS,
    BATCH_MAX_ITEMS,
    BATCH_NICENESS,
    CACHE_LOOKUPS,
    METRICS,
    MODEL_ERRORS,
    MODEL_SECONDS,
    QUEUE_SECONDS,
)

RAY_LABELS = ("application", "deployment", "replica", "NodeAddress")
"""What Ray adds to every metric of ours."""

SCRAPE_LABELS = ("namespace", "pod", "instance", "job", "ray_io_cluster", "ray_io_node_type")
"""What Prometheus or the chart's PodMonitor may add to any series."""


_OF_EACH_STAGE = (
    BATCH_ITEMS,
    BATCH_MAX_ITEMS,
    BATCH_NICENESS,
    CACHE_LOOKUPS,
    MODEL_ERRORS,
    MODEL_SECONDS,
    QUEUE_SECONDS,
)
"""Those of ours that several deployments report, each about itself."""


class Series(Protocol):
    """A `deployments.telemetry.metrics.Metric` or an `OtherSeries`."""

    @property
    def exported(self) -> str:
        """The name that Prometheus sees."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of another series, or those of ours beside Ray's own."""
        ...


@dataclass(frozen=True, slots=True)
class OtherSeries:
    """A series family that is not ours; `labels` are all by which we may choose or group."""

    kind: Literal["counter", "gauge", "histogram"]
    exported: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The series that count, the window, and the labels that are kept.

    Namespace, application and deployment are regular expressions; an empty one matches all
    without being written. `by` is kept by every query, beside what that query itself keeps;
    alerts keep namespace and application, pages choose one by variables.
    """

    namespace: str = ""
    application: str = ""
    deployment: str = ""
    window: str = "5m"
    by: tuple[str, ...] = ()


def labels_of(series: Series) -> tuple[str, ...]:
    """Return every label that the series may have before a scrape adds its own."""
    return (*series.labels, *RAY_LABELS) if series in METRICS else series.labels


def stage_label(series: Series) -> str | None:
    """Return the label that tells stages apart, or None where the series is of the whole app.

    Metrics of the ingress about a stage have `stage`; those of a stage about itself have Ray's
    `deployment`. The ingress' other metrics have the latter too, but are not about a stage: a page
    that shows one stage would lose all requests.
    """
    if "stage" in series.labels:
        return "stage"
    if series in _OF_EACH_STAGE or "deployment" in series.labels:
        return "deployment"
    return None


def select(series: Series, scope: Scope, *matchers: str, suffix: str = "") -> str:
    """Return the selector of a series, with matchers for the labels that it has."""
    chosen = [("namespace", scope.namespace)]
    if "application" in labels_of(series):
        chosen.append(("application", scope.application))
    if stage := stage_label(series):
        chosen.append((stage, scope.deployment))
    written = [f'{label}=~"{value}"' for label, value in chosen if value]
    return f"{series.exported}{suffix}{{{','.join([*written, *matchers])}}}"


def aggregate(how: str, text: str, scope: Scope, *by: str) -> str:
    """Return `how` over all series with the same `by` and the same labels of the scope."""
    kept = ", ".join(dict.fromkeys((*scope.by, *by)))
    return f"{how} by ({kept}) ({text})" if kept else f"{how}({text})"


def rate(series: Series, scope: Scope, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """Return the increase per second of a counter."""
    return aggregate("sum", f"rate({select(series, scope, *matchers)}[{scope.window}])", scope, *by)


def observations(series: Series, scope: Scope, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """Return the observations per second of a histogram."""
    chosen = select(series, scope, *matchers, suffix="_count")
    return aggregate("sum", f"rate({chosen}[{scope.window}])", scope, *by)


def buckets(series: Series, scope: Scope, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """Return the observations per second of a histogram in each of its buckets."""
    chosen = select(series, scope, *matchers, suffix="_bucket")
    return aggregate("sum", f"rate({chosen}[{scope.window}])", scope, *by, "le")


def quantile(
    q: float, series: Series, scope: Scope, *by: str, matchers: tuple[str, ...] = ()
) -> str:
    """Return the q-quantile of a histogram."""
    return f"histogram_quantile({q:g}, {buckets(series, scope, *by, matchers=matchers)})"


def share(part: str, whole: str) -> str:
    """Return part / whole: 0 where there is no part, and nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def by_deployment(text: str) -> str:
    """Return series of the ingress about stages with the stage as their `deployment`."""
    return f'label_replace({text}, "deployment", "$1", "stage", "(.+)")'
