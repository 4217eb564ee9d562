"""Measurements of an app that never ran: what a load test of known stages would have seen."""

from itertools import pairwise

from capacity.measurements import STAGES, Measurements, Part, StageWork

PER_RUN_S, PER_ITEM_S = 0.010, 0.005
"""Of every stage with a model; the assembler costs half a millisecond."""
ALONE_S = 0.060
BATCHES = (1.0, 2.0, 4.0, 8.0)


def work(stage: str, items: int, mean_batch: float) -> StageWork:
    """Return what a stage would have done with so many items."""
    took_s = (ALONE_S / 3,) * min(items, 20)
    if stage == "assembler":
        return StageWork(items=items, runs=0, cpu_s=0.0005 * items, took_s=took_s)
    runs = round(items / mean_batch)
    cpu_s = PER_RUN_S * runs + PER_ITEM_S * items
    return StageWork(items=items, runs=runs, cpu_s=cpu_s, took_s=took_s)


def part(
    target: str,
    *,
    items: int = 400,
    mean_batch: float = 1.0,
    callers: int | None = None,
    rate: float | None = None,
    failed: int = 0,
    seconds: float = 8.0,
) -> Part:
    """Return one part of a load test in which all was answered, but for what failed."""
    stages = STAGES if target == "answers" else (target,)
    return Part(
        kind="open" if rate else "closed",
        target=target,
        rate=rate,
        callers=callers,
        lasted_s=seconds if rate else 0.0,
        seconds=seconds,
        sent=items + failed,
        refused=0,
        failed=failed,
        took_s=(ALONE_S,) * items,
        stages={stage: work(stage, items, mean_batch) for stage in stages},
        ingress_cpu_s=0.002 * items,
        plane_cpu_s=0.002 * items + 0.1 * seconds,
    )


def with_cpu(part: Part, *, times: float = 1.0, more_cores: float = 0.0) -> Part:
    """Return the same part in which every stage's work took so many times as long, and more."""
    stages = {
        name: work.model_copy(
            update={"cpu_s": times * (work.cpu_s or 0.0) + more_cores * part.seconds}
        )
        for name, work in part.stages.items()
    }
    return part.model_copy(update={"stages": stages})


def measurements(
    *, failed: int = 0, gpu: bool = False, foreign_cores: float = 0.0, slowness: float = 1.0
) -> Measurements:
    """Return a whole load test; its last step was on cores that took `slowness` times as long."""
    assert all(small < large for small, large in pairwise(BATCHES))
    alone = [
        part(stage, mean_batch=batch, callers=int(2 * batch) if batch > 1 else 1)
        for stage in ("captioner", "tagger", "retriever")
        for batch in BATCHES
    ]
    whole = [
        part("answers", items=100, callers=1),
        part("answers", mean_batch=8.0, callers=16, seconds=3.7),
    ]
    steps = [
        part("answers", items=round(8 * rate), rate=rate, failed=failed) for rate in (5.0, 10.0)
    ]
    steps[-1] = with_cpu(steps[-1], times=slowness)
    return Measurements(
        measured="2026-01-01T00:00:00+00:00",
        url="http://127.0.0.1:8000",
        cores=4,
        devices={
            stage: "gpu" if gpu and stage in {"captioner", "tagger"} else "cpu" for stage in STAGES
        },
        replicas=dict.fromkeys(("ingress", *STAGES), 1),
        items_per_call={stage: 2 if stage == "retriever" else 1 for stage in STAGES},
        max_items=dict.fromkeys((s for s in STAGES if s != "assembler"), 8),
        parts=tuple(
            each.model_copy(update={"foreign_cores": foreign_cores})
            for each in (*whole, *alone, *steps)
        ),
    )
