"""Alerts on the cluster: Ray's application, monitoring itself, GPU memory."""

from dataclasses import replace

from dashboards import slo
from dashboards.promql import Scope, aggregate, select
from dashboards.queries import machines, replicas
from dashboards.rules.format import APP, SCOPE, Alert, Group, laid_out
from deployments.telemetry.metrics import BUILD_INFO

_RUNS = 6
"""Status "running" of `dashboards.ray_series`."""

_STATUS = replicas.application_status(replace(SCOPE, by=(*SCOPE.by, "ray_io_cluster")))

STUCK = Alert(
    name="AdmirerUpgradeStuck",
    severity="ticket",
    summary=f"{APP} is not running on cluster {{{{ $labels.ray_io_cluster }}}}: its status is"
    " {{ $value }} (1 failed to deploy, 2 unhealthy, 3 not started, 5 deploying).",
    description="Run `serve status` on the head of that cluster: it names the stage that is not"
    " ready and its last error. During an upgrade the old cluster keeps serving.",
    expr=f"{_STATUS} != {_RUNS}",
    operands=(_STATUS,),
    page="admirer-overview",
    hold="15m",
)

_INFO = select(BUILD_INFO, SCOPE)
_NOW = aggregate("max", _INFO, SCOPE)
_LATELY = aggregate("max", f"max_over_time({_INFO}[1h])", SCOPE)
_CONTROLLER = replicas.application_status(SCOPE)


def _vanished(series: str, summary: str, expr: str, *operands: str) -> Alert:
    return Alert(
        name="AdmirerSeriesVanished",
        severity="page",
        summary=summary,
        description="All other alerts lack data now. Check that the app answers; then look among"
        " Prometheus' targets why its pods are not scraped.",
        expr=laid_out(expr),
        operands=operands,
        page="admirer-overview",
        labels={"series": series},
    )


VANISHED = (
    _vanished("all", "Prometheus has no series of admirer.", f"absent({_INFO})", _INFO),
    _vanished(
        "app",
        f"Prometheus has no series of {APP} any more.",
        f"""
        {_LATELY}
        unless
        {_NOW}
        """,
        *(_LATELY, _NOW),
    ),
    _vanished(
        "controller",
        f"Ray's controller exports no series of {APP}, which is running.",
        f"""
        {_NOW}
        unless
        {_CONTROLLER}
        """,
        *(_NOW, _CONTROLLER),
    ),
)

_GPU = machines.gpu_memory_share(Scope(by=("namespace", "ray_io_cluster")))

GPU_MEMORY = Alert(
    name="AdmirerGpuMemoryFull",
    severity="ticket",
    summary="GPU {{ $labels.GpuIndex }} of node {{ $labels.ip }} has"
    " {{ $value | humanizePercentage }} of its memory in use.",
    description="Lower batch.maxSize of the stages on that GPU before one of them runs out of"
    " memory.",
    expr=f"{_GPU} > {slo.GPU_MEMORY_SHARE:g}",
    operands=(_GPU,),
    page="admirer-stages",
    hold="10m",
)


def groups() -> tuple[Group, ...]:
    """Return the alerts on what the stages run on."""
    return (Group("admirer-cluster", (STUCK, *VANISHED, GPU_MEMORY)),)
