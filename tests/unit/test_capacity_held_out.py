from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from unit.capacity_app import measurements, part, with_cpu

from load_tests.capacity import held_out
from load_tests.capacity.fit import Model, fit
from load_tests.capacity.held_out import Campaign
from load_tests.capacity.held_out_report import Compared, compared, picture, summary, table
from load_tests.capacity.measure import Rates, Steps
from load_tests.capacity.measurements import Measurements, Part
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


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    return Campaign(tmp_path, ["admirer"], Path("serve/config/demo.yaml"), [], seconds=30)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Steps | Rates]]:
    """Return what the campaign starts an app for, and what it sends to it."""
    started: list[str] = []
    measured = []

    @contextmanager
    def started_app(command: Sequence[str], config: Path) -> Iterator[SimpleNamespace]:
        started.append(config.stem)
        yield SimpleNamespace(url="", metrics_url="")

    async def measure(
        url: str, metrics_url: str, asked: object, steps: Steps | Rates, *, tell: object
    ) -> Measurements:
        measured.append((started[-1], steps))
        return measurements()

    monkeypatch.setattr(held_out, "started_app", started_app)
    monkeypatch.setattr(held_out, "measure", measure)
    return measured


NAMES = ("profile", "two-each", "batch-1")


def test_the_profile_is_measured_again_before_every_setting(
    campaign: Campaign, measured: list[tuple[str, Steps | Rates]]
) -> None:
    for number in range(2):
        campaign.measured_round(number, NAMES, step_s=12)
    first = ["profile-00", "batch-1-00", "profile-01", "two-each-00"]
    then = ["profile-02", "batch-1-01", "profile-03", "two-each-01"]
    assert [name for name, _ in measured] == first + then
    profiles = [steps for _, steps in measured if isinstance(steps, Steps)]
    assert [steps.first_round for steps in profiles] == [0, 1, 2, 3]
    seen = campaign.seen("profile")
    assert seen
    assert len(seen.parts) == 4 * len(measurements().parts)


def test_rounds_of_a_setting_have_its_rates_and_arrivals_of_their_own(
    campaign: Campaign, measured: list[tuple[str, Steps | Rates]]
) -> None:
    for number in range(2):
        campaign.measured_round(number, NAMES, step_s=12)
    rates = {name: steps for name, steps in measured if isinstance(steps, Rates)}
    assert rates["batch-1-00"].per_s == rates["batch-1-01"].per_s
    assert not set(rates["batch-1-00"].per_s) & set(rates["two-each-00"].per_s)
    assert len({each.first_seed for each in rates.values()}) == 4


def test_a_campaign_goes_on_where_it_was(
    campaign: Campaign, measured: list[tuple[str, Steps | Rates]]
) -> None:
    campaign.measured_round(0, ("profile",), step_s=12)
    for _ in range(2):
        campaign.measured_round(0, ("profile", "batch-1"), step_s=12)
        campaign.measured_round(0, ("profile",), step_s=12)
    assert [name for name, _ in measured] == ["profile-00", "profile-01", "batch-1-00"]
    assert campaign.seen("as-measured") is None


def test_a_campaign_in_pieces_has_a_fresh_profile_in_each(
    campaign: Campaign, measured: list[tuple[str, Steps | Rates]]
) -> None:
    for setting in ("two-each", "batch-1"):
        campaign.measured_round(0, ("profile", setting), step_s=12)
    assert [name for name, _ in measured] == [
        "profile-00", "two-each-00", "profile-01", "batch-1-00",
    ]  # fmt: skip
