"""Measure how well a bundle answers questions about held-out scenes.

`python -m evaluation` and `admirer evaluate`: prints tables and writes JSON.
"""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bank.examples import BankError
from evaluation.ablations import ALL, USUAL
from evaluation.dataset import held_out
from evaluation.report import print_report
from evaluation.run import evaluate
from evaluation.summary import summarise
from models.bundle import Bundle, BundleError
from models.settings import EngineSettings
from serve.in_process import load_stages
from serve.settings import AppSettings

CORES = min(8, os.cpu_count() or 1)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    bundle: Annotated[
        Path, typer.Option(help="Bundle: folder, or file that names every model.")
    ] = Path("bundles/demo"),
    scenes: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, help="Number of held-out scenes, about 12 questions each."
        ),
    ] = 200,
    ablations: Annotated[
        bool, typer.Option(help="Also evaluate without one stage at a time.")
    ] = True,
    n_shot: Annotated[
        int | None, typer.Option(min=0, max=64, help="Examples per prompt; default: the server's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the questions about a scene.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each model.")] = CORES,
    engine: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    json_file: Annotated[
        Path, typer.Option("--json", help="Output file with every figure.")
    ] = Path("build/evaluation.json"),
) -> None:
    """Measure how well a bundle answers questions about scenes that nothing was trained on."""
    console = Console()
    started = time.monotonic()
    try:
        settings = AppSettings().model_copy(update={"bundle": str(bundle)})
        release = Bundle.load(bundle)
        stages = load_stages(
            settings, EngineSettings.model_validate({"engine": engine, "threads": threads})
        )
    except (BundleError, BankError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error).splitlines()[0], param_hint="--bundle") from None
    shots = settings.n_shot if n_shot is None else n_shot
    conditions = ALL if ablations else USUAL
    with _progress(Console(stderr=True)) as bars:
        results = evaluate(
            held_out(scenes, seed), stages, conditions, n_shot=shots, progress=_Bars(bars).show
        )
    about = {
        "bundle": release.name,
        "version": release.version,
        "revisions": release.revisions(),
        "engine": engine,
        "threads": threads,
        "n_shot": shots,
        "seed": seed,
        "split": "test",
        "bank examples": len(stages.bank),
        "took_s": round(time.monotonic() - started, 1),
    }
    summary = summarise(results, about)
    print_report(summary, console)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", "utf-8")
    console.print(f"Wrote {json_file}.")


class _Bars:
    """One progress bar for each thing that is being done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar of `name`; its first call makes it."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    app(prog_name="python -m evaluation")
