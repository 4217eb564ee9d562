"""A plan as values of the chart, and as arguments of a Serve config file.

One tree serves both: the chart's keys are the app's in camelCase, but for where scaling stands.
"""

import re
from typing import Any

from capacity.measurements import STAGES
from capacity.plan import Plan

MAX_EMBEDDINGS = 32
"""Texts and photos of one request of embeddings, which the retriever must be able to queue."""


def arguments(plan: Plan) -> dict[str, Any]:
    """Return the app's arguments, for a local run: Ray's reservations stay the app's own."""
    stages: dict[str, Any] = {}
    for name in STAGES:
        stages[name] = {"scaling": _scaling(plan, name), **_batch(plan, name)}
    return {
        "limits": {"max_concurrent_requests": plan.setting.max_in_flight},
        "ingress": _scaling(plan, "ingress"),
        **stages,
    }


def values(plan: Plan) -> dict[str, Any]:
    """Return values to put over the chart's own."""
    stages: dict[str, Any] = {}
    for name in ("ingress", *STAGES):
        gpus = plan.num_gpus.get(name, 0)
        stages[name] = {
            "workerGroup": "gpu" if gpus else "cpu",
            "numCpus": plan.num_cpus.get(name, 0.1),
            "numGpus": gpus,
            **_camel(_scaling(plan, name)),
            **({} if name == "ingress" else _camel(_batch(plan, name))),
        }
    kinds = {"cpu": plan.node.cpu, "gpu": plan.node.gpu}
    groups = {
        group: {
            "minReplicas": count,
            "maxReplicas": count,
            "numCpus": max(1, int(node.cores)),
            **({"gpu": {"count": node.gpus}} if group == "gpu" else {}),
            "resources": {"requests": {"cpu": str(max(1, int(node.cores)))}},
        }
        for group, count in plan.nodes.items()
        if (node := kinds[group])
    }
    return {
        "app": {"limits": {"maxConcurrentRequests": plan.setting.max_in_flight}},
        "stages": stages,
        "ray": {"workerGroups": groups},
    }


def _scaling(plan: Plan, name: str) -> dict[str, Any]:
    if name == "ingress":
        replicas, ongoing = plan.setting.ingress_replicas, plan.setting.max_in_flight
        queued, target = ongoing, float(max(1, ongoing // 2))
    else:
        stage = plan.setting.stages[name]
        replicas, ongoing, queued = stage.replicas, stage.max_ongoing, stage.max_queued
        target = float(min(ongoing, max(1, round(plan.predicted.ongoing[name]))))
    return {
        "autoscaling": {
            "min_replicas": replicas,
            "max_replicas": replicas,
            "target_ongoing_requests": target,
        },
        "max_ongoing_requests": ongoing,
        "max_queued_requests": queued,
    }


def _batch(plan: Plan, name: str) -> dict[str, Any]:
    if name == "assembler":
        return {}
    stage = plan.setting.stages[name]
    least = MAX_EMBEDDINGS if name == "retriever" else 1
    items = stage.items_per_call
    waiting = max(least, stage.max_waiting * items)
    return {
        "batch": {
            "max_size": stage.max_items * items,
            "max_waiting": waiting,
            "niceness": stage.niceness,
        }
    }


def _camel(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        re.sub(r"_(\w)", lambda found: found.group(1).upper(), key): _camel(value)
        if isinstance(value, dict)
        else value
        for key, value in tree.items()
    }
