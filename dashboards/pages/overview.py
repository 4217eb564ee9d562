"""Overview: is the app well, and if not, which stage. The page to open first.

One file, though long: it declares one page from top to bottom, and has no logic to divide.
"""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, Page, Row
from dashboards.panels import (
    About,
    Column,
    Query,
    Text,
    high,
    lines,
    low,
    number,
    spread,
    stages_table,
)
from dashboards.promql import Scope, by_deployment
from dashboards.queries import alerts, machines, replicas, requests, stages

_NOW = replace(CHOSEN, window="5m")
_WINDOW = replace(CHOSEN, window=slo.WINDOW)
_SPENT = f"over {slo.WINDOW}, or as long as Prometheus remembers"

# Ray's numbers, see `dashboards.ray_series`.
_APP = {
    1: ("deploy failed", "red"),
    2: ("unhealthy", "red"),
    3: ("not started", "yellow"),
    4: ("deleting", "yellow"),
    5: ("deploying", "yellow"),
    6: ("running", "green"),
}
_STAGE = {
    1: ("deploy failed", "red"),
    2: ("unhealthy", "red"),
    3: ("updating", "yellow"),
    4: ("upscaling", "yellow"),
    5: ("downscaling", "yellow"),
    6: ("healthy", "green"),
}

_HEALTH = Row(
    "Now",
    [
        number(
            About(
                "App",
                "none",
                "State of the app as Ray Serve has it. Deploying for long means that a stage does "
                "not get ready; deploy failed and unhealthy need somebody.",
            ),
            Query(replicas.application_status(CHOSEN), "app"),
            names=_APP,
            past=False,
            width=3,
        ),
        number(
            About(
                "Alerts firing",
                "none",
                "Alerts of this chart that fire, of every release that this Prometheus watches. "
                "Prometheus' page of alerts has their names, each with its section of the runbook.",
            ),
            Query(alerts.firing(Scope()), "firing"),
            limits=high(1, 1),
            width=3,
        ),
        number(
            About(
                "Answers",
                "reqps",
                "Requests for an answer a second, whatever became of them. Nothing at an hour when "
                "people ask: look before the app, at DNS, ingress and clients.",
            ),
            Query(requests.answer_rate(_NOW), "answers"),
            width=3,
        ),
        number(
            About(
                "Failing",
                "percentunit",
                "Share of requests for an answer that failed by our fault in the last 5 minutes. "
                f"{slo.AVAILABILITY.budget:.1%} is what the promise allows; which code, see below.",
            ),
            Query(requests.fault_share(_NOW), "failing"),
            limits=high(slo.AVAILABILITY.budget, 10 * slo.AVAILABILITY.budget),
            width=3,
        ),
        number(
            About(
                "95 of 100 within",
                "s",
                f"The promise is {slo.LATENCY_S:g} s. Above it, the table below says which stage.",
            ),
            Query(requests.answer_seconds(_NOW, 0.95), "p95"),
            limits=high(slo.LATENCY_S / 2, slo.LATENCY_S),
            width=3,
        ),
        number(
            About(
                "Failure budget left",
                "percentunit",
                f"Of the {slo.AVAILABILITY.budget:.1%} that may fail {_SPENT}. At 0 the promise is "
                "broken: stop releases that can wait.",
            ),
            Query(requests.availability_budget_left(_WINDOW), "left"),
            limits=low(0.1, 0.5),
            past=False,
            width=3,
        ),
        number(
            About(
                "Slowness budget left",
                "percentunit",
                f"Of the {slo.LATENCY.budget:.0%} that may take more than {slo.LATENCY_S:g} s "
                f"{_SPENT}. At 0 the promise is broken.",
            ),
            Query(requests.latency_budget_left(_WINDOW), "left"),
            limits=low(0.1, 0.5),
            past=False,
            width=3,
        ),
        number(
            About(
                "Release",
                "none",
                "The bundle and the version that are served. Two of a kind at once: an upgrade is "
                "on its way, or hangs.",
            ),
            Query(requests.version(CHOSEN), "{{version}}"),
            Query(requests.bundle(CHOSEN), "{{bundle}}"),
            text=Text.NAME,
            past=False,
            width=3,
        ),
    ],
)

_REQUESTS = Row(
    "Requests",
    [
        lines(
            About(
                "Requests by route",
                "reqps",
                "Of all routes but health checks. A fall without an alert of ours usually lies "
                "before us; a steep rise fills queues within seconds.",
            ),
            Query(requests.request_rate(CHOSEN), "{{route}}"),
        ),
        lines(
            About(
                "Failures by code",
                "reqps",
                "Requests by the code of their problem document. overloaded: more than we have "
                "replicas for; deadline_exceeded: a stage is too slow; answerer_failed: the "
                "language model; bad_*: what callers send, not our fault.",
            ),
            Query(requests.failed_request_rate(CHOSEN), "{{code}}"),
            stacked=True,
        ),
        lines(
            About(
                "Seconds of an answer",
                "s",
                f"Half, 95 and 99 of 100 answers came within. The line at {slo.LATENCY_S:g} s is "
                "the promise for 95 of 100.",
            ),
            Query(requests.answer_seconds(CHOSEN, 0.5), "half"),
            Query(requests.answer_seconds(CHOSEN, 0.95), "95 of 100"),
            Query(requests.answer_seconds(CHOSEN, 0.99), "99 of 100"),
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        spread(
            About(
                "Spread of seconds of an answer",
                "s",
                "How many requests took how long. Two bands: refusals below and answers above, or "
                "cached photos and new ones. A band that climbs is a queue.",
            ),
            requests.answer_seconds_spread(CHOSEN),
            width=8,
        ),
        lines(
            About(
                "Seconds by route",
                "s",
                "95 of 100 requests came within. Captions, tags and searches are answered by one "
                "stage each: the slow one of them is slow for answers too.",
            ),
            Query(requests.request_seconds(CHOSEN, 0.95), "{{route}}"),
        ),
        lines(
            About(
                "Speed at which the budgets are spent",
                "none",
                f"1 spends a budget in just {slo.WINDOW}. Over the last hour; 14.4 spends 2 % of "
                "it in that hour and pages, 3 for a day opens a ticket.",
            ),
            Query(requests.availability_burn(replace(CHOSEN, window="1h")), "failures"),
            Query(requests.latency_burn(replace(CHOSEN, window="1h")), "slow answers"),
            limits=high(3, 14.4),
        ),
    ],
)

_STAGES = Row(
    "Stages",
    [
        stages_table(
            About(
                "Stages now",
                "none",
                "The last 5 minutes, a row a stage. Read from the left: does it fail, is it slow, "
                "do calls wait, has it the replicas that it wants, is there room for more.",
            ),
            Column("State", replicas.deployment_status(CHOSEN), "none", names=_STAGE),
            Column("Calls", by_deployment(stages.call_rate(_NOW)), "reqps"),
            Column(
                "Failing", by_deployment(stages.error_share(_NOW)), "percentunit", high(0.005, 0.05)
            ),
            Column(
                "Degraded",
                by_deployment(stages.degraded_share(_NOW)),
                "percentunit",
                high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
            ),
            Column(
                "95 of 100 within",
                by_deployment(stages.call_seconds(_NOW, 0.95)),
                "s",
                high(slo.LATENCY_S / 2, slo.LATENCY_S),
            ),
            Column(
                "95 of 100 wait",
                stages.queue_seconds(_NOW, 0.95),
                "s",
                high(slo.QUEUE_S / 2, slo.QUEUE_S),
            ),
            Column("Running", replicas.running(CHOSEN), "none"),
            Column("Wanted", replicas.wanted(CHOSEN), "none"),
            Column("At most", replicas.most(CHOSEN), "none"),
            Column("Load", replicas.load_share(_NOW), "percentunit", high(0.7, 1)),
        ),
        lines(
            About(
                "Load",
                "percentunit",
                "Requests that run or wait, as a share of what all the replicas that a stage may "
                "have shall take. Above 1 no further replica helps: raise its bounds, see "
                "Capacity.",
            ),
            Query(replicas.load_share(CHOSEN), "{{deployment}}"),
            width=6,
            limits=high(0.7, 1),
            most=1,
        ),
        lines(
            About(
                "Replicas running",
                "none",
                "Healthy replicas. Steps up and down are the autoscaler's; up and down all the "
                "time is a target that is too low.",
            ),
            Query(replicas.running(CHOSEN), "{{deployment}}"),
            width=6,
        ),
        lines(
            About(
                "Replicas missing",
                "none",
                "Replicas that the autoscaler wants and that are not healthy. Above 0 for longer "
                "than a start takes: no room on nodes, or crashes; see Stages.",
            ),
            Query(replicas.missing(CHOSEN), "{{deployment}}"),
            width=6,
        ),
        lines(
            About(
                "Waiting for a replica",
                "none",
                "Requests that no replica has taken yet. More than a moment's worth: the stage is "
                "saturated, and what comes next is refused as overloaded.",
            ),
            Query(replicas.queued(CHOSEN), "{{deployment}}"),
            width=6,
        ),
    ],
)

_MACHINES = Row(
    "Machines",
    [
        lines(
            About(
                "CPU",
                "percentunit",
                "Cores of each node in use. Near 1 for long, stages without a GPU slow down "
                "together.",
            ),
            Query(machines.cpu_share(CHOSEN), "{{ip}}"),
            width=6,
            limits=high(0.8, 0.95),
            most=1,
        ),
        lines(
            About(
                "Memory",
                "percentunit",
                "Memory of each node or its container in use. Ray kills workers at 0.95.",
            ),
            Query(machines.memory_share(CHOSEN), "{{ip}}"),
            width=6,
            limits=high(0.85, 0.95),
            most=1,
        ),
        lines(
            About(
                "GPU time",
                "percentunit",
                "Share of time in which each GPU ran anything. Low while calls wait: batches are "
                "too small, or the CPU cannot feed it.",
            ),
            Query(machines.gpu_share(CHOSEN), "{{ip}} {{GpuIndex}}"),
            width=6,
            most=1,
        ),
        lines(
            About(
                "GPU memory",
                "percentunit",
                "Memory of each GPU in use. Above the line the next large batch may fail; what "
                "runs out of memory does not come back by itself.",
            ),
            Query(machines.gpu_memory_share(CHOSEN), "{{ip}} {{GpuIndex}}"),
            width=6,
            limits=high(0.85, slo.GPU_MEMORY_SHARE),
            most=1,
        ),
    ],
)

OVERVIEW = Page(
    name="overview",
    title="Overview",
    description="Is the app well? Requests, promises, stages and machines.",
    rows=(_HEALTH, _REQUESTS, _STAGES, _MACHINES),
)
