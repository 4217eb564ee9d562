"""Stages: one row for each, with calls, queue, batches, replicas and GPUs."""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, Page, Row
from dashboards.panels import About, Query, high, lines
from dashboards.queries import machines, replicas, stages

_NONE = "No data for the assembler, which runs no model."

_ALL = Row(
    "All stages",
    [
        lines(
            About(
                "Calls",
                "reqps",
                "Calls of each stage. Captioner, tagger and retriever are called once per answer; "
                "fewer calls of one mean that it is left out, or that calls never reach it.",
            ),
            Query(stages.call_rate(CHOSEN), "{{stage}}"),
        ),
        lines(
            About(
                "Error rate",
                "percentunit",
                "Share of calls that failed. An optional stage (settings: degrade) then degrades "
                "the answer; any other fails it.",
            ),
            Query(stages.error_share(CHOSEN), "{{stage}}"),
            limits=high(0.005, 0.05),
        ),
        lines(
            About(
                "Latency, p95",
                "s",
                "As the caller sees it: transport, queue and work. Captioner, tagger and retriever "
                "run concurrently, so an answer takes the slowest of them plus the answerer.",
            ),
            Query(stages.call_seconds(CHOSEN, 0.95), "{{stage}}"),
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
    ],
)

_EACH = Row(
    "$deployment",
    [
        lines(
            About(
                "Calls by outcome",
                "reqps",
                "overloaded: its queue is full; deadline_exceeded: it is too slow; stage_failed: "
                "its log has a traceback; model_not_ready: no replica is ready; cancelled: the "
                "caller disconnected or the answer had already failed, no fault.",
            ),
            Query(stages.outcome_rate(CHOSEN), "{{code}}"),
            width=6,
            height=7,
            stacked=True,
        ),
        lines(
            About(
                "Errors and degraded answers",
                "percentunit",
                "Share of calls that failed or hung, and of calls whose answer was made without "
                "this stage. Cancelled calls are not counted. Degraded without errors: the ingress "
                "did not wait for a slow stage.",
            ),
            Query(stages.error_share(CHOSEN), "errors"),
            Query(stages.degraded_share(CHOSEN), "degraded"),
            width=6,
            height=7,
            limits=high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
        ),
        lines(
            About(
                "Latency of calls",
                "s",
                "As the caller sees it: inference, queue and transport.",
            ),
            Query(stages.call_seconds(CHOSEN, 0.5), "p50"),
            Query(stages.call_seconds(CHOSEN, 0.95), "p95"),
            Query(stages.call_seconds(CHOSEN, 0.99), "p99"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Queue time",
                "s",
                f"From arrival in a replica to the model run. Above {slo.QUEUE_S:g} s replicas "
                f"are too few or too slow. {_NONE}",
            ),
            Query(stages.queue_seconds(CHOSEN, 0.5), "p50"),
            Query(stages.queue_seconds(CHOSEN, 0.95), "p95"),
            width=6,
            height=7,
            limits=high(slo.QUEUE_S / 2, slo.QUEUE_S),
        ),
        lines(
            About(
                "Inference time",
                "s",
                "Time of one model run on one batch. A rise at the same batch size: a slower "
                f"machine, or another process on its GPU. {_NONE}",
            ),
            Query(stages.model_seconds(CHOSEN, 0.5), "p50"),
            Query(stages.model_seconds(CHOSEN, 0.95), "p95"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Batch size",
                "none",
                "At the limit for long while calls queue: add replicas, or raise the limit if "
                f"memory allows. {_NONE}",
            ),
            Query(stages.batch_size(CHOSEN), "mean"),
            Query(stages.batch_size_quantile(CHOSEN, 0.95), "p95"),
            Query(stages.batch_limit(CHOSEN), "limit"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Batch fill",
                "percentunit",
                "Mean batch size as a share of the limit. Low is good for latency; near 1, the "
                f"stage has no reserve. {_NONE}",
            ),
            Query(stages.batch_fill(CHOSEN), "fill"),
            width=6,
            height=7,
            limits=high(0.7, 0.9),
            most=1,
        ),
        lines(
            About(
                "Model errors and cache hits",
                "percentunit",
                "Share of items for which the model raised an error (see the log), and of photos "
                f"whose result came from the cache. {_NONE}",
            ),
            Query(stages.model_error_share(CHOSEN), "errors"),
            Query(stages.cache_hit_share(CHOSEN), "cache hits"),
            width=6,
            height=7,
            most=1,
        ),
        lines(
            About(
                "Replicas",
                "none",
                "Running, target of the autoscaler, and maximum. Target at the maximum while calls "
                "queue: saturated. Running below target for long: no capacity on nodes, or "
                "crashes.",
            ),
            Query(replicas.running(CHOSEN), "running"),
            Query(replicas.wanted(CHOSEN), "target"),
            Query(replicas.most(CHOSEN), "maximum"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Ongoing and queued requests",
                "none",
                "All requests, as the autoscaler counts them; and those of them that no replica "
                "has accepted yet, which should be 0.",
            ),
            Query(replicas.ongoing(CHOSEN), "ongoing and queued"),
            Query(replicas.queued(CHOSEN), "queued"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "GPU utilization",
                "percentunit",
                "Mean share of time in which the GPUs of this stage's nodes ran a kernel. Low "
                "while calls queue: batches are too small, or the CPU is the bottleneck. No data "
                "on machines without GPUs.",
            ),
            Query(machines.stage_gpu_share(CHOSEN), "busy"),
            width=6,
            height=7,
            most=1,
        ),
        lines(
            About(
                "GPU memory",
                "percentunit",
                "Of the fullest GPU of this stage's nodes. Above the line the next large batch may "
                "run out of memory; a steady rise is a leak. No data on machines without GPUs.",
            ),
            Query(machines.stage_gpu_memory_share(CHOSEN), "in use"),
            width=6,
            height=7,
            limits=high(0.85, slo.GPU_MEMORY_SHARE),
            most=1,
        ),
    ],
    repeat="deployment",
)

_STARTS = Row(
    "Cold starts",
    [
        lines(
            About(
                "Replica starts",
                "none",
                "Replicas started in the last 10 minutes. More than scaling explains: they crash; "
                "see the replica's log.",
            ),
            Query(replicas.starts(replace(CHOSEN, window="10m")), "{{deployment}}"),
            width=12,
        ),
        lines(
            About(
                "Cold start time, p95",
                "s",
                f"From creation to ready, in the last hour. Above {slo.COLD_START_S:g} s scaling "
                "comes too late: image or weights are not on the node yet.",
            ),
            Query(replicas.start_seconds(replace(CHOSEN, window="1h"), 0.95), "{{deployment}}"),
            width=12,
            limits=((None, "green"), (slo.COLD_START_S, "red")),
        ),
    ],
)

STAGES = Page(
    name="stages",
    title="Stages",
    description="Each stage: calls, errors, latency, queue, batches, replicas, GPUs.",
    rows=(_ALL, _EACH, _STARTS),
)
