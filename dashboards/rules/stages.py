"""Alerts on the stages: down, saturated, long queue time, slow cold start.

Ray drops a gauge that is no longer set, so that a stage without replicas has no series of its
replicas at all: what should exist is read from the controller's series, never from the stage's.
"""

from dashboards import slo
from dashboards.promql import aggregate, select
from dashboards.queries import replicas, stages
from dashboards.ray_series import QUEUED, REPLICA_STARTUP
from dashboards.rules.format import APP, SCOPE, Alert, Group, Recording, laid_out

_STAGE = f"The {{{{ $labels.deployment }}}} of {APP}"

RUNNING = Recording("deployment:ray_replicas_running:sum", replicas.running(SCOPE))
WANTED = Recording("deployment:ray_replicas_wanted:max", replicas.wanted(SCOPE))

# An average, because queue depth jumps from one scrape to the next.
WAITING = Recording(
    "deployment:ray_waiting_calls:avg5m",
    aggregate("sum", f"avg_over_time({select(QUEUED, SCOPE)}[5m])", SCOPE, "deployment"),
)


def _queue_wait(q: float) -> Recording:
    """Record the q-quantile of queue time in replicas; absent where there are no calls."""
    return Recording(
        f"deployment:admirer_queue_seconds:p{q * 100:g}_5m",
        f"{stages.queue_seconds(SCOPE, q)} >= 0",
    )


QUEUE_P50, QUEUE_P95 = _queue_wait(0.5), _queue_wait(0.95)


def _starts(suffix: str, *matchers: str) -> str:
    """Return how many replicas have ever started, or how many of them in a bucket of time."""
    series = select(REPLICA_STARTUP, SCOPE, *matchers, suffix=suffix)
    return aggregate("sum", series, SCOPE, "deployment")


_IN_TIME = f'le="{slo.COLD_START_S * 1000}"'
SLOW_STARTS = Recording(
    "deployment:ray_slow_starts:sum", f"{_starts('_count')} - {_starts('_bucket', _IN_TIME)}"
)

DOWN = Alert(
    name="AdmirerStageDown",
    severity="page",
    summary=f"{_STAGE} has no healthy replica.",
    description="Run `serve status` on the head: it shows the last error of the stage. A pending"
    " pod means that a node or a GPU is missing.",
    expr=laid_out(
        f"""
        {WANTED.name} > 0
        unless
        {RUNNING.name} > 0
        """
    ),
    operands=(WANTED.name, RUNNING.name),
    page="admirer-stages",
    hold="2m",
)

SATURATED = Alert(
    name="AdmirerStageSaturated",
    severity="ticket",
    summary=f"{_STAGE} is at maxReplicas, and calls still queue.",
    description="Raise maxReplicas if nodes are free. Load that does not fit is refused with 503"
    " and Retry-After.",
    expr=laid_out(
        f"""
        (
          {WAITING.name} > 1
          or
          {QUEUE_P50.name} > {slo.QUEUE_S / 2:g}
        )
        and
        {RUNNING.name} >= {replicas.most(SCOPE)}
        """
    ),
    operands=(WAITING.name, QUEUE_P50.name, RUNNING.name, replicas.most(SCOPE)),
    page="admirer-capacity",
)

QUEUE_OLD = Alert(
    name="AdmirerQueueOld",
    severity="ticket",
    summary=f"The p95 of queue time of the {{{{ $labels.deployment }}}} of {APP} is"
    " {{ $value | humanizeDuration }}.",
    description="Compare replicas running with their target (Stages). Too few running: slow cold"
    " starts or missing nodes. As many as the target: targetOngoingRequests is too high.",
    expr=f"{QUEUE_P95.name} > {slo.QUEUE_S:g}",
    operands=(QUEUE_P95.name,),
    page="admirer-stages",
)

COLD_START = Alert(
    name="AdmirerColdStartSlow",
    severity="ticket",
    summary=f"{_STAGE} had {{{{ $value }}}} cold starts of more than {slo.COLD_START_S:g} s in an"
    " hour.",
    description="Check whether the pod waited for a node, an image or a download: the events of the"
    " pod show the first two, the replica's log the third.",
    # Not increase(): the first start makes the series, and a first sample is no increase.
    expr=laid_out(
        f"""
        {SLOW_STARTS.name}
        -
        ({SLOW_STARTS.name} offset 1h or 0 * {SLOW_STARTS.name})
        > 0
        """
    ),
    operands=(SLOW_STARTS.name,),
    page="admirer-stages",
    hold="1m",
)


def groups() -> tuple[Group, ...]:
    """Return the recording rules, then the alerts that read them, in one group."""
    records = (RUNNING, WANTED, WAITING, QUEUE_P50, QUEUE_P95, SLOW_STARTS)
    return (Group("admirer-stages", (*records, DOWN, SATURATED, QUEUE_OLD, COLD_START)),)
