"""From a load test to what one run of each stage takes: a fixed part and a part for each item.

A mean is enough to fit it: where a run of b items takes a + c b seconds, the mean run takes
a + c times the mean batch, however batches vary. Processor time is fitted where cores are shared,
since waiting for a core is not work; a saturated stage's seconds a run where they are not.
"""

from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from capacity.measurements import (
    STAGES,
    Device,
    Measurements,
    Part,
    Record,
    StageWork,
)
from capacity.problems import CapacityError
from capacity.regression import affine, by_second_and_answer

PURE = "assembler"
"""Without a model: what a replica costs by the second, it costs too, and little else."""
SPREAD_POINTS = 21
"""Quantiles kept of how much single calls differ."""


class StageModel(Record):
    """What a stage's runs take; a hosted stage has only what its calls took."""

    device: Device
    per_run_s: float
    per_item_s: float
    error: float
    """Standard deviation of the fit's residuals, as a share."""
    spread: tuple[float, ...]
    """What single runs on a GPU are times the fit, as even quantiles; their mean is 1."""
    calls_s: tuple[float, ...] = ()
    """Latencies of calls to a hosted stage, in seconds."""
    items_per_call: int = 1
    max_items: int
    """Largest batch in calls, and `max_rate` the highest measured calls per second of a replica."""
    max_rate: float
    niceness: int = 0
    """Increment of its model threads' nice value, as measured; no plan changes it."""

    def run_s(self, items: float) -> float:
        """Return the seconds of a model run on `items` items, on a core or GPU of its own."""
        return self.per_run_s + self.per_item_s * items

    def per_answer_s(self, items: float | None = None) -> float:
        """Return the seconds per answer in batches of `items`, by default the largest."""
        items = items or self.max_items
        return self.run_s(items) / items

    def knee(self) -> int:
        """Return the batch from which a larger one saves less than a tenth of an answer's time."""
        for items in range(1, self.max_items):
            if self.per_answer_s(items) < 1.1 * self.per_item_s:
                return items
        return self.max_items


class Model(Record):
    """Model of an app, as the simulation needs it."""

    cores: float
    own_cores: float
    """CPU cores used without any load, by Ray, proxy, ingress and client."""
    replica_cores: float = 0.0
    """The same for each replica of a stage: Ray's own threads in it."""
    foreign_cores: float
    """CPU cores used by other programs."""
    stages: dict[str, StageModel]
    ingress_s: float
    """CPU seconds of the ingress per answer, and `plane_s` of proxy and client."""
    plane_s: float
    pause_s: float = 0.0
    """Seconds that an answer waits besides all work: hops, timers, wake-ups."""
    pace: tuple[tuple[float, float], ...] = ((float("inf"), 1.0),)
    """Speed of the cores over time (see `cores.Pace`)."""
    usable: float = 1.0
    """Share of the cores that a saturated app can use; the rest is lost to wake-ups."""
    yielding: float = 1.0
    """Effective share of nice values: Linux applies them among the threads of one core, and which
    threads share a core is random."""
    alone_s: float
    ingress_max_rate: float
    drift: float = 0.0
    """Standard deviation, as a share, of the time of equal work between parts of the load test."""
    most_busy: float = 1.0
    """Highest CPU utilization of a part."""

    def taken_cores(self, replicas: int) -> float:
        """Return the CPU cores used without any load, with `replicas` of all stages together."""
        return self.own_cores + self.replica_cores * replicas + self.foreign_cores

    def free_cores(self, cores: float, replicas: int) -> float:
        """Return the CPU cores that are left for answers."""
        return cores * self.usable - self.taken_cores(replicas)


def fit(measurements: Measurements) -> Model:
    """Return the model of what was measured.

    Raises:
        CapacityError: The measurements do not carry a model.
    """
    measurements.check()
    answers = [*measurements.answers("closed"), *measurements.answers("open")]
    ingress_cores, ingress_s = by_second_and_answer(
        [(part.seconds, len(part.took_s), part.ingress_cpu_s) for part in answers]
    )
    plane_cores, plane_s = by_second_and_answer(
        [(part.seconds, len(part.took_s), part.plane_cpu_s) for part in answers]
    )
    replica_cores = _replica_cores(measurements)
    model = Model(
        cores=measurements.cores,
        own_cores=ingress_cores + plane_cores,
        replica_cores=replica_cores,
        foreign_cores=median(part.foreign_cores for part in measurements.parts),
        stages={stage: _stage(stage, measurements, replica_cores) for stage in STAGES},
        ingress_s=ingress_s,
        plane_s=plane_s,
        pace=_pace(measurements),
        alone_s=median(measurements.alone_s()),
        ingress_max_rate=max(
            part.sent / part.seconds / measurements.replicas["ingress"]
            for part in measurements.parts
        ),
    )
    drift, most_busy = _drift(model, measurements), _most_busy(measurements)
    return model.model_copy(update={"drift": drift, "most_busy": most_busy})


def slowness(model: Model, replicas: int, parts: Sequence[Part]) -> float:
    """Return what work took in those parts, in multiples of the fit; 1 if it is unknown.

    Args:
        model: The fit.
        replicas: Of all stages together, in those parts.
        parts: What was seen.
    """
    on_gpu = any(stage.device == "gpu" for stage in model.stages.values())
    spent_s = [part.cpu_s for part in parts if part.cpu_s is not None and part.target == "answers"]
    if len(spent_s) < len(parts) or on_gpu:
        return 1.0  # a GPU's seconds are not among the processor's
    return sum(spent_s) / sum(_fitted_s(model, replicas, part) for part in parts)


def _fitted_s(model: Model, replicas: int, part: Part) -> float:
    seconds = (model.ingress_s + model.plane_s) * len(part.took_s)
    seconds += (model.own_cores + model.replica_cores * replicas) * part.seconds
    for name, work in part.stages.items():
        stage = model.stages[name]
        seconds += stage.per_run_s * work.runs + stage.per_item_s * work.items
    return seconds


def _drift(model: Model, measurements: Measurements) -> float:
    whole = [part for part in measurements.parts if part.target == "answers"]
    replicas = sum(measurements.replicas[stage] for stage in STAGES)
    shares = np.array([slowness(model, replicas, [part]) for part in whole])
    seconds = np.array([part.seconds for part in whole])
    mean = np.average(shares, weights=seconds)
    return float(np.sqrt(np.average((shares / mean - 1) ** 2, weights=seconds)))


def _pace(measurements: Measurements) -> tuple[tuple[float, float], ...]:
    """Return how the speed of cores wandered, by calls that came one after another.

    Neighbours among such calls are alike: the cores are slow for a while, not single calls.
    """
    alone = [part for part in measurements.parts if part.callers == 1]
    mean_s = {
        target: fmean(took_s for part in alone if part.target == target for took_s in part.took_s)
        for target in {part.target for part in alone}
    }
    return tuple((took_s, took_s / mean_s[part.target]) for part in alone for took_s in part.took_s)


def _most_busy(measurements: Measurements) -> float:
    busy = [
        (part.cpu_s / part.seconds + part.foreign_cores) / measurements.cores
        for part in measurements.parts
        if part.cpu_s is not None
    ]
    return min(1.0, max(busy, default=1.0))


def _replica_cores(measurements: Measurements) -> float:
    """Return what every replica costs by the second, as the assembler tells, which does little."""
    work = [(part, part.stages[PURE]) for part in measurements.parts if PURE in part.stages]
    each_second, _ = by_second_and_answer([(part.seconds, w.items, w.cpu_s) for part, w in work])
    return each_second / measurements.replicas[PURE]


def _stage(stage: str, measurements: Measurements, replica_cores: float) -> StageModel:
    device = measurements.devices[stage]
    replicas = measurements.replicas[stage]
    seen = [(part, part.stages[stage]) for part in measurements.parts if stage in part.stages]
    max_rate = max(work.items / part.seconds / replicas for part, work in seen)
    alone = stage if any(part.target == stage for part, _ in seen) else "answers"
    quiet = [
        took_s
        for part, work in seen
        if part.callers == 1 and part.target == alone
        for took_s in work.took_s
    ]
    if device == "hosted" or not any(work.runs for _, work in seen):
        _, each = by_second_and_answer([(part.seconds, w.items, w.cpu_s) for part, w in seen])
        return StageModel(
            device=device, per_run_s=0.0, per_item_s=each, error=0.1, spread=(1.0,),
            calls_s=tuple(quiet) if device == "hosted" else (), max_items=1, max_rate=max_rate,
        )  # fmt: skip
    fixed, each, error = _fit_runs(stage, device, seen, replicas, replica_cores)
    largest = max(work.items / work.runs for _, work in seen if work.runs)
    return StageModel(
        device=device, per_run_s=fixed, per_item_s=each, error=error,
        spread=_spread(quiet) if device == "gpu" else (1.0,),
        items_per_call=measurements.items_per_call[stage],
        max_items=max(1, round(largest)), max_rate=max_rate,
        niceness=measurements.niceness.get(stage, 0),
    )  # fmt: skip


def _fit_runs(
    stage: str,
    device: Device,
    seen: Sequence[tuple[Part, StageWork]],
    replicas: int,
    replica_cores: float,
) -> tuple[float, float, float]:
    points = [
        (work.items / work.runs, run_s, work.runs)
        for part, work in seen
        if work.runs and (run_s := _run_s(device, part, work, replicas, replica_cores)) > 0
    ]
    if len(points) < 2:
        raise CapacityError(f"The load test says too little of the {stage}; run it again.")
    items, seconds, runs = (np.array(column, float) for column in zip(*points, strict=True))
    fixed, each, error = affine(items, seconds, runs)
    together = [index for index, (part, work) in enumerate(_with_runs(seen)) if _whole(part)]
    if device == "cpu" and together and len(points) == len(_with_runs(seen)):
        # Work beside other stages costs more than alone: they share caches and memory.
        at = np.array(together)
        share = float(
            np.sum(seconds[at] * runs[at]) / np.sum((fixed + each * items[at]) * runs[at])
        )
        fixed, each = fixed * share, each * share
    return fixed, each, error


def _with_runs(seen: Sequence[tuple[Part, StageWork]]) -> list[tuple[Part, StageWork]]:
    return [(part, work) for part, work in seen if work.runs]


def _whole(part: Part) -> bool:
    return part.target == "answers"


def _run_s(
    device: Device, part: Part, work: StageWork, replicas: int, replica_cores: float
) -> float:
    """Return what a run took; nothing where this part cannot tell."""
    replica_s = part.seconds * replicas
    if device == "cpu" and work.cpu_s is not None:
        return (work.cpu_s - replica_cores * replica_s) / work.runs
    saturated = part.kind == "closed" and not _whole(part) and (part.callers or 0) > replicas
    return replica_s / work.runs if saturated else 0.0


def _spread(quiet_s: Sequence[float]) -> tuple[float, ...]:
    if len(quiet_s) < 5:
        return (1.0,)
    cuts = np.quantile(np.array(quiet_s), np.linspace(0.02, 0.98, SPREAD_POINTS))
    return tuple(float(cut) for cut in cuts / cuts.mean())
