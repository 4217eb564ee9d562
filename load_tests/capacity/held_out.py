"""How right predictions are: rates that the fit has not seen, on the app that it was fitted to.

Profile and replay share one run of the app, since machines differ and so do their minutes. Every
prediction is made before its rate is sent, for the very arrivals that are sent.

    python -m load_tests.capacity.held_out --rates 1,2,3 --set captioner.batch.max_size=4
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from load_tests.capacity import traffic
from load_tests.capacity.fit import fit
from load_tests.capacity.local_app import started_app, write_config
from load_tests.capacity.measure import Steps, measure
from load_tests.capacity.measurements import Measurements, write
from load_tests.capacity.prediction import as_measured, calibrated
from load_tests.capacity.replay import COLUMNS, Replay, replay_rate, write_replays

console = Console(soft_wrap=True)


def main(
    *,
    shares: Annotated[str, typer.Option(help="Of the measured capacity, with commas.")] = (
        "0.25,0.45,0.65,0.8"
    ),
    seconds: Annotated[float, typer.Option(help="Of each rate.")] = 14,
    settings: Annotated[list[str], typer.Option("--set", help="key.of.an.argument=value")] = [],  # noqa: B006
    in_flight: Annotated[int, typer.Option(help="limits.max_concurrent_requests.")] = 12,
    step_s: float = 10,
    out: Path = Path("build/capacity/held-out"),
    command: str = ".venv/bin/admirer",
    config: Path = Path("serve/config/demo.yaml"),
    photos: Path = Path("bundles/demo/photos"),
) -> None:
    """Measure, predict, replay; print and write both."""
    arguments: dict[str, Any] = {"limits": {"max_concurrent_requests": in_flight}}
    for each in settings:
        _put(arguments, *each.split("=", 1))
    write_config(out / "serve.yaml", config, arguments)
    asked = traffic.questions(photos)
    with started_app(command.split(), out / "serve.yaml") as app:
        seen = asyncio.run(
            measure(
                app.url,
                app.metrics_url,
                asked,
                Steps(alone_callers=(1, 16), alone_s=3, step_s=step_s),
                tell=console.print,
            )
        )
        write(seen, out / "measurements.json")
        wanted = [float(share) for share in shares.split(",")]
        replays = asyncio.run(
            _replays(app.url, seen, asked, wanted, seconds, in_flight, out / "replays.json")
        )
    table = Table(*COLUMNS, title="predicted > seen")
    for replay in replays:
        table.add_row(*replay.row())
    console.print(table)


def _put(arguments: dict[str, Any], path: str, value: str) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        arguments = arguments.setdefault(folder, {})
    arguments[name] = yaml.safe_load(value)


async def _replays(
    url: str,
    seen: Measurements,
    asked: list[traffic.Question],
    shares: list[float],
    seconds: float,
    in_flight: int,
    file: Path,
) -> list[Replay]:
    model = calibrated(fit(seen), seen)
    console.print(model.model_dump(exclude={"stages": {"__all__": {"spread"}}}))
    full = next(part for part in seen.answers("closed") if part.callers != 1)
    capacity = len(full.took_s) / full.seconds
    setting = as_measured(seen, max_in_flight=in_flight)
    replays = []
    for number, share in enumerate(shares):
        rate = share * capacity
        replays.append(
            await replay_rate(url, model, setting, asked, rate, seconds, seed=100 + number)
        )
        write_replays(replays, file)  # each at once: a time limit may end this
    return replays


if __name__ == "__main__":
    typer.run(main)
