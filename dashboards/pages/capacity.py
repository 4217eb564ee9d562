"""Capacity: how much more can come, and which stage gives way first."""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, RELEASES, Annotation, Page, Row
from dashboards.panels import About, Query, Text, bars, high, lines, low, note, number
from dashboards.queries import load_tests, machines, replicas, requests, stages

_NOW = replace(CHOSEN, window="5m")

_HOW = """\
**Load** is requests in work or waiting, divided by what all replicas that a stage *may* have shall
take. **Headroom** is the rest.

1. The bottleneck is the stage with the highest load.
2. Is it at its most replicas? Raise `maxReplicas`, and give its nodes room.
3. Is it not, and calls wait? Replicas come too slowly: see starts, and room on nodes.
4. Are its batches full and its GPU idle? Raise the batch limit before buying GPUs.
5. Is load low, and requests are refused all the same? CPUs are full (see Machines), or the ingress
   takes no more: `limits.max_concurrent_requests` of the settings.
"""

_HEADROOM = Row(
    "Headroom",
    [
        note(
            "How to read this page",
            "In which order to look, and what to change.",
            _HOW,
            width=8,
            height=8,
        ),
        number(
            About(
                "Bottleneck",
                "percentunit",
                "The stage with the highest load in the last 5 minutes. Above 70 % it is the next "
                "one to be given more replicas; above 100 % more waits than can be done.",
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
                "That of the stage with the least. Below 0 requests wait longer and longer, until "
                "they are refused.",
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
                "In the last 5 minutes. Stages far from each other: the emptier ones have replicas "
                "to spare.",
            ),
            Query(replicas.load_share(_NOW), "{{deployment}}"),
            limits=high(0.7, 1),
        ),
    ],
)

_TEST = Row(
    "What comes in, and what becomes of it",
    [
        lines(
            About(
                "Users of a load test",
                "none",
                "Simulated people of `load_tests`, if it runs and its series are scraped. The page "
                "is marked for as long.",
            ),
            Query(load_tests.users(CHOSEN), "users"),
            width=6,
        ),
        lines(
            About(
                "Answers",
                "reqps",
                "Requests for an answer. Where this goes flat while users rise, and seconds climb, "
                "is the capacity.",
            ),
            Query(requests.answer_rate(CHOSEN), "answers"),
            width=6,
        ),
        lines(
            About(
                "Seconds of an answer",
                "s",
                f"Half and 95 of 100. Capacity is what can be answered below {slo.LATENCY_S:g} s.",
            ),
            Query(requests.answer_seconds(CHOSEN, 0.5), "half"),
            Query(requests.answer_seconds(CHOSEN, 0.95), "95 of 100"),
            width=6,
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        lines(
            About(
                "Failing",
                "percentunit",
                "Share that failed by our fault. Refusals begin where queues are full, and are "
                "meant to: they keep the others fast.",
            ),
            Query(requests.fault_share(CHOSEN), "failing"),
            width=6,
            limits=high(slo.AVAILABILITY.budget, 10 * slo.AVAILABILITY.budget),
        ),
    ],
)

_STAGES = Row(
    "Where it gives way",
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
                "Replicas wanted, of the most",
                "percentunit",
                "At 1 the autoscaler can do no more. At 1 with headroom, targets for each replica "
                "are low.",
            ),
            Query(replicas.at_most(CHOSEN), "{{deployment}}"),
            limits=high(0.8, 1),
            most=1,
        ),
        lines(
            About(
                "Waiting in replicas",
                "s",
                "95 of 100 calls wait at most so long for the model. It rises at the bottleneck "
                "first.",
            ),
            Query(stages.queue_seconds(CHOSEN, 0.95), "{{deployment}}"),
            limits=high(slo.QUEUE_S / 2, slo.QUEUE_S),
        ),
        lines(
            About(
                "Batches filled",
                "percentunit",
                "Mean items in a run of the model as a share of the limit. Full batches: the model "
                "works as efficiently as it can, and only replicas help.",
            ),
            Query(stages.batch_fill(CHOSEN), "{{deployment}}"),
            limits=high(0.7, 0.9),
            most=1,
        ),
        lines(
            About(
                "Items a second",
                "reqps",
                "What each stage's models get done; its height when calls wait is what its "
                "replicas can do.",
            ),
            Query(stages.item_rate(CHOSEN), "{{deployment}}"),
        ),
        lines(
            About(
                "Seconds of one run of the model",
                "s",
                "95 of 100. A rise with larger batches is the price of throughput.",
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
                "Cores of each node in use. Near 1, more replicas on the same nodes help nobody.",
            ),
            Query(machines.cpu_share(CHOSEN), "{{ip}}"),
            limits=high(0.8, 0.95),
            most=1,
        ),
        lines(
            About(
                "GPU time",
                "percentunit",
                "Share of time in which each GPU ran anything; that of the bottleneck should be "
                "near 1. None on machines without GPUs.",
            ),
            Query(machines.gpu_share(CHOSEN), "{{ip}} {{GpuIndex}}"),
            most=1,
        ),
        lines(
            About(
                "GPU memory",
                "bytes",
                "In use on each GPU; what is free bounds batches and replicas. None on machines "
                "without GPUs.",
            ),
            Query(machines.gpu_memory_bytes(CHOSEN), "{{ip}} {{GpuIndex}}"),
        ),
    ],
)

CAPACITY = Page(
    name="capacity",
    title="Capacity",
    description="How much more can come, and which stage gives way first.",
    rows=(_HEADROOM, _TEST, _STAGES, _MACHINES),
    annotations=(RELEASES, Annotation("Load test", load_tests.running(CHOSEN), "orange")),
)
