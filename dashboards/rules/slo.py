"""Multi-window, multi-burn-rate alerts on the error budgets (Google SRE workbook, chapter 5).

The long window shows that it matters, the short one that it continues, so that an alert resolves
soon after its cause. The long window must have a minimum of requests: at night, one failure of
three does not page.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from dashboards import slo
from dashboards.promql import Scope
from dashboards.queries import requests
from dashboards.rules.format import APP, SCOPE, Alert, Group, Recording, Severity, laid_out


@dataclass(frozen=True)
class Burn:
    """A burn rate of the 30-day budget, and the windows over which it is measured."""

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
class ObjectiveRules:
    """An objective with its recording rules and alerts."""

    alert: str
    objective: slo.Objective
    record: str
    """Name of the recorded share of bad requests, before its window."""
    bad_share: Callable[[Scope], str]
    count_record: str
    """Name of the recorded rate of all counted requests, before its window."""
    count: Callable[[Scope], str]
    of: str
    """What is counted, for the summary."""
    bad: str
    """What a bad request is, for the summary."""
    first: str
    """What to look at first."""


OBJECTIVES = (
    ObjectiveRules(
        "AdmirerAvailability",
        slo.AVAILABILITY,
        "application:admirer_faults:ratio_rate",
        requests.fault_share,
        "application:admirer_counted:rate",
        requests.counted_rate,
        "questions to",
        "failed with a 5xx",
        "See which code grows (Overview, errors by code): overloaded and deadline_exceeded mean too"
        " little capacity, stage_failed and answerer_failed a failing stage.",
    ),
    ObjectiveRules(
        "AdmirerLatency",
        slo.LATENCY,
        "application:admirer_slow:ratio_rate",
        requests.slow_share,
        "application:admirer_answered:rate",
        requests.answered_rate,
        "answers of",
        f"took more than {slo.LATENCY_S:g} s",
        "Find the stage whose latency grew (Stages). Queue time: add replicas. Inference time:"
        " smaller batches or a faster device. Answerer: the language model.",
    ),
)


def _shares(window: str) -> tuple[Recording, ...]:
    """Return the shares of one window, which are absent without requests in it."""
    scope = replace(SCOPE, window=window)
    return tuple(Recording(each.record + window, each.bad_share(scope)) for each in OBJECTIVES)


def _counts(window: str) -> tuple[Recording, ...]:
    scope = replace(SCOPE, window=window)
    return tuple(Recording(each.count_record + window, each.count(scope)) for each in OBJECTIVES)


def _alert(rules: ObjectiveRules, burn: Burn) -> Alert:
    long, short = rules.record + burn.long, rules.record + burn.short
    count = rules.count_record + burn.long
    limit = f"{burn.times:g} * {rules.objective.budget:g}"
    return Alert(
        name=f"{rules.alert}Burns{'Fast' if burn.severity == 'page' else 'Slowly'}",
        severity=burn.severity,
        summary=f"{{{{ $value | humanizePercentage }}}} of the {rules.of} {APP} in {burn.long}"
        f" {rules.bad}: the error budget burns more than {burn.times:g} times as fast as"
        " allowed.",
        description=rules.first,
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
    """Return the recording rules, then the alerts that read them, in one group."""
    shares = (share for window in WINDOWS for share in _shares(window))
    counts = (count for burn in BURNS for count in _counts(burn.long))
    alerts = (_alert(rules, burn) for rules in OBJECTIVES for burn in BURNS)
    return (Group("admirer-slo", (*shares, *counts, *alerts)),)
