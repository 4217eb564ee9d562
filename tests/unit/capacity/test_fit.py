from pathlib import Path

import numpy as np
import pytest
from support.capacity_app import ALONE_S, PER_ITEM_S, PER_RUN_S, measurements, with_cpu, work

from capacity import measurements as records
from capacity.fit import fit, slowness
from capacity.prediction import as_measured, calibrated, predict
from capacity.problems import CapacityError
from capacity.prometheus import ITEMS, MAX_ITEMS, NICENESS, RUNS, Counts
from capacity.regression import affine
from capacity.simulator import simulate_callers
from load_tests.client.traffic import arrivals

TEXT = """
# TYPE ray_admirer_model_seconds histogram
ray_admirer_model_seconds_bucket{deployment="tagger",replica="a",le="+Inf"} 3
ray_admirer_model_seconds_count{deployment="tagger",replica="a"} 3
ray_admirer_model_seconds_sum{deployment="tagger",replica="a"} 99
ray_admirer_model_seconds_bucket{deployment="tagger",replica="b",le="+Inf"} 4
ray_admirer_model_seconds_count{deployment="tagger",replica="b"} 4
ray_admirer_model_seconds_sum{deployment="tagger",replica="b"} 99
# TYPE ray_admirer_queue_seconds histogram
ray_admirer_queue_seconds_bucket{deployment="tagger",replica="a",le="+Inf"} 12
ray_admirer_queue_seconds_count{deployment="tagger",replica="a"} 12
ray_admirer_queue_seconds_sum{deployment="tagger",replica="a"} 1
# TYPE ray_admirer_batch_max_items gauge
ray_admirer_batch_max_items{deployment="tagger",replica="a"} 8
# TYPE ray_admirer_batch_niceness gauge
ray_admirer_batch_niceness{deployment="tagger",replica="a"} 10
ray_admirer_batch_niceness{deployment="captioner",replica="a"} 0
"""


def test_the_fit_recovers_what_a_run_and_an_item_take() -> None:
    model = fit(measurements())
    for name in ("captioner", "tagger", "retriever", "answerer"):
        stage = model.stages[name]
        assert stage.per_run_s == pytest.approx(PER_RUN_S, rel=0.02)
        assert stage.per_item_s == pytest.approx(PER_ITEM_S, rel=0.02)
        assert stage.error < 0.02
        assert stage.max_items == 8
    assert model.stages["assembler"].per_answer_s() == pytest.approx(0.0005)
    assert model.ingress_s == pytest.approx(0.002)
    assert model.plane_s == pytest.approx(0.002, rel=0.02)
    assert model.own_cores == pytest.approx(0.1, rel=0.02)  # what the plane costs by the second
    assert model.replica_cores == pytest.approx(0.0, abs=1e-6)
    assert model.alone_s == ALONE_S


def test_what_replicas_cost_by_the_second_is_not_taken_for_work() -> None:
    quiet = measurements()
    parts = tuple(with_cpu(part, more_cores=0.02) for part in quiet.parts)
    seen = quiet.model_copy(update={"parts": parts})
    model = fit(seen)
    assert model.replica_cores == pytest.approx(0.02, rel=0.01)
    for name in ("captioner", "tagger", "retriever", "answerer"):
        assert model.stages[name].per_run_s == pytest.approx(PER_RUN_S, rel=0.02)
        assert model.stages[name].per_item_s == pytest.approx(PER_ITEM_S, rel=0.02)
    assert model.taken_cores(5) == pytest.approx(0.2, rel=0.02)
    assert model.free_cores(4, 15) == pytest.approx(4 - 0.4, rel=0.02)
    for part in seen.answers("open"):
        assert slowness(model, 5, [part]) == pytest.approx(1.0, abs=0.03)
        assert slowness(model, 10, [part]) < 0.98


def test_cores_that_grew_slower_while_an_app_was_measured_widen_the_band() -> None:
    steady, drifting = fit(measurements()), fit(measurements(slowness=2.0))
    assert steady.drift < 0.05 < drifting.drift
    moments, setting = arrivals(10.0, 20, seed=0), as_measured(measurements())
    narrow = predict(steady, setting, moments, 10.0).p95_s
    wide = predict(
        steady.model_copy(update={"drift": drifting.drift}), setting, moments, 10.0
    ).p95_s
    assert wide.low < narrow.low <= narrow.middle <= narrow.high < wide.high


def test_the_busiest_part_is_known() -> None:
    busiest = fit(measurements()).most_busy
    assert 0 < busiest < 1
    assert fit(measurements(foreign_cores=0.2)).most_busy == pytest.approx(busiest + 0.05)


def test_the_speed_of_cores_wanders_as_calls_one_after_another_did() -> None:
    pace = fit(measurements()).pace
    alone = [part for part in measurements().parts if part.callers == 1]
    assert len(pace) == sum(len(part.took_s) for part in alone) > 0
    assert all(took_s > 0 and slowness == pytest.approx(1.0) for took_s, slowness in pace)


def test_a_round_on_slow_cores_is_part_of_the_pace_and_moves_what_is_calibrated() -> None:
    quick = measurements()
    slow = tuple(
        part.model_copy(update={"took_s": tuple(2 * took_s for took_s in part.took_s)})
        for part in quick.parts
    )
    twice = quick.model_copy(update={"parts": (*quick.parts, *slow)})
    pace = fit(twice).pace
    first, second = pace[: len(pace) // 2], pace[len(pace) // 2 :]
    assert {round(slowness, 2) for _, slowness in first} == {0.67}
    assert {round(slowness, 2) for _, slowness in second} == {1.33}
    assert fit(twice).alone_s == pytest.approx(1.5 * ALONE_S)


def test_work_of_a_part_is_set_beside_the_fit() -> None:
    seen = measurements(slowness=2.0)
    model = fit(measurements())
    *_, before, last = seen.answers("open")
    assert slowness(model, 5, [before]) == pytest.approx(1.0, abs=0.03)
    assert 1.5 < slowness(model, 5, [last]) < 2.0  # the ingress and the plane stayed as fast


@pytest.mark.parametrize("share", [0.85, 0.95])
def test_full_callers_tell_how_much_of_the_cores_work_can_use(share: float) -> None:
    seen = measurements().model_copy(update={"cores": 1})
    parts = tuple(
        part.model_copy(update={"seconds": (part.cpu_s or 0.0) / share})
        if part in seen.full()
        else part
        for part in seen.parts
    )
    again = seen.model_copy(update={"parts": parts})
    assert calibrated(fit(again), again).usable == pytest.approx(share, abs=0.02)


def test_where_processor_time_is_not_seen_answers_tell_how_much_work_can_use() -> None:
    seen = measurements().model_copy(update={"cores": 1})
    model = fit(seen)
    said = simulate_callers(model, as_measured(seen), 16, 10.0, seed=1)
    unseen = {"took_s": said.took_s, "seconds": said.seconds / 0.9, "ingress_cpu_s": None}
    parts = tuple(
        part.model_copy(update=unseen) if part in seen.full() else part for part in seen.parts
    )
    again = calibrated(model, seen.model_copy(update={"parts": parts}))
    assert again.usable == pytest.approx(0.9, abs=0.03)


def test_callers_who_leave_cores_idle_do_not_make_them_unusable() -> None:
    seen = measurements().model_copy(update={"cores": 40})
    assert calibrated(fit(seen), seen).usable > 0.9


def test_a_load_test_beside_busy_programs_is_refused() -> None:
    fit(measurements(foreign_cores=0.3))
    with pytest.raises(CapacityError, match=r"Other programs took 12% of the cores"):
        fit(measurements(foreign_cores=0.5))


def test_residuals_of_a_noisy_fit_become_its_error() -> None:
    noise = np.random.default_rng(0)
    items = np.tile([1.0, 2.0, 4.0, 8.0], 50)
    seconds = (0.02 + 0.01 * items) * noise.normal(1.0, 0.1, items.shape)
    fixed, each, error = affine(items, seconds, np.ones_like(items))
    assert fixed == pytest.approx(0.02, rel=0.1)
    assert each == pytest.approx(0.01, rel=0.1)
    assert error == pytest.approx(0.1, rel=0.2)


def test_neither_part_is_ever_negative() -> None:
    items = np.array([1.0, 2.0, 4.0])
    fixed, each, _ = affine(items, np.array([0.01, 0.03, 0.07]), np.ones(3))
    assert fixed == 0
    assert each > 0


def test_the_knee_is_where_larger_batches_stop_saving() -> None:
    stage = fit(measurements()).stages["tagger"]
    assert stage.knee() == 8
    assert stage.model_copy(update={"per_run_s": 0.0011, "per_item_s": 0.005}).knee() == 3


def test_stages_on_a_gpu_are_fitted_by_the_clock_of_a_saturated_stage() -> None:
    stage = fit(measurements(gpu=True)).stages["captioner"]
    # 400 items in 8 s, in batches of 2, 4 and 8: 0.02 s an item, whatever the batch.
    assert stage.per_item_s == pytest.approx(0.02, rel=0.02)


def test_calibration_gives_an_answer_the_time_that_it_took_at_the_rates_of_the_load_test() -> None:
    seen = measurements()
    model = calibrated(fit(seen), seen)
    assert model.pause_s > 0
    said = predict(model, as_measured(seen), arrivals(0.5, 150, seed=0), 0.5, draws=5)
    assert said.p50_s.middle == pytest.approx(ALONE_S, rel=0.05)
    assert said.p95_s.low <= said.p95_s.middle <= said.p95_s.high


def test_measurements_are_read_as_they_were_written(tmp_path: Path) -> None:
    seen = measurements()
    records.write(seen, tmp_path / "deep" / "measurements.json")
    assert records.read(tmp_path / "deep" / "measurements.json") == seen


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', "nonsense"])
def test_a_file_that_is_no_load_test_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "measurements.json"
    file.write_text(text)
    with pytest.raises(CapacityError, match="not a load test of this version") as refused:
        records.read(file)
    assert "\n" not in str(refused.value)


def test_a_load_test_with_errors_in_it_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"4 of .* requests of the load test failed"):
        fit(measurements(failed=2))


def test_counts_are_summed_over_replicas_and_sums_of_histograms_are_never_read() -> None:
    counts = Counts(TEXT)
    assert counts.total(RUNS, "tagger") == 7
    assert counts.total(ITEMS, "tagger") == 12
    assert counts.most(MAX_ITEMS) == {"tagger": 8}
    assert counts.total(RUNS, "captioner") == 0
    assert counts.most(NICENESS) == {"tagger": 10}


def test_a_stage_that_yields_is_planned_and_simulated_as_one() -> None:
    seen = measurements().model_copy(update={"niceness": {"captioner": 10}})
    model = fit(seen)
    assert {name: stage.niceness for name, stage in model.stages.items() if stage.niceness} == {
        "captioner": 10
    }
    assert as_measured(seen).stages["captioner"].niceness == 10
    moments = arrivals(14.0, 60, seed=1)
    said = predict(model, as_measured(seen), moments, 14.0, draws=1)
    even = predict(model, as_measured(measurements()), moments, 14.0, draws=1)
    assert said.utilisation["captioner"] > even.utilisation["captioner"]


@pytest.mark.parametrize("truth", [0.05, 0.12])
def test_how_far_nice_values_tell_is_learned_from_the_batches_of_callers_who_wait(
    truth: float,
) -> None:
    seen = measurements().model_copy(update={"niceness": {"captioner": 10}, "cores": 1})
    app = fit(seen).model_copy(update={"yielding": truth})
    batch = simulate_callers(app, as_measured(seen), 16, 20.0, seed=1).batches["captioner"]
    parts = [
        part.model_copy(
            update={"stages": {**part.stages, "captioner": work("captioner", 400, batch)}}
        )
        if part in seen.full()
        else part
        for part in seen.parts
    ]
    seen = seen.model_copy(update={"parts": tuple(parts)})
    assert calibrated(fit(seen), seen).yielding == pytest.approx(truth, abs=0.04)


def test_where_nothing_yields_nice_values_are_taken_at_their_word() -> None:
    assert calibrated(fit(measurements()), measurements()).yielding == 1.0
