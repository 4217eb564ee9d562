"""How long until the first answer, and how much memory the whole stack takes.

Expected before measuring, on two free cores: the first answer after 15 s (Ray alone needs about
10 s before a model loads), and 1.6 GB of proportional memory: 90 MB for
each of six replicas, 150 MB each of models and ONNX Runtime in four of them, 450 MB of Ray's own
processes. Limits: 20 s and 2.5 GB.

    python -m benchmarks.memory_and_start
"""

from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write
from benchmarks.running_app import running_app
from load_tests.client.questions import read_questions
from load_tests.client.traffic import Client, closed

MB = 1_000_000
ANSWERS = 30


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle to serve.")] = Path("bundles/demo"),
    rounds: Annotated[int, typer.Option(min=1, max=20)] = 3,
    command: Annotated[
        str, typer.Option(help="Command that starts the app.")
    ] = ".venv/bin/admirer",
) -> None:
    """Start and stop the app several times, and print medians."""
    questions = read_questions(bundle / "photos")
    starts, readies, totals, warm = [], [], [], []
    memory: dict[str, int] = {}
    for _ in range(rounds):
        with running_app(bundle, command=command) as app:
            with Client(app.url, questions) as client:
                replies = closed(client.ask, callers=1, count=ANSWERS)
            memory = app.memory_bytes()
            starts.append(app.first_answer_s)
            readies.append(app.process.ready_s)
            totals.append(sum(memory.values()) / MB)
            warm.append(median(each.took_s for each in replies) * 1000)
    table = Table("", "median", "worst", title=f"{rounds} starts, {ANSWERS} answers each")
    figures = {
        "first answer (s)": starts,
        "healthy (s)": readies,
        "memory, PSS (MB)": totals,
        "a warm answer (ms)": warm,
    }
    for name, values in figures.items():
        table.add_row(name, f"{median(values):.1f}", f"{max(values):.1f}")
    for title, size in sorted(memory.items(), key=lambda item: -item[1])[:12]:
        table.add_row(f"  {title} (MB)", f"{size / MB:.0f}")
    console = Console()
    console.print(table)
    file = write("memory_and_start", {"rounds": figures, "last_memory_bytes": memory})
    console.print(f"Wrote {file}.")


if __name__ == "__main__":
    typer.run(main)
