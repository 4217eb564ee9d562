"""Predictions with bands: several simulations, each of an app a little unlike the fitted one.

How unlike is the fit's own error, and how much the cores' speed drifted while the app was
measured: where cores are virtual, equal work takes longer in one minute than in the next. What an
answer waits beside all work is calibrated on the load test's own rates, so that other rates and
settings stay unseen until they are predicted.
"""

import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, median

import numpy as np

from capacity.fit import Model, StageModel, slowness
from capacity.measurements import (
    STAGES,
    Measurements,
    Part,
    Record,
    answered_per_s,
)
from capacity.simulator import Outcome, Setting, simulate, simulate_callers
from capacity.stage import StageSetting
from load_tests.client.traffic import arrivals

DRAWS = 7
CALIBRATED_ON = 400
"""Simulated answers of callers who wait."""
HALVINGS = 6
FULL = 0.9
"""Share of the cores that callers who wait must keep busy to tell anything of them."""
QUICK, SEEDS = 0.25, 5
"""Quantile of answers that seldom wait for others, and simulations of each rate."""
RUN_TO_RUN = 0.15
"""Standard deviation, as a share, of what equal work costs against the load test's: at least. On
virtual cores, 244 rates saw 0.84 to 1.42 times as much within two hours of it."""


class Band(Record):
    """A prediction: the middle, and the least and most of apps that could be the measured one."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Band":
        """Return the band of what the draws gave."""
        return cls(low=min(values), middle=float(np.median(np.array(values))), high=max(values))


class Prediction(Record):
    """Predicted results of a rate."""

    rate: float
    answers_per_s: Band
    p50_s: Band
    p95_s: Band
    p99_s: Band
    served_share: float
    utilisation: dict[str, float]
    ongoing: dict[str, float]
    most_in_flight: int


def ms(seconds: float) -> str:
    """Return whole milliseconds."""
    return f"{seconds * 1000:.0f}"


def as_measured(measurements: Measurements, *, max_in_flight: int = 256) -> Setting:
    """Return how the measured app was deployed, as far as it can be seen."""
    return Setting(
        stages={
            stage: StageSetting(
                replicas=measurements.replicas[stage],
                max_items=max(
                    1,
                    measurements.max_items.get(stage, 1) // measurements.items_per_call[stage],
                ),
                niceness=measurements.niceness.get(stage, 0),
                items_per_call=measurements.items_per_call[stage],
                max_ongoing=128,
                max_queued=256,
            )
            for stage in STAGES
        },
        ingress_replicas=measurements.replicas["ingress"],
        max_in_flight=max_in_flight,
        cores=measurements.cores,
        gpus=float("inf") if "gpu" in measurements.devices.values() else 0.0,
    )


def calibrated(model: Model, measurements: Measurements) -> Model:
    """Return the model with `yielding`, `usable` and `pause_s` calibrated.

    The saturated parts give the effective share of nice values, from their batches, and the usable
    share of the cores, from their utilization. The open parts give the wait besides all work, from
    their quick answers. Each is simulated at the speed that the cores had then.
    """
    setting = as_measured(measurements)
    full = measurements.full()
    if full and "gpu" not in measurements.devices.values():
        model = model.model_copy(update={"yielding": _yielding(model, setting, full)})
        model = model.model_copy(update={"usable": _usable(model, setting, full)})
    return model.model_copy(update={"pause_s": _pause_s(model, setting, measurements)})


def _pause_s(model: Model, setting: Setting, measurements: Measurements) -> float:
    """Return by how many seconds quick answers of the open parts exceed the simulation."""
    missing_s = []
    for part in (part for part in measurements.answers("open") if part.took_s):
        app = slowed(model, slowness(model, setting.stage_replicas, [part]))
        moments = arrivals(part.rate or 0.0, part.lasted_s, part.seed)
        said = [simulate(app, setting, moments, seed=seed) for seed in range(SEEDS)]
        said_s = fmean(outcome.quantile_s(QUICK) for outcome in said)
        missing_s.append(float(np.quantile(np.array(part.took_s), QUICK)) - said_s)
    return max(0.0, median(missing_s or [0.0]))


def _yielding(model: Model, setting: Setting, full: Sequence[Part]) -> float:
    """Return the effective share of nice values that reproduces the measured batches."""
    yielding = [name for name, stage in setting.stages.items() if stage.niceness]
    work = [part.stages[name] for part in full for name in yielding]
    runs, least, most = sum(each.runs for each in work), 0.0, 1.0
    if not runs:
        return most
    seen = sum(each.items for each in work) / runs
    for _ in range(HALVINGS):
        share = (least + most) / 2
        said = _while_full(model, setting, full, yielding=share).batches
        larger = len(yielding) / sum(1 / said[name] for name in yielding) > seen
        least, most = (least, share) if larger else (share, most)
    return (least + most) / 2


def _usable(model: Model, setting: Setting, full: Sequence[Part]) -> float:
    """Return the measured CPU utilization, as a share of the simulated one.

    If they are unknown, it follows from the answers per second.
    """
    said = _while_full(model, setting, full)
    if said.utilisation["cores"] < FULL:
        return 1.0
    if any(part.cpu_s is None for part in full):
        return min(1.0, answered_per_s(full) * said.seconds / len(said.took_s))
    busy_s = sum((part.cpu_s or 0.0) + part.foreign_cores * part.seconds for part in full)
    busy = busy_s / setting.cores / sum(part.seconds for part in full)
    return min(1.0, busy / said.utilisation["cores"])


def _while_full(model: Model, setting: Setting, full: Sequence[Part], **changes: float) -> Outcome:
    """Return the simulated result of the saturated part with a changed model."""
    slow = slowness(model, setting.stage_replicas, full)
    app = slowed(model.model_copy(update=changes), slow)
    seconds = CALIBRATED_ON / answered_per_s(full)
    return simulate_callers(app, setting, full[0].callers or 1, seconds, seed=0)


def predict(
    model: Model, setting: Setting, moments: Sequence[float], rate: float, *, draws: int = DRAWS
) -> Prediction:
    """Return the prediction for questions at these arrival times."""
    outcomes = [
        simulate(app, setting, moments, seed=seed) for seed, app in enumerate(_apps(model, draws))
    ]
    middle = outcomes[draws // 2]
    span = max(1e-9, moments[-1])
    return Prediction(
        rate=rate,
        answers_per_s=Band.of([len(each.took_s) / max(span, each.seconds) for each in outcomes]),
        p50_s=_quantile(outcomes, 0.5),
        p95_s=_quantile(outcomes, 0.95),
        p99_s=_quantile(outcomes, 0.99),
        served_share=float(np.median([each.served_share for each in outcomes])),
        utilisation=middle.utilisation,
        ongoing=middle.ongoing,
        most_in_flight=max(each.most_in_flight for each in outcomes),
    )


def _quantile(outcomes: Sequence[Outcome], share: float) -> Band:
    return Band.of([each.quantile_s(share) for each in outcomes])


def _apps(model: Model, draws: int) -> list[Model]:
    """Return apps that the measurements could have come from, the fastest first.

    Their speeds are spread evenly over what four of five load tests would see; the middle one is
    the fitted one.
    """
    chance = random.Random(0)
    widest = NormalDist().inv_cdf(0.9) * max(RUN_TO_RUN, model.drift)
    apps = []
    for draw, factor in enumerate(np.linspace(1 - widest, 1 + widest, draws)):
        if draw == draws // 2:
            apps.append(model)
            continue
        app = slowed(model, float(factor))
        stages = {
            name: _scaled(stage, max(0.5, chance.gauss(1.0, stage.error)))
            for name, stage in app.stages.items()
        }
        apps.append(app.model_copy(update={"stages": stages}))
    return apps


def slowed(model: Model, factor: float) -> Model:
    """Return the app on cores on which all work takes so many times as long."""
    return model.model_copy(
        update={
            "ingress_s": model.ingress_s * factor,
            "plane_s": model.plane_s * factor,
            "own_cores": model.own_cores * factor,
            "replica_cores": model.replica_cores * factor,
            "stages": {
                name: _scaled(stage, factor) if stage.device == "cpu" else stage
                for name, stage in model.stages.items()
            },
        }
    )


def _scaled(stage: StageModel, factor: float) -> StageModel:
    return stage.model_copy(
        update={"per_run_s": stage.per_run_s * factor, "per_item_s": stage.per_item_s * factor}
    )
