"""Requests, and the promises about those for an answer (see `dashboards.slo`)."""

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
# Health checks would hide what people see, and unknown addresses are not ours.
_PUBLIC = ('route=~"/v1/.*"',)
_FAULTS = f'code=~"{"|".join(slo.FAULTS)}"'
# Neither what callers do wrong nor a caller who hangs up tells how well the app works.
_COUNTED = f'code=~"ok|{"|".join(slo.FAULTS)}"'


def request_rate(scope: Scope) -> str:
    """Return requests a second by route."""
    return rate(REQUESTS, scope, "route", matchers=_PUBLIC)


def answer_rate(scope: Scope) -> str:
    """Return requests for an answer a second, whatever became of them."""
    return rate(REQUESTS, scope, matchers=_ANSWERS)


def counted_rate(scope: Scope) -> str:
    """Return requests for an answer a second that had one, or should have."""
    return rate(REQUESTS, scope, matchers=(*_ANSWERS, _COUNTED))


def answered_rate(scope: Scope) -> str:
    """Return answers a second."""
    return observations(REQUEST_SECONDS, scope, matchers=_ANSWERS)


def failed_request_rate(scope: Scope) -> str:
    """Return requests a second by the code of their problem document."""
    return rate(REQUESTS, scope, "code", matchers=(*_PUBLIC, 'code!="ok"'))


def request_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of seconds of answered requests, by route."""
    return quantile(q, REQUEST_SECONDS, scope, "route", matchers=_PUBLIC)


def answer_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of seconds of answers."""
    return quantile(q, REQUEST_SECONDS, scope, matchers=_ANSWERS)


def answer_seconds_spread(scope: Scope) -> str:
    """Return answers a second in each bucket of seconds."""
    return buckets(REQUEST_SECONDS, scope, matchers=_ANSWERS)


def fault_share(scope: Scope) -> str:
    """Return the share that failed by our fault of the requests that should have had an answer."""
    faults = rate(REQUESTS, scope, matchers=(*_ANSWERS, _FAULTS))
    return share(faults, counted_rate(scope))


def slow_share(scope: Scope) -> str:
    """Return the share of answers that took longer than promised."""
    in_time = (*_ANSWERS, f'le="{slo.LATENCY_S}"')
    chosen = select(REQUEST_SECONDS, scope, *in_time, suffix="_bucket")
    fast = aggregate("sum", f"rate({chosen}[{scope.window}])", scope)
    return f"1 - {share(fast, answered_rate(scope))}"


def availability_burn(scope: Scope) -> str:
    """Return how many times faster than allowed the budget of failures is spent."""
    return f"{fault_share(scope)} / {slo.AVAILABILITY.budget:g}"


def latency_burn(scope: Scope) -> str:
    """Return how many times faster than allowed the budget of slow answers is spent."""
    return f"({slow_share(scope)}) / {slo.LATENCY.budget:g}"


def availability_budget_left(scope: Scope) -> str:
    """Return what is left of the window's budget of failures: 1 all, below 0 it is broken."""
    return f"1 - {availability_burn(scope)}"


def latency_budget_left(scope: Scope) -> str:
    """Return what is left of the window's budget of slow answers: 1 all, below 0 it is broken."""
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
