"""Requests, and the objectives of answers (see `dashboards.slo`)."""

from dashboards import slo
from dashboards.promql import (
    Scope,
    Series,
    aggregate,
    buckets,
    observations,
    quantile,
    rate,
    select,
    share,
)
from deployments.telemetry.metrics import BUILD_INFO, BUNDLE_INFO, REQUEST_SECONDS, REQUESTS

_ANSWERS = (f'route="{slo.ROUTE}"',)
# Without health checks, which would hide what users see, and unknown paths.
_PUBLIC = ('route=~"/v1/.*"',)
_FAULTS = f'code=~"{"|".join(slo.FAULTS)}"'
# Invalid requests and disconnects say nothing about the app.
_COUNTED = f'code=~"ok|{"|".join(slo.FAULTS)}"'


def request_rate(scope: Scope) -> str:
    """Return requests per second by route."""
    return rate(REQUESTS, scope, "route", matchers=_PUBLIC)


def answer_rate(scope: Scope) -> str:
    """Return requests for an answer per second, with any result."""
    return rate(REQUESTS, scope, matchers=_ANSWERS)


def counted_rate(scope: Scope) -> str:
    """Return requests for an answer per second that count against the objective."""
    return rate(REQUESTS, scope, matchers=(*_ANSWERS, _COUNTED))


def answered_rate(scope: Scope) -> str:
    """Return answers per second."""
    return observations(REQUEST_SECONDS, scope, matchers=_ANSWERS)


def failed_request_rate(scope: Scope) -> str:
    """Return requests per second by code."""
    return rate(REQUESTS, scope, "code", matchers=(*_PUBLIC, 'code!="ok"'))


def request_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the latency of answered requests in seconds, by route."""
    return quantile(q, REQUEST_SECONDS, scope, "route", matchers=_PUBLIC)


def answer_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the latency of answers in seconds."""
    return quantile(q, REQUEST_SECONDS, scope, matchers=_ANSWERS)


def answer_seconds_spread(scope: Scope) -> str:
    """Return answers per second in each bucket of latency."""
    return buckets(REQUEST_SECONDS, scope, matchers=_ANSWERS)


def fault_share(scope: Scope) -> str:
    """Return the share of counted requests that failed with a 5xx."""
    faults = rate(REQUESTS, scope, matchers=(*_ANSWERS, _FAULTS))
    return share(faults, counted_rate(scope))


def slow_share(scope: Scope) -> str:
    """Return the share of answers slower than the latency objective."""
    in_time = (*_ANSWERS, f'le="{slo.LATENCY_S}"')
    chosen = select(REQUEST_SECONDS, scope, *in_time, suffix="_bucket")
    fast = aggregate("sum", f"rate({chosen}[{scope.window}])", scope)
    return f"1 - {share(fast, answered_rate(scope))}"


def availability_burn(scope: Scope) -> str:
    """Return the burn rate of the availability error budget; 1 is as fast as allowed."""
    return f"{fault_share(scope)} / {slo.AVAILABILITY.budget:g}"


def latency_burn(scope: Scope) -> str:
    """Return the burn rate of the latency error budget; 1 is as fast as allowed."""
    return f"({slow_share(scope)}) / {slo.LATENCY.budget:g}"


def availability_budget_left(scope: Scope) -> str:
    """Return the share of the availability error budget that is left; below 0, it is overspent."""
    return f"1 - {availability_burn(scope)}"


def latency_budget_left(scope: Scope) -> str:
    """Return the share of the latency error budget that is left; below 0, it is overspent."""
    return f"1 - {latency_burn(scope)}"


def version(scope: Scope) -> str:
    """Return 1 for each version of the app that is served."""
    return aggregate("max", select(BUILD_INFO, scope), scope, "version")


def bundle(scope: Scope) -> str:
    """Return 1 for each bundle that is served."""
    return aggregate("max", select(BUNDLE_INFO, scope), scope, "bundle")


def new_release(scope: Scope) -> str:
    """Return 1 for a version or a bundle that was not served a window ago."""
    return f"{_new(BUILD_INFO, scope, 'version')} or {_new(BUNDLE_INFO, scope, 'bundle')}"


def _new(series: Series, scope: Scope, label: str) -> str:
    chosen = select(series, scope)
    before = aggregate("max", f"{chosen} offset {scope.window}", scope, label)
    return f"({aggregate('max', chosen, scope, label)} unless {before})"
