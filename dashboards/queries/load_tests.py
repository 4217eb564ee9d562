"""Load tests, which run outside the app and export their own series."""

from dashboards.promql import OtherSeries, Scope, aggregate, select

USERS = OtherSeries(
    "gauge", "admirer_load_test_users", "Simulated people who ask at the moment.", ()
)


def users(scope: Scope) -> str:
    """Return the simulated people who ask."""
    return aggregate("sum", select(USERS, scope), scope)


def running(scope: Scope) -> str:
    """Return how many simulated people ask while any do, else nothing."""
    return f"{users(scope)} > 0"
