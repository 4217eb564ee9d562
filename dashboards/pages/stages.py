"""Stages: one row for each, from calls over queue and batch down to its share of GPUs."""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, Page, Row
from dashboards.panels import About, Query, high, lines
from dashboards.queries import machines, replicas, stages

_NONE = "The assembler runs no model and has none."

_ALL = Row(
    "All stages",
    [
        lines(
            About(
                "Calls",
                "reqps",
                "Calls of each stage. Captioner, tagger and retriever are called once for each "
                "answer; fewer calls of one mean that it is left out or that calls never reach it.",
            ),
            Query(stages.call_rate(CHOSEN), "{{stage}}"),
        ),
        lines(
            About(
                "Failing calls",
                "percentunit",
                "Share of calls that gave an error. A stage that may be done without degrades the "
                "answer; another one fails it.",
            ),
            Query(stages.error_share(CHOSEN), "{{stage}}"),
            limits=high(0.005, 0.05),
        ),
        lines(
            About(
                "95 of 100 calls within",
                "s",
                "As the caller sees it: transport, queue and work. Captioner, tagger and retriever "
                "run at the same time, so an answer takes the slowest of them plus the answerer.",
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
                "its log has a traceback; model_not_ready: no replica is; cancelled: the caller "
                "went away, no fault.",
            ),
            Query(stages.outcome_rate(CHOSEN), "{{code}}"),
            width=6,
            height=7,
            stacked=True,
        ),
        lines(
            About(
                "Failing and degraded",
                "percentunit",
                "Share of calls that gave an error, and of those whose answer did without this "
                "stage. The latter without the former: the ingress does not wait for it any more.",
            ),
            Query(stages.error_share(CHOSEN), "failing"),
            Query(stages.degraded_share(CHOSEN), "degraded"),
            width=6,
            height=7,
            limits=high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
        ),
        lines(
            About(
                "Seconds of a call",
                "s",
                "As the caller sees it. Compare with the model's run: the rest is queue and "
                "transport.",
            ),
            Query(stages.call_seconds(CHOSEN, 0.5), "half"),
            Query(stages.call_seconds(CHOSEN, 0.95), "95 of 100"),
            Query(stages.call_seconds(CHOSEN, 0.99), "99 of 100"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Seconds in the queue",
                "s",
                f"From arrival in a replica to the model's run. Above {slo.QUEUE_S:g} s replicas "
                f"are too few or too slow. {_NONE}",
            ),
            Query(stages.queue_seconds(CHOSEN, 0.5), "half"),
            Query(stages.queue_seconds(CHOSEN, 0.95), "95 of 100"),
            width=6,
            height=7,
            limits=high(slo.QUEUE_S / 2, slo.QUEUE_S),
        ),
        lines(
            About(
                "Seconds of one run of the model",
                "s",
                "On one batch. A rise at the same batch size: a slower machine, or somebody else "
                f"on its GPU. {_NONE}",
            ),
            Query(stages.model_seconds(CHOSEN, 0.5), "half"),
            Query(stages.model_seconds(CHOSEN, 0.95), "95 of 100"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Items in one run",
                "none",
                "Mean, nearly the largest, and the limit. At the limit for long while calls wait: "
                f"more replicas, or a higher limit where memory allows. {_NONE}",
            ),
            Query(stages.batch_size(CHOSEN), "mean"),
            Query(stages.batch_size_quantile(CHOSEN, 0.95), "95 of 100"),
            Query(stages.batch_limit(CHOSEN), "limit"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Batches filled",
                "percentunit",
                "Mean items in a run as a share of the limit. Low is good for latency; near 1, the "
                f"stage has no reserve. {_NONE}",
            ),
            Query(stages.batch_fill(CHOSEN), "filled"),
            width=6,
            height=7,
            limits=high(0.7, 0.9),
            most=1,
        ),
        lines(
            About(
                "Items without a value",
                "percentunit",
                "Share of items for which the model gave an error, and of photos that were "
                f"remembered from just before. Errors need the log. {_NONE}",
            ),
            Query(stages.model_error_share(CHOSEN), "errors"),
            Query(stages.cache_hit_share(CHOSEN), "remembered"),
            width=6,
            height=7,
            most=1,
        ),
        lines(
            About(
                "Replicas",
                "none",
                "Running, wanted by the autoscaler, and the most there may be. Wanted at the most "
                "while calls wait: saturated. Running below wanted for long: no room, or crashes.",
            ),
            Query(replicas.running(CHOSEN), "running"),
            Query(replicas.wanted(CHOSEN), "wanted"),
            Query(replicas.most(CHOSEN), "at most"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "Requests in work and waiting",
                "none",
                "In work or waiting, as the autoscaler counts; and those of them that no replica "
                "has taken yet, which should be none.",
            ),
            Query(replicas.ongoing(CHOSEN), "in work or waiting"),
            Query(replicas.queued(CHOSEN), "not taken yet"),
            width=6,
            height=7,
        ),
        lines(
            About(
                "GPU time",
                "percentunit",
                "Share of time in which the GPUs of this stage's nodes ran anything, on average. "
                "Low while calls wait: batches are too small, or the CPU cannot feed it. None on "
                "machines without GPUs.",
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
                "In use on the fullest GPU of this stage's nodes. Above the line the next large "
                "batch may fail; a steady climb is a leak. None on machines without GPUs.",
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
    "Starts of replicas",
    [
        lines(
            About(
                "Starts",
                "none",
                "Replicas started in the last 10 minutes. More than scaling explains: they crash; "
                "Ray's log of the replica says why.",
            ),
            Query(replicas.starts(replace(CHOSEN, window="10m")), "{{deployment}}"),
            width=12,
        ),
        lines(
            About(
                "95 of 100 starts within",
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
    description="Every stage by itself: calls, errors, seconds, queue, batches, replicas, GPUs.",
    rows=(_ALL, _EACH, _STARTS),
)
