"""Overview: is the app healthy, and if not, which stage is at fault. The page to open first.

One long file: it declares one page from top to bottom, and has no logic to split.
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
_SPENT = f"within {slo.WINDOW} (or the retention of Prometheus, if shorter)"

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
                "Status of the application in Ray Serve. Deploying for long: a stage does not get "
                "ready. Deploy failed and unhealthy need action.",
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
                "Firing alerts of this chart, for every release that this Prometheus scrapes. "
                "Prometheus lists their names, each with a link to the runbook.",
            ),
            Query(alerts.firing(Scope()), "firing"),
            limits=high(1, 1),
            width=3,
        ),
        number(
            About(
                "Answers",
                "reqps",
                "Requests for an answer per second, with any result. None at a busy hour: check "
                "what is in front of the app: DNS, ingress and clients.",
            ),
            Query(requests.answer_rate(_NOW), "answers"),
            width=3,
        ),
        number(
            About(
                "Error rate",
                "percentunit",
                "Share of requests for an answer that failed with a 5xx in the last 5 minutes; "
                "invalid requests and callers who disconnected are not counted. The objective is "
                f"{slo.AVAILABILITY.budget:.1%}; the codes are below.",
            ),
            Query(requests.fault_share(_NOW), "errors"),
            limits=high(slo.AVAILABILITY.budget, 10 * slo.AVAILABILITY.budget),
            width=3,
        ),
        number(
            About(
                "Latency, p95",
                "s",
                f"Of answers; the objective is {slo.LATENCY_S:g} s. Above it, the table below "
                "shows which stage is slow.",
            ),
            Query(requests.answer_seconds(_NOW, 0.95), "p95"),
            limits=high(slo.LATENCY_S / 2, slo.LATENCY_S),
            width=3,
        ),
        number(
            About(
                "Error budget left: availability",
                "percentunit",
                f"Remaining part of the {slo.AVAILABILITY.budget:.1%} of requests that may fail "
                f"{_SPENT}. At 0 the objective is missed: hold releases that can wait.",
            ),
            Query(requests.availability_budget_left(_WINDOW), "left"),
            limits=low(0.1, 0.5),
            past=False,
            width=3,
        ),
        number(
            About(
                "Error budget left: latency",
                "percentunit",
                f"Remaining part of the {slo.LATENCY.budget:.0%} of answers that may take more "
                f"than {slo.LATENCY_S:g} s {_SPENT}. At 0 the objective is missed.",
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
                "Bundle and version that are served. Two versions or bundles at once: an upgrade "
                "is running, or hangs.",
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
                "All routes but health checks. A drop without an alert usually has its cause in "
                "front of the app; a steep rise fills queues within seconds.",
            ),
            Query(requests.request_rate(CHOSEN), "{{route}}"),
        ),
        lines(
            About(
                "Errors by code",
                "reqps",
                "Requests by the code of their problem document. overloaded: more load than the "
                "replicas can take; deadline_exceeded: a stage is too slow; answerer_failed: the "
                "language model; interrupted: the server stopped; bad_*: invalid requests, and "
                "client_gone: callers who disconnected, both not our fault.",
            ),
            Query(requests.failed_request_rate(CHOSEN), "{{code}}"),
            stacked=True,
        ),
        lines(
            About(
                "Latency of answers",
                "s",
                f"The line at {slo.LATENCY_S:g} s is the objective for p95.",
            ),
            Query(requests.answer_seconds(CHOSEN, 0.5), "p50"),
            Query(requests.answer_seconds(CHOSEN, 0.95), "p95"),
            Query(requests.answer_seconds(CHOSEN, 0.99), "p99"),
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        spread(
            About(
                "Distribution of latency",
                "s",
                "Answers by latency; refusals and failures are not among them. Two bands: cached "
                "and new photos. A rising band is a growing queue.",
            ),
            requests.answer_seconds_spread(CHOSEN),
            width=8,
        ),
        lines(
            About(
                "Latency by route, p95",
                "s",
                "Of requests that were answered. Captions, tags and searches are each answered by "
                "one stage: if one of them is slow, so is that stage in answers.",
            ),
            Query(requests.request_seconds(CHOSEN, 0.95), "{{route}}"),
        ),
        lines(
            About(
                "Burn rate of the error budgets",
                "none",
                f"Over the last hour. 1 spends a budget in exactly {slo.WINDOW}; 14.4 spends 2 % "
                "of it in an hour and pages, 3 for a day opens a ticket.",
            ),
            Query(requests.availability_burn(replace(CHOSEN, window="1h")), "availability"),
            Query(requests.latency_burn(replace(CHOSEN, window="1h")), "latency"),
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
                "The last 5 minutes, a row for each stage. Read from the left: does it fail, is it "
                "slow, do calls queue, does it have its target replicas, can it scale further.",
            ),
            Column("Status", replicas.deployment_status(CHOSEN), "none", names=_STAGE),
            Column("Calls", by_deployment(stages.call_rate(_NOW)), "reqps"),
            Column(
                "Errors", by_deployment(stages.error_share(_NOW)), "percentunit", high(0.005, 0.05)
            ),
            Column(
                "Degraded",
                by_deployment(stages.degraded_share(_NOW)),
                "percentunit",
                high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
            ),
            Column(
                "Latency, p95",
                by_deployment(stages.call_seconds(_NOW, 0.95)),
                "s",
                high(slo.LATENCY_S / 2, slo.LATENCY_S),
            ),
            Column(
                "Queue time, p95",
                stages.queue_seconds(_NOW, 0.95),
                "s",
                high(slo.QUEUE_S / 2, slo.QUEUE_S),
            ),
            Column("Running", replicas.running(CHOSEN), "none"),
            Column("Target", replicas.wanted(CHOSEN), "none"),
            Column("Maximum", replicas.most(CHOSEN), "none"),
            Column("Load", replicas.load_share(_NOW), "percentunit", high(0.7, 1)),
        ),
        lines(
            About(
                "Load",
                "percentunit",
                "Ongoing and queued requests, as a share of the target of all replicas that a "
                "stage may have. Above 1 the autoscaler cannot help: raise maxReplicas, see "
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
                "Healthy replicas. The autoscaler adds and removes them; if it does so all the "
                "time (flapping), targetOngoingRequests is too low.",
            ),
            Query(replicas.running(CHOSEN), "{{deployment}}"),
            width=6,
        ),
        lines(
            About(
                "Replicas missing",
                "none",
                "Target replicas that are not healthy. Above 0 for longer than a cold start: no "
                "capacity on nodes, or crashes; see Stages.",
            ),
            Query(replicas.missing(CHOSEN), "{{deployment}}"),
            width=6,
        ),
        lines(
            About(
                "Queue depth",
                "none",
                "Requests that no replica has accepted yet. Above 0 for long: the stage is "
                "saturated, and further requests are refused as overloaded.",
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
                "CPU use of each node. Near 1 for long, all stages without a GPU slow down.",
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
                "Memory use of each node or its container. Ray kills workers at 0.95.",
            ),
            Query(machines.memory_share(CHOSEN), "{{ip}}"),
            width=6,
            limits=high(0.85, 0.95),
            most=1,
        ),
        lines(
            About(
                "GPU utilization",
                "percentunit",
                "Share of time in which each GPU ran a kernel. Low while calls queue: batches are "
                "too small, or the CPU is the bottleneck.",
            ),
            Query(machines.gpu_share(CHOSEN), "{{ip}} {{GpuIndex}}"),
            width=6,
            most=1,
        ),
        lines(
            About(
                "GPU memory",
                "percentunit",
                "Memory use of each GPU. Above the line the next large batch may run out of "
                "memory.",
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
    description="Is the app healthy? Requests, objectives, stages and machines.",
    rows=(_HEALTH, _REQUESTS, _STAGES, _MACHINES),
)
