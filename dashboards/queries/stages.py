"""The stages: first as the ingress sees their calls, then as their replicas report them.

The former have the label `stage`, for every stage; the latter have Ray's `deployment`, and none are
of the assembler, which runs no model.
"""

from dashboards.promql import Scope, aggregate, observations, quantile, rate, select, share
from deployments.telemetry.metrics import (
    BATCH_ITEMS,
    BATCH_MAX_ITEMS,
    CACHE_LOOKUPS,
    DEGRADED_ANSWERS,
    MODEL_ERRORS,
    MODEL_SECONDS,
    QUEUE_SECONDS,
    STAGE_CALLS,
    STAGE_SECONDS,
)


def call_rate(scope: Scope) -> str:
    """Return calls per second by stage."""
    return rate(STAGE_CALLS, scope, "stage")


def outcome_rate(scope: Scope) -> str:
    """Return calls per second by stage and by result."""
    return rate(STAGE_CALLS, scope, "stage", "code")


def error_share(scope: Scope) -> str:
    """Return the share of calls that failed, by stage.

    A cancelled call is neither a failure nor a success.
    """
    failed = rate(STAGE_CALLS, scope, "stage", matchers=('code!~"ok|cancelled"',))
    return share(failed, rate(STAGE_CALLS, scope, "stage", matchers=('code!="cancelled"',)))


def call_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of a call's seconds by stage: transport, queue and work."""
    return quantile(q, STAGE_SECONDS, scope, "stage")


def degraded_share(scope: Scope) -> str:
    """Return the share of a stage's calls after which the answer was degraded, by stage."""
    return share(rate(DEGRADED_ANSWERS, scope, "stage"), call_rate(scope))


def queue_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the queue time in a replica in seconds, by stage."""
    return quantile(q, QUEUE_SECONDS, scope, "deployment")


def model_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the inference time of a batch in seconds, by stage."""
    return quantile(q, MODEL_SECONDS, scope, "deployment")


def item_rate(scope: Scope) -> str:
    """Return items per second, by stage."""
    return observations(QUEUE_SECONDS, scope, "deployment")


def batch_size(scope: Scope) -> str:
    """Return the mean batch size, by stage.

    Each item is observed once as it leaves the queue and each batch once, so that counts suffice.
    """
    return f"{item_rate(scope)} / ({observations(MODEL_SECONDS, scope, 'deployment')} > 0)"


def batch_size_quantile(scope: Scope, q: float) -> str:
    """Return the q-quantile of the batch size, by stage."""
    return quantile(q, BATCH_ITEMS, scope, "deployment")


def batch_limit(scope: Scope) -> str:
    """Return the largest allowed batch, by stage."""
    return aggregate("max", select(BATCH_MAX_ITEMS, scope), scope, "deployment")


def batch_fill(scope: Scope) -> str:
    """Return the mean size of a batch as a share of the largest allowed, by stage."""
    return f"{batch_size(scope)} / {batch_limit(scope)}"


def model_error_share(scope: Scope) -> str:
    """Return the share of items for which the model raised an error, by stage."""
    return share(rate(MODEL_ERRORS, scope, "deployment"), item_rate(scope))


def cache_hit_share(scope: Scope) -> str:
    """Return the share of lookups that are cache hits, by stage."""
    hits = rate(CACHE_LOOKUPS, scope, "deployment", matchers=('outcome="hit"',))
    return share(hits, rate(CACHE_LOOKUPS, scope, "deployment"))
