"""The app over HTTP against the same five stages in one process: what the serving costs.

The limit (`benchmarks.limit`, in the layout that a search finds best) and the app as `make run`
starts it take turns, the app stopped by a signal while the limit runs. 1, 8, 32 and 128 at a time
ask without a pause. Efficiency is the app's answers a second over the mean of the limit's just
before and just after, since a machine changes within minutes. Caches are off, nothing is refused,
and a failed stage fails its answer, so that both do the same work; their answers are compared
first. The client shares the cores, and its CPU time is reported separately. Answers come in bursts
as large as the captioner's batches: a round of few bursts measures where its ends fell.

Expected before measuring, on two cores. Demo bundle: the models take 100 ms of a core for an answer
in batches, so the limit is near 20 answers/s. The app adds two hops' worth of RPC for each of five
calls, four decodes and the HTTP server's Python, 35 ms together: 0.70 at 32 and 128 at a time, 0.65
at 8, where batches are smaller, and 0.35 at 1, where the language model waits for the photo's
stages and a core idles. Production shapes: near 5 s of a core for an answer, three quarters of it
the tagger's; the same 35 ms are nothing, and 0.95 remains, if the tagger can use both cores.

    python -m benchmarks.efficiency
    python -m benchmarks.efficiency --production-shaped --concurrency 32 --answers 160 --seconds 40
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import cell, medians, percentiles_ms
from benchmarks.limit import Layout, own_process
from benchmarks.machine import write
from benchmarks.production_shape import PRODUCTION_SHAPED, make_production_shaped
from benchmarks.running_app import ROOM, RunningApp, demo_config, running_app
from load_tests.client.app_process import merged
from load_tests.client.questions import PhotoQuestion, read_questions
from load_tests.client.traffic import Client, Window, steady
from serve.local_settings import settings_of

CLIENT, IDLE, STOLEN = "client", "idle", "stolen"
MB = 1_000_000
COMPARED = 4
"""Questions whose answers are compared."""
LEAST_EQUAL = 0.75
"""Share of them; a rounding may decide one of random weights' answers."""
COLUMNS = {
    "answers/s": "answers_per_s", "of limit": "efficiency", "p50 ms": "p50_ms",
    "p99 ms": "p99_ms", "CPU ms": "cpu_ms", "client": "client_cpu_ms", "idle %": "idle_percent",
    "PSS MB": "memory_mb", "failed": "failed",
}  # fmt: skip
"""Titles of the table, and the figures under them. CPU is of one answer, the client's beside it."""


@dataclass
class Level:
    """Results at one concurrency, round by round."""

    limits: list[dict[str, float]] = field(default_factory=list)
    figures: list[dict[str, float]] = field(default_factory=list)
    parts_ms: list[dict[str, float]] = field(default_factory=list)


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle to serve.")] = Path("bundles/demo"),
    production_shaped: Annotated[
        bool, typer.Option(help="Make and serve models of production's shapes, weights random.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, max=10)] = 3,
    concurrency: Annotated[list[int] | None, typer.Option(min=1, max=256)] = None,
    answers: Annotated[
        int, typer.Option(min=1, max=10_000, help="Answers in a round, for each concurrency.")
    ] = 128,
    seconds: Annotated[
        float, typer.Option(min=1, max=120, help="Seconds of a round of the limit.")
    ] = 5,
    niceness: Annotated[
        int | None,
        typer.Option(min=0, max=20, help="Niceness of the captioner; default: the config's."),
    ] = None,
    command: Annotated[
        str, typer.Option(help="Command that starts the app.")
    ] = ".venv/bin/admirer",
) -> None:
    """Measure the limit and the app in turn, and print medians over the rounds."""
    questions = read_questions(bundle / "photos")
    captioner = {} if niceness is None else {"captioner": {"batch": {"niceness": niceness}}}
    changes = merged(ROOM, captioner)
    if production_shaped:
        bundle, changes = make_production_shaped(), merged(changes, PRODUCTION_SHAPED)
    settings = settings_of(demo_config(changes)["applications"][0]["args"], str(bundle))
    levels = {each: Level() for each in concurrency or (1, 8, 32, 128)}
    compared = questions[:COMPARED]
    with own_process(settings) as alone:
        layout = alone.best_layout(questions, seconds / 2)
        answered_alone = alone.answers(compared)
        with running_app(bundle, command=command, changes=changes) as app:

            def limit() -> dict[str, float]:
                with app.paused():
                    found = alone.throughput(layout, questions, seconds)
                return {"answers_per_s": found.answers_per_s, "cpu_ms": found.cpu_ms}

            same = _answers(app.url, compared)
            equal = sum(a == b for a, b in zip(answered_alone, same, strict=True)) / len(same)
            if equal < LEAST_EQUAL:
                raise RuntimeError(f"only {equal:.0%} of the answers are the same: other work")
            before = limit()
            for _ in range(rounds):
                for workers, level in levels.items():
                    window, memory = _at(app, questions, workers, answers)
                    after = limit()
                    reached = medians([before, after])
                    level.limits.append(reached)
                    level.figures.append(_figures(window, memory, reached["answers_per_s"]))
                    level.parts_ms.append(_parts_ms(window))
                    before = after
    _report(bundle, layout, equal, levels)


def _answers(url: str, questions: Sequence[PhotoQuestion]) -> list[str]:
    """Return the app's answer to each question."""
    with Client(url, questions) as client:
        return [str(client.ask().body()["answer"]) for _ in questions]


def _at(
    app: RunningApp, questions: Sequence[PhotoQuestion], workers: int, answers: int
) -> tuple[Window, float]:
    """Return the results at one concurrency, and the app's memory in MB just after."""
    of_app = app.reader()

    def read() -> Counter[str]:
        machine = psutil.cpu_times()
        own = {CLIENT: time.process_time(), IDLE: machine.idle, STOLEN: machine.steal}
        return Counter({**of_app(), **own})

    count = answers // 4 if workers == 1 else answers
    with Client(app.url, questions) as client:
        window = steady(client.ask, callers=workers, count=count, read=read)
    return window, sum(app.memory_bytes().values()) / MB


def _figures(window: Window, memory_mb: float, limit_per_s: float) -> dict[str, float]:
    took_s = [each.took_s for each in window.replies if each.status == 200]
    rate = len(took_s) / window.seconds
    core_s = window.seconds * (psutil.cpu_count() or 1)
    return {
        "answers_per_s": rate,
        "efficiency": rate / limit_per_s,
        **percentiles_ms(took_s, 50, 99),
        "cpu_ms": sum(_parts_ms(window).values()),
        "client_cpu_ms": 1000 * window.spent[CLIENT] / len(window.replies),
        "idle_percent": 100 * window.spent[IDLE] / core_s,
        "stolen_percent": 100 * window.spent[STOLEN] / core_s,
        "memory_mb": memory_mb,
        "failed": len(window.replies) - len(took_s),
    }


def _parts_ms(window: Window) -> dict[str, float]:
    """Return the app's processor time for one answer, by process."""
    return {
        part: 1000 * spent_s / len(window.replies)
        for part, spent_s in window.spent.items()
        if part not in {CLIENT, IDLE, STOLEN}
    }


def _report(bundle: Path, layout: Layout, equal: float, levels: Mapping[int, Level]) -> None:
    console = Console()
    console.print(f"The limit's best layout: {layout}. Answers that are equal: {equal:.0%}.")
    table = Table("at a time", *COLUMNS, title=f"{bundle.name}, medians")
    limit = medians([each for level in levels.values() for each in level.limits])
    of_levels = {workers: medians(level.figures) for workers, level in levels.items()}
    named = {str(workers): figures for workers, figures in of_levels.items()}
    for name, figures in {"limit": limit, **named}.items():
        cells = (cell(figures[key]) if key in figures else "" for key in COLUMNS.values())
        table.add_row(name, *cells)
    console.print(table)
    busiest = max(levels, key=lambda workers: of_levels[workers]["answers_per_s"])
    parts = medians(levels[busiest].parts_ms)
    table = Table("process", "CPU ms of an answer", title=f"{busiest} at a time")
    for part, spent_ms in sorted(parts.items(), key=lambda item: -item[1]):
        table.add_row(part, f"{spent_ms:.1f}")
    console.print(table)
    rounds = {
        workers: {"limit": each.limits, "app": each.figures, "parts_ms": each.parts_ms}
        for workers, each in levels.items()
    }
    written = {"layout": str(layout), "equal_answers": equal, "limit": limit, "levels": of_levels}
    name = f"efficiency-{bundle.name}"
    console.print(f"Wrote {write(name, {**written, 'rounds': rounds})}.")


if __name__ == "__main__":
    typer.run(main)
