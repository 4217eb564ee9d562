"""Load tests, which run outside the app and export their own series."""

from dashboards.promql import OtherSeries, Scope, aggregate, select

USERS = OtherSeries("gauge", "admirer_load_test_users", "Simulated users.", ())


def users(scope: Scope) -> str:
    """Return the number of simulated users."""
    return aggregate("sum", select(USERS, scope), scope)


def running(scope: Scope) -> str:
    """Return the number of simulated users during a load test, else nothing."""
    return f"{users(scope)} > 0"
