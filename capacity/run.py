"""The steps of `admirer capacity`, each of which can fail with one clear sentence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from capacity import measurements as records
from capacity import overlay, report
from capacity.fit import Model, fit
from capacity.measure import Steps, measure
from capacity.measurements import Measurements
from capacity.plan import Plan
from capacity.prediction import calibrated
from capacity.problems import CapacityError
from capacity.replay import Replay, replay_rate, write_replays
from capacity.search import search
from capacity.target import Prices, Target, priced, unpriced
from load_tests.client.app_process import (
    NO_PHOTO_CACHES,
    AppProcess,
    config_of,
    merged,
    running_app,
)
from load_tests.client.questions import PhotoQuestion, read_questions
from load_tests.client.traffic import Client, closed
from serve.cli.ray_environment import free_port

REPLAYED = (0.8, 1.0)
"""Rates to replay, as shares of the target's."""
REPLAY_S = 60.0
_UNBOUNDED = {"limits": {"max_concurrent_requests": 64}}
"""So that a load test of an app started here is answered and not refused."""


@dataclass(frozen=True)
class Source:
    """Where measurements come from: a file, an app, or one that is started here."""

    file: Path | None
    url: str | None
    metrics_url: str | None
    photos: Path
    config: Path
    cores: float | None
    on_gpu: tuple[str, ...]
    step_s: float
    rounds: int


def target(rate: float, p95_ms: float, rate_limit: float | None) -> Target:
    """Return what a plan has to keep."""
    return Target(rate=rate, p95_s=p95_ms / 1000, rate_limit=rate_limit)


def measurements(
    source: Source, command: list[str], out: Path, tell: Callable[[str], None]
) -> Measurements:
    """Return measurements, read or made; what is made is written down first.

    Raises:
        CapacityError: They cannot be had, or something failed in them.
        PhotosError: There is nothing to ask.
        AppProcessError: The app did not start.
    """
    if source.file is not None:
        seen = records.read(source.file)
    else:
        unknown = sorted(set(source.on_gpu) - set(records.STAGES))
        if unknown:
            raise CapacityError(f"There is no stage {unknown[0]}; name one of {records.STAGES}.")
        asked = read_questions(source.photos)
        steps = Steps(step_s=source.step_s, rounds=source.rounds)
        if source.url is None:
            with _started(command, source.config, _UNBOUNDED, out / "measured.yaml") as app:
                seen = _measured(app.url, app.metrics_url(), asked, steps, source, tell)
        elif source.metrics_url is None:
            raise CapacityError("--url needs --metrics-url, which `admirer serve` prints.")
        else:
            seen = _measured(source.url, source.metrics_url, asked, steps, source, tell)
        records.write(seen, out / "measurements.json")
    seen.check()
    return seen


def _measured(
    url: str,
    metrics_url: str,
    asked: Sequence[PhotoQuestion],
    steps: Steps,
    source: Source,
    tell: Callable[[str], None],
) -> Measurements:
    return measure(
        url, metrics_url, asked, steps, cores=source.cores, on_gpu=source.on_gpu, tell=tell
    )


@contextmanager
def _started(
    command: Sequence[str], base: Path, arguments: Mapping[str, Any], config: Path
) -> Iterator[AppProcess]:
    """Start the app with those arguments, its photo caches off: plans are for new photos."""
    tree = config_of(base, merged(NO_PHOTO_CACHES, arguments))
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")
    # Of ten seconds by default, for which every part of a load test would have to wait.
    every_second = {"RAY_metrics_report_interval_ms": "1000"}
    with running_app(command, config, free_port(), environment=every_second) as app:
        app.metrics_url()  # comes last: now it does nothing but what it is asked
        yield app


def plan(
    seen: Measurements,
    wanted: Target,
    prices: Prices | None,
    node_cores: float | None,
    max_nodes: int,
) -> tuple[Plan, Model]:
    """Return the cheapest plan and the model that it rests on.

    Raises:
        CapacityError: There is none.
    """
    if prices is not None:
        nodes = priced(prices, seen, max_nodes)
    else:
        nodes = unpriced(seen, node_cores, max_nodes)
    model = calibrated(fit(seen), seen)
    return search(model, wanted, nodes), model


def write(
    made: Plan, model: Model, seen: Measurements, replays: Sequence[Replay], out: Path
) -> None:
    """Write the plan, its values for the chart, and the report."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "plan.json").write_text(made.model_dump_json(indent=1) + "\n", "utf-8")
    heading = (
        f"# For {made.target.rate:g} questions a second at p95 {made.target.p95_s * 1000:.0f} ms;"
        " made by `admirer capacity`.\n"
    )
    values = yaml.safe_dump(overlay.values(made), sort_keys=False)
    (out / "values.yaml").write_text(heading + values, "utf-8")
    report.write_page(made, model, seen, replays, out)
    if replays:
        write_replays(replays, out / "replay.json")


def replays(
    made: Plan,
    model: Model,
    command: list[str],
    config: Path,
    photos: Path,
    out: Path,
    tell: Callable[[str], None],
) -> list[Replay]:
    """Start the plan on this machine, send its rate, and return predicted and seen.

    Raises:
        CapacityError: The plan needs more than this machine, or something failed.
        AppProcessError: The app did not start.
    """
    here = psutil.cpu_count() or 1
    if made.setting.cores > here or made.setting.gpus > 1:
        raise CapacityError(
            f"The plan needs {made.setting.cores:g} cores and {made.setting.gpus:g} GPUs; a replay"
            f" has this machine's {here} cores."
        )
    asked = read_questions(photos)
    with _started(command, config, overlay.arguments(made), out / "replayed.yaml") as app:
        with Client(app.url, asked, new_photos=True) as load:
            closed(load.ask, callers=2, seconds=4)  # warms up
        seen = []
        for seed, share in enumerate(REPLAYED, start=50):
            rate = share * made.target.rate
            tell(f"replay: {rate:.1f} a second for {REPLAY_S:g} s")
            seen.append(replay_rate(app.url, model, made.setting, asked, rate, REPLAY_S, seed=seed))
        return seen
