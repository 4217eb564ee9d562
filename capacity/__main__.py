"""Plan replicas, nodes and cost for a rate and a p95.

`admirer capacity`: from a load test to a plan, its values for the chart, and its replay. What it
needs is imported when it runs, because only the `capacity` extra brings that.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from capacity.fit import Model
    from capacity.plan import Plan
    from capacity.replay import Replay

CHECKOUT = Path(__file__).parents[1]
DEMO = CHECKOUT / "serve" / "config" / "demo.yaml"
WIDE = 140
"""Columns of output without a terminal: in a file, a pipe or a CI log."""
PHOTOS = CHECKOUT / "bundles" / "demo" / "photos"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    rate: Annotated[
        float, typer.Option(min=0.01, help="Rate to plan for, in questions per second.")
    ],
    p95_ms: Annotated[float, typer.Option(min=1, help="Target p95 of answers, in milliseconds.")],
    url: Annotated[
        str | None, typer.Option(help="URL of the app to measure; without it, one is started here.")
    ] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="URL of its metrics, as `admirer serve` prints it.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Plan from measurements.json of an earlier run.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="YAML: currency, nodes.cpu and nodes.gpu with their prices.")
    ] = None,
    no_prices: Annotated[
        bool, typer.Option("--no-prices", help="Plan the fewest nodes, without their cost.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("build/capacity"),
    replay: Annotated[
        bool, typer.Option("--replay", help="Start the plan here and send it the rate.")
    ] = False,
    cores: Annotated[
        float | None,
        typer.Option(min=1, help="CPU cores of the measured app, if it runs on another machine."),
    ] = None,
    gpu_stage: Annotated[
        list[str] | None, typer.Option(help="A stage that was measured on a GPU; repeat it.")
    ] = None,
    node_cores: Annotated[
        float | None, typer.Option(min=1, help="CPU cores of a node, with --no-prices.")
    ] = None,
    max_nodes: Annotated[int, typer.Option(min=1, help="Most nodes of each kind.")] = 64,
    llm_rate_limit: Annotated[
        float | None,
        typer.Option(min=0.01, help="Rate limit of a hosted model, in calls per second."),
    ] = None,
    step_s: Annotated[
        float, typer.Option(min=2, max=300, help="Length of a step, in seconds.")
    ] = 15,
    rounds: Annotated[
        int, typer.Option(min=1, max=20, help="Repetitions of the load test, 2 to 3 minutes each.")
    ] = 3,
    photos: Annotated[
        Path, typer.Option(help="Folder with questions.jsonl.", show_default="bundles/demo/photos")
    ] = PHOTOS,
    config: Annotated[
        Path,
        typer.Option(
            help="Serve config file of an app started here.", show_default="serve/config/demo.yaml"
        ),
    ] = DEMO,
) -> None:
    """Plan replicas, batches, nodes and cost for a rate and a p95.

    Measures the stages of an app (or reads measurements), fits their inference times, simulates
    the graph and searches the cheapest deployment that keeps the target. Writes measurements.json,
    plan.json, values.yaml for the chart, report.html and report.png.
    """
    try:
        from capacity import run
        from capacity.problems import CapacityError
        from capacity.target import read_prices
        from load_tests.client.app_process import AppProcessError
        from load_tests.client.questions import PhotosError
    except ImportError as error:
        _fail(f"{error}; install admirer with its `capacity` extra and run it in a checkout")
    if (prices is None) != no_prices:
        _fail(
            "Prices are missing: say what nodes cost with --prices FILE, or ask for a plan without"
            " a cost with --no-prices."
            if prices is None
            else "--prices and --no-prices exclude each other."
        )
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    console = Console(soft_wrap=True, highlight=False, width=wide)
    here = [str(Path(sys.executable).with_name("admirer"))]
    try:
        wanted = run.target(rate, p95_ms, llm_rate_limit)
        priced = read_prices(prices) if prices else None  # before minutes of measuring
        seen = run.measurements(
            run.Source(
                file=from_file,
                url=url,
                metrics_url=metrics_url,
                photos=photos,
                config=config,
                cores=cores,
                on_gpu=tuple(gpu_stage or ()),
                step_s=step_s,
                rounds=rounds,
            ),
            here,
            out,
            console.print,
        )
        plan, model = run.plan(seen, wanted, priced, node_cores, max_nodes)
        run.write(plan, model, seen, [], out)
        _show(plan, model, console)
        if replay:
            replays = run.replays(plan, model, here, config, photos, out, console.print)
            run.write(plan, model, seen, replays, out)
            _show_replays(replays, console)
    except (CapacityError, AppProcessError, PhotosError) as error:
        _fail(str(error))
    console.print(f"Written to {out}: values.yaml, plan.json, report.html, report.png")
    if replay and not all(each.p95_s <= wanted.p95_s for each in replays):
        _fail("the replay did not keep the target")


def _show(plan: "Plan", model: "Model", console: Console) -> None:
    from capacity import report

    table = Table("", "plan", show_header=False)
    for row in report.summary(plan, model):
        table.add_row(*row)
    console.print(table)
    stages = Table(*report.STAGE_COLUMNS)
    for cells in report.stage_rows(plan, model):
        stages.add_row(*cells)
    console.print(stages)


def _show_replays(replays: "list[Replay]", console: Console) -> None:
    from capacity.replay import COLUMNS

    table = Table(*COLUMNS, title="replay: predicted > seen")
    for each in replays:
        table.add_row(*each.row())
    console.print(table)


def _fail(line: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(
        f"error: {escape(' '.join(line.split()))}", highlight=False
    )
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m capacity")
