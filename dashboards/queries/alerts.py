"""Alerts of ours, as Prometheus itself tells of them."""

from dashboards.promql import OtherSeries, Scope, aggregate, select

ALERTS = OtherSeries(
    "gauge",
    "ALERTS",
    "1 for each alert that is pending or firing.",
    ("alertname", "alertstate", "severity"),
)


def firing(scope: Scope) -> str:
    """Return how many alerts fire, 0 where none does."""
    chosen = select(ALERTS, scope, 'alertname=~"Admirer.+"', 'alertstate="firing"')
    return f"{aggregate('count', chosen, scope)} or vector(0)"
