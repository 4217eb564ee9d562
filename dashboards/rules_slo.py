"""How fast the error budgets burn (Google SRE workbook, chapter 5: several windows and rates).

A long window says that it matters, a short one that it still goes on, so that an alert ends
soon after its cause. A night with three requests, one of them failed, wakes nobody: the long
window must hold a number of requests.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from dashboards import slo
from dashboards.promql import Scope
from dashboards.queries import requests
from dashboards.rules_format import APP, SCOPE, Alert, Group, Recording, Severity, laid_out


@dataclass(frozen=True)
class Burn:
    """A rate at which the budget of 30 days burns, and the windows in which it is seen."""

    times: float
    long: str
    short: str
    severity: Severity
    hold: str


BURNS = (
    Burn(14.4, "1h", "5m", "page", "2m"),
    Burn(6, "6h", "30m", "page", "5m"),
    Burn(3, "1d", "2h", "ticket", "15m"),
    Burn(1, "3d", "6h", "ticket", "30m"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True)
class Promise:
    """An objective as its records and alerts tell of it."""

    alert: str
    objective: slo.Objective
    record: str
    """Name of the recorded share of bad requests, before its window."""
    bad_share: Callable[[Scope], str]
    bad: str
    """What a bad request is, for the summary."""
    first: str
    """What to look at first."""


PROMISES = (
    Promise(
        "AdmirerAvailability",
        slo.AVAILABILITY,
        "application:admirer_faults:ratio_rate",
        requests.fault_share,
        "failed by a fault of the app",
        "Read which code grows (Overview, errors by code): overloaded and deadline_exceeded mean"
        " too little capacity, stage_failed and answerer_failed a stage that breaks.",
    ),
    Promise(
        "AdmirerLatency",
        slo.LATENCY,
        "application:admirer_slow:ratio_rate",
        requests.slow_share,
        f"took more than {slo.LATENCY_S:g} s",
        "Find the stage whose time grew (Stages): a long queue wants replicas, a long run of the"
        " model wants smaller batches or a faster device, a slow answerer is the language model.",
    ),
)

_COUNT = "application:admirer_answers:rate"


def _shares(window: str) -> tuple[Recording, ...]:
    """Return the shares of one window, which are absent where nobody asked in it."""
    scope = replace(SCOPE, window=window)
    return tuple(Recording(each.record + window, each.bad_share(scope)) for each in PROMISES)


def _count(window: str) -> Recording:
    return Recording(_COUNT + window, requests.answer_rate(replace(SCOPE, window=window)))


def _alert(promise: Promise, burn: Burn) -> Alert:
    long, short, count = promise.record + burn.long, promise.record + burn.short, _COUNT + burn.long
    limit = f"{burn.times:g} * {promise.objective.budget:g}"
    return Alert(
        name=f"{promise.alert}Burns{'Fast' if burn.severity == 'page' else 'Slowly'}",
        severity=burn.severity,
        summary=f"{{{{ $value | humanizePercentage }}}} of the questions to {APP} in {burn.long}"
        f" {promise.bad}: the budget burns more than {burn.times:g} times as fast as allowed.",
        description=promise.first,
        expr=laid_out(
            f"""
            {long} > {limit}
            and
            {short} > {limit}
            and
            {count} * {_seconds(burn.long)} >= {slo.LEAST_REQUESTS}
            """
        ),
        operands=(long, short, count),
        page="admirer-overview",
        hold=burn.hold,
        labels={"window": burn.long},
    )


def _seconds(window: str) -> int:
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]


def groups() -> tuple[Group, ...]:
    """Return what is recorded and, after it in the same group, the alerts that read it."""
    shares = (share for window in WINDOWS for share in _shares(window))
    counts = (_count(burn.long) for burn in BURNS)
    alerts = (_alert(promise, burn) for promise in PROMISES for burn in BURNS)
    return (Group("admirer-slo", (*shares, *counts, *alerts)),)
