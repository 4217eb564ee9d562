"""Capacity: how much more load the app can take, and which stage is the bottleneck."""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, RELEASES, Annotation, Page, Row
from dashboards.panels import About, Query, Text, bars, high, lines, low, note, number
from dashboards.queries import load_tests, machines, replicas, requests, stages

_NOW = replace(CHOSEN, window="5m")

_HOW = """\
**Load** is ongoing and queued requests, divided by `targetOngoingRequests` of all replicas that a
stage *may* have. **Headroom** is 1 minus load.

1. The bottleneck is the stage with the highest load.
2. Is it at `maxReplicas`? Raise that, and make sure that its nodes have capacity.
3. Is it below, and calls queue? Replicas start too slowly: check cold starts and free nodes.
4. Are its batches full and its GPU idle? Raise the batch limit before you buy GPUs.
5. Is load low, but requests are refused? CPUs are full (see Machines), or the ingress has reached
   `limits.max_concurrent_requests`.
"""

_HEADROOM = Row(
    "Headroom",
    [
        note(
            "How to read this page",
            "What to check, in which order, and what to change.",
            _HOW,
            width=8,
            height=8,
        ),
        number(
            About(
                "Bottleneck",
                "percentunit",
                "The stage with the highest load in the last 5 minutes. Above 70 % it is the next "
                "one that needs more replicas; above 100 % its queue grows.",
            ),
            Query(replicas.bottleneck(_NOW), "{{deployment}}"),
            limits=high(0.7, 1),
            text=Text.VALUE_AND_NAME,
            past=False,
            width=4,
            height=8,
        ),
        number(
            About(
                "Headroom of the app",
                "percentunit",
                "Headroom of the bottleneck. Below 0 queues grow until requests are refused.",
            ),
            Query(replicas.lowest_headroom(_NOW), "headroom"),
            limits=low(0, 0.3),
            width=4,
            height=8,
        ),
        bars(
            About(
                "Load of each stage",
                "percentunit",
                "In the last 5 minutes. If stages differ much, those with low load have replicas "
                "to spare.",
            ),
            Query(replicas.load_share(_NOW), "{{deployment}}"),
            limits=high(0.7, 1),
        ),
    ],
)

_TEST = Row(
    "Traffic and results",
    [
        lines(
            About(
                "Users of a load test",
                "none",
                "Simulated users of `load_tests`, while it runs and its metrics are scraped. "
                "Graphs are annotated for that time.",
            ),
            Query(load_tests.users(CHOSEN), "users"),
            width=6,
        ),
        lines(
            About(
                "Answers",
                "reqps",
                "Requests for an answer per second. Where this levels off while users and latency "
                "rise, is the capacity.",
            ),
            Query(requests.answer_rate(CHOSEN), "answers"),
            width=6,
        ),
        lines(
            About(
                "Latency of answers",
                "s",
                f"Capacity is the rate at which p95 stays below {slo.LATENCY_S:g} s.",
            ),
            Query(requests.answer_seconds(CHOSEN, 0.5), "p50"),
            Query(requests.answer_seconds(CHOSEN, 0.95), "p95"),
            width=6,
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        lines(
            About(
                "Errors",
                "percentunit",
                "Share of answers that failed with a 5xx. Refusals (503) begin when queues are "
                "full; they are intended, and keep the latency of accepted requests.",
            ),
            Query(requests.fault_share(CHOSEN), "errors"),
            width=6,
            limits=high(slo.AVAILABILITY.budget, 10 * slo.AVAILABILITY.budget),
        ),
    ],
)

_STAGES = Row(
    "Bottleneck",
    [
        lines(
            About(
                "Headroom of each stage",
                "percentunit",
                "The first line to reach 0 is the bottleneck.",
            ),
            Query(replicas.headroom(CHOSEN), "{{deployment}}"),
            limits=low(0, 0.3),
            least=None,
        ),
        lines(
            About(
                "Target replicas / maxReplicas",
                "percentunit",
                "At 1 the autoscaler can add no more. At 1 with headroom, targetOngoingRequests is "
                "too low.",
            ),
            Query(replicas.at_most(CHOSEN), "{{deployment}}"),
            limits=high(0.8, 1),
            most=1,
        ),
        lines(
            About(
                "Queue time in replicas, p95",
                "s",
                "Time that calls wait for the model. It rises at the bottleneck first.",
            ),
            Query(stages.queue_seconds(CHOSEN, 0.95), "{{deployment}}"),
            limits=high(slo.QUEUE_S / 2, slo.QUEUE_S),
        ),
        lines(
            About(
                "Batch fill",
                "percentunit",
                "Mean batch size as a share of the limit. With full batches the model is as "
                "efficient as it can be, and only more replicas help.",
            ),
            Query(stages.batch_fill(CHOSEN), "{{deployment}}"),
            limits=high(0.7, 0.9),
            most=1,
        ),
        lines(
            About(
                "Throughput of models",
                "reqps",
                "Items per second; while calls queue, this is the maximum of the replicas.",
            ),
            Query(stages.item_rate(CHOSEN), "{{deployment}}"),
        ),
        lines(
            About(
                "Inference time, p95",
                "s",
                "Time of one model run. A rise with larger batches is the price of throughput.",
            ),
            Query(stages.model_seconds(CHOSEN, 0.95), "{{deployment}}"),
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
                "CPU use of each node. Near 1, more replicas on the same nodes do not help.",
            ),
            Query(machines.cpu_share(CHOSEN), "{{ip}}"),
            limits=high(0.8, 0.95),
            most=1,
        ),
        lines(
            About(
                "GPU utilization",
                "percentunit",
                "Share of time in which each GPU ran a kernel; near 1 at the bottleneck. No data "
                "on machines without GPUs.",
            ),
            Query(machines.gpu_share(CHOSEN), "{{ip}} {{GpuIndex}}"),
            most=1,
        ),
        lines(
            About(
                "GPU memory",
                "bytes",
                "Memory in use on each GPU; the free rest bounds batch sizes and replicas. No data "
                "on machines without GPUs.",
            ),
            Query(machines.gpu_memory_bytes(CHOSEN), "{{ip}} {{GpuIndex}}"),
        ),
    ],
)

CAPACITY = Page(
    name="capacity",
    title="Capacity",
    description="How much more load the app can take, and which stage is the bottleneck.",
    rows=(_HEADROOM, _TEST, _STAGES, _MACHINES),
    annotations=(RELEASES, Annotation("Load test", load_tests.running(CHOSEN), "orange")),
)
