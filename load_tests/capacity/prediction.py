"""Predictions with bands: several simulations, each of an app a little unlike the fitted one.

How unlike is the fit's own error. What an answer takes beside all work is calibrated on answers
that had the app for themselves, so that rates under load stay unseen until they are predicted.
"""

import random
from collections.abc import Sequence

import numpy as np

from load_tests.capacity.fit import Model, StageModel
from load_tests.capacity.measurements import STAGES, Measurements, Record
from load_tests.capacity.simulator import Outcome, Setting, simulate
from load_tests.capacity.stage import StageSetting

DRAWS = 7
RUN_TO_RUN = 0.03
"""By which two equal load tests differ at least, as a share."""


class Band(Record):
    """A prediction: the middle, and what one in ten falls below or above."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Band":
        """Return the band of what the draws gave."""
        low, middle, high = (float(cut) for cut in np.quantile(np.array(values), (0.1, 0.5, 0.9)))
        return cls(low=low, middle=middle, high=high)


class Prediction(Record):
    """What a rate does to an app."""

    rate: float
    answers_per_s: Band
    p50_s: Band
    p95_s: Band
    p99_s: Band
    served_share: float
    utilisation: dict[str, float]
    ongoing: dict[str, float]
    most_in_flight: int


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
    """Return the model with the pauses of an answer that has the app for itself."""
    far_apart = [10.0 * model.alone_s * number for number in range(60)]
    alone = simulate(model, as_measured(measurements), far_apart, seed=0)
    return model.model_copy(
        update={"pause_s": max(0.0, model.alone_s - alone.quantile_s(0.5) + model.pause_s)}
    )


def predict(
    model: Model, setting: Setting, moments: Sequence[float], rate: float, *, draws: int = DRAWS
) -> Prediction:
    """Return what questions at those moments will see."""
    outcomes = [simulate(_drawn(model, seed), setting, moments, seed=seed) for seed in range(draws)]
    middle = outcomes[0]
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


def _drawn(model: Model, seed: int) -> Model:
    """Return an app that the measurements could have come from; the first is the fitted one."""
    if seed == 0:
        return model
    chance = random.Random(seed)
    together = chance.gauss(1.0, RUN_TO_RUN)
    return model.model_copy(
        update={
            "stages": {
                name: _scaled(stage, max(0.5, together * chance.gauss(1.0, stage.error)))
                for name, stage in model.stages.items()
            }
        }
    )


def _scaled(stage: StageModel, factor: float) -> StageModel:
    return stage.model_copy(
        update={"per_run_s": stage.per_run_s * factor, "per_item_s": stage.per_item_s * factor}
    )
