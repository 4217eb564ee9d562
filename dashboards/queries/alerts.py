"""Our alerts, as Prometheus itself reports them."""

from dashboards.promql import OtherSeries, Scope, aggregate, select

ALERTS = OtherSeries(
    "gauge",
    "ALERTS",
    "1 for each alert that is pending or firing.",
    ("alertname", "alertstate", "severity"),
)


def firing(scope: Scope) -> str:
    """Return the number of firing alerts."""
    chosen = select(ALERTS, scope, 'alertname=~"Admirer.+"', 'alertstate="firing"')
    return f"{aggregate('count', chosen, scope)} or vector(0)"
