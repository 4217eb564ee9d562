"""Replicas of each deployment: how many, how loaded, how long until one is ready."""

from dashboards.promql import Scope, aggregate, by_deployment, select
from dashboards.ray_series import (
    APPLICATION_STATUS,
    DEPLOYMENT_STATUS,
    QUEUED,
    REPLICA_HEALTHY,
    REPLICA_STARTS,
    REPLICA_STARTUP,
    TARGET_ONGOING,
    TARGET_REPLICAS,
    TOTAL_REQUESTS,
)
from deployments.telemetry.metrics import STAGE_MAX_REPLICAS


def running(scope: Scope) -> str:
    """Return healthy replicas by deployment."""
    return aggregate("sum", select(REPLICA_HEALTHY, scope), scope, "deployment")


def wanted(scope: Scope) -> str:
    """Return the target of the autoscaler, in replicas, by deployment."""
    return aggregate("max", select(TARGET_REPLICAS, scope), scope, "deployment")


def missing(scope: Scope) -> str:
    """Return the healthy replicas missing to the target, by deployment."""
    return f"clamp_min({wanted(scope)} - {running(scope)}, 0)"


def most(scope: Scope) -> str:
    """Return max_replicas of the settings, by deployment."""
    return aggregate("max", by_deployment(select(STAGE_MAX_REPLICAS, scope)), scope, "deployment")


def at_most(scope: Scope) -> str:
    """Return the target as a share of max_replicas, by deployment."""
    return f"{wanted(scope)} / {most(scope)}"


def ongoing(scope: Scope) -> str:
    """Return ongoing and queued requests, averaged over the window, by deployment."""
    mean = f"avg_over_time({select(TOTAL_REQUESTS, scope)}[{scope.window}])"
    return aggregate("sum", mean, scope, "deployment")


def load_share(scope: Scope) -> str:
    """Return ongoing and queued requests as a share of the target load of max_replicas.

    Above 1, requests queue and no replica can be added. The stage with the highest load is the
    bottleneck.
    """
    target = aggregate("max", select(TARGET_ONGOING, scope), scope, "deployment")
    return f"{ongoing(scope)} / ({target} * {most(scope)})"


def headroom(scope: Scope) -> str:
    """Return the headroom of a stage, 1 - load, by deployment."""
    return f"1 - {load_share(scope)}"


def queued(scope: Scope) -> str:
    """Return requests queued at their callers, by deployment."""
    return aggregate("sum", select(QUEUED, scope), scope, "deployment")


def start_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of seconds from a replica's creation to ready, by deployment.

    A rate would miss the first start, with which its series begins.
    """
    chosen = select(REPLICA_STARTUP, scope, suffix="_bucket")
    now = aggregate("sum", chosen, scope, "deployment", "le")
    before = aggregate("sum", f"{chosen} offset {scope.window}", scope, "deployment", "le")
    return f"histogram_quantile({q:g}, clamp_min({now} - ({before} or 0 * {now}), 0)) / 1000"


def starts(scope: Scope) -> str:
    """Return replicas that started within the window, by deployment."""
    chosen = select(REPLICA_STARTS, scope)
    started = aggregate(
        "count", f"{chosen} unless {chosen} offset {scope.window}", scope, "deployment"
    )
    return f"{started} or 0 * {running(scope)}"


def deployment_status(scope: Scope) -> str:
    """Return Ray's number for the state of a deployment; 6 is healthy."""
    return aggregate("min", select(DEPLOYMENT_STATUS, scope), scope, "deployment")


def application_status(scope: Scope) -> str:
    """Return Ray's number for the state of the app; 6 is running."""
    return aggregate("min", select(APPLICATION_STATUS, scope), scope)


def bottleneck(scope: Scope) -> str:
    """Return the highest load of a stage."""
    return f"topk(1, {load_share(scope)})"


def lowest_headroom(scope: Scope) -> str:
    """Return the least headroom of a stage."""
    return f"min({headroom(scope)})"
