from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unit.capacity_app import measurements, part, with_cpu

from load_tests.capacity.fit import Model, fit
from load_tests.capacity.held_out_report import Compared, compared, picture, summary, table
from load_tests.capacity.measurements import Part
from load_tests.capacity.prediction import as_measured, slowed
from load_tests.capacity.simulator import simulate
from load_tests.capacity.traffic import arrivals

RATE, LASTED_S, SEED = 12.0, 30.0, 7


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(measurements())


def sent_to(app: Model, slow: float = 1.0) -> Part:
    """Return what a rate would have seen of that very app, on cores that took `slow` times."""
    moments = arrivals(RATE, LASTED_S, SEED)
    seen = simulate(app, as_measured(measurements()), moments, seed=3)
    sent = part("answers", items=len(moments), rate=RATE, seconds=seen.seconds)
    return with_cpu(sent, times=slow).model_copy(
        update={
            "seed": SEED, "lasted_s": LASTED_S, "took_s": seen.took_s,
            "ingress_cpu_s": 0.002 * slow * len(moments),
            "plane_cpu_s": slow * (0.002 * len(moments) + 0.1 * seen.seconds),
        }
    )  # fmt: skip


def compare(model: Model, slow: float = 1.0) -> Compared:
    return compared("it", model, as_measured(measurements()), [sent_to(slowed(model, slow), slow)])


@pytest.fixture(scope="module")
def row(model: Model) -> Compared:
    return compare(model)


def test_an_app_that_is_as_the_model_says_is_predicted(row: Compared) -> None:
    assert row.slowness == pytest.approx(1.0, abs=0.03)
    assert abs(row.throughput_error) < 0.01
    assert abs(row.p95_error) < 0.1
    assert row.in_band


def test_slow_cores_are_told_from_a_wrong_model(model: Model) -> None:
    row = compare(model, 1.3)
    assert row.slowness == pytest.approx(1.3, rel=0.05)
    assert row.p95_error < -0.2
    assert abs(row.at_speed_error) < 0.1


def test_the_sampling_error_shrinks_with_more_answers(model: Model, row: Compared) -> None:
    sent = sent_to(model)
    few = sent.model_copy(update={"took_s": sent.took_s[::10]})
    assert compared("few", model, as_measured(measurements()), [few]).sampling > row.sampling


def test_parts_of_one_rate_are_one_row_with_what_each_saw(model: Model) -> None:
    slow = sent_to(slowed(model, 1.3), 1.3).model_copy(update={"seed": SEED})
    parts = [sent_to(model), slow]
    row = compared("it", model, as_measured(measurements()), parts)
    assert row.answers == sum(len(part.took_s) for part in parts)
    assert row.slowness == pytest.approx(1.15, abs=0.04)
    first, second = row.parts_p95_s
    assert first < row.p95_s < second
    assert abs(row.throughput_error) < 0.03


def test_the_summary_counts_kept_plans_and_the_noise_between_rounds(row: Compared) -> None:
    kept = row.model_copy(update={"setting": "plan-00", "target_s": row.p95_s})
    missed = row.model_copy(update={"setting": "plan-01", "target_s": row.p95_s - 0.001})
    twice = row.model_copy(update={"p95_s": 1.5 * row.p95_s, "parts_p95_s": (0.2, 0.3)})
    lines = "\n".join(summary([kept, missed, twice]))
    assert "3 held-out rates of 3 settings" in lines
    assert "plans within their target: 1 of 2" in lines
    assert "apart" in lines
    assert "50% apart" in "\n".join(summary([twice]))
    worst = np.max(np.abs([kept.p95_error, twice.p95_error]))
    assert f"worst {worst:.1%}" in lines


def test_rows_are_told_and_drawn(row: Compared, tmp_path: Path) -> None:
    headings, _, cells = table([row])
    assert headings.startswith("| setting | rate |")
    assert cells.startswith(f"| it | {RATE:.2f} |")
    assert headings.count("|") == cells.count("|")
    picture([row], tmp_path / "rows.png")
    with Image.open(tmp_path / "rows.png") as image:
        assert image.size == (1100, 550)
