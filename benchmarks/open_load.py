"""Open load: answers and latency at 0.5, 0.8, 1 and 2 times the app's capacity.

The app is as it is shipped, refusals and all; only its caches are off. The rates take turns within
a round, so that a slow minute of the machine hits all of them. Goodput is the share of all who
asked and got an answer in time: within a second, or within the objective of `dashboards/slo.py`.

Expected before measuring, capacity being what eight who never pause get. Half: all answered, p99
under three times p50. 0.8: 99 % answered; random arrivals now and then meet a full house of
twelve. 1: 85 %, most answers near twelve divided by capacity, the full house. 2: half, the rest
refused with 503 and Retry-After in milliseconds; p95 still near twelve divided by capacity, about
twice half's, none out of time. Goodput within the objective is what is answered; within a second it
is 100, 95, 60 and 20 %. No other status, no broken connection.

    python -m benchmarks.open_load
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import medians, percentiles_ms
from benchmarks.machine import write
from benchmarks.running_app import running_app
from dashboards.slo import LATENCY_S
from load_tests.client.messages import Reply
from load_tests.client.questions import read_questions
from load_tests.client.traffic import Client, arrivals, closed, crowd

SHARES = (0.5, 0.8, 1.0, 2.0)
WORKERS = 8
"""Callers during the measurement of capacity: so few that the demo refuses none."""
COLUMNS = {
    "sent": "sent", "served": "served_percent", "in 1 s": "in_a_second_percent",
    f"in {LATENCY_S:g} s": "in_time_percent", "p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms",
    "503": "refused", "no wait": "refused_without_wait", "503 p50": "refused_p50_ms",
    "other": "other",
}  # fmt: skip
"""Shares in per cent of all who asked, times in ms; `no wait` are refusals without Retry-After."""


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle to serve.")] = Path("bundles/demo"),
    rounds: Annotated[int, typer.Option(min=1, max=10)] = 3,
    seconds: Annotated[
        float, typer.Option(min=1, max=120, help="Seconds of load at each rate.")
    ] = 15,
    command: Annotated[
        str, typer.Option(help="Command that starts the app.")
    ] = ".venv/bin/admirer",
) -> None:
    """Measure capacity, then send crowds at shares of that rate in turn."""
    questions = read_questions(bundle / "photos")
    with running_app(bundle, command=command) as app, Client(app.url, questions) as client:
        capacity, by_share = _measure(client, rounds, seconds)
    figures = {
        share: medians([figures_of(replies) for replies in crowds])
        for share, crowds in by_share.items()
    }
    title = f"capacity {capacity:.1f} answers/s; medians of {rounds} rounds"
    table = Table("offered", *COLUMNS, title=title)
    for share, each in figures.items():
        table.add_row(f"{share} x", *(f"{each[key]:.0f}" for key in COLUMNS.values()))
    console = Console()
    console.print(table)
    slower = figures[max(SHARES)]["p95_ms"] / figures[min(SHARES)]["p95_ms"]
    console.print(f"p95 of accepted answers at twice capacity: {slower:.2f} times half capacity's.")
    written = {"capacity_per_s": capacity, "shares": figures, "p95_ratio": slower}
    console.print(f"Wrote {write('open_load', written)}.")


def _measure(
    client: Client, rounds: int, seconds: float
) -> tuple[float, dict[float, list[list[Reply]]]]:
    closed(client.ask, callers=WORKERS, count=64)
    started = time.perf_counter()
    replies = closed(client.ask, callers=WORKERS, count=256)
    capacity = sum(each.status == 200 for each in replies) / (time.perf_counter() - started)
    by_share: dict[float, list[list[Reply]]] = {share: [] for share in SHARES}
    for seed in range(rounds):
        for share in SHARES:
            moments = arrivals(share * capacity, seconds, seed)
            by_share[share].append(crowd(client.ask, moments))
    return capacity, by_share


def figures_of(replies: Sequence[Reply]) -> dict[str, float]:
    """Return the results of one rate; percentiles are of accepted answers."""
    statuses = Counter(each.status for each in replies)
    answered_s = [each.took_s for each in replies if each.status == 200]
    refused = [each for each in replies if each.status == 503]
    sent = max(1, len(replies))
    return {
        "sent": len(replies),
        "answered": statuses[200],
        "refused": statuses[503],
        "refused_without_wait": sum(not each.is_refused for each in refused),
        "other": len(replies) - statuses[200] - statuses[503],
        "served_percent": 100 * statuses[200] / sent,
        "in_a_second_percent": 100 * sum(took_s <= 1 for took_s in answered_s) / sent,
        "in_time_percent": 100 * sum(took_s <= LATENCY_S for took_s in answered_s) / sent,
        **percentiles_ms(answered_s, 50, 95, 99),
        "refused_p50_ms": percentiles_ms([each.took_s for each in refused], 50)["p50_ms"],
    }


if __name__ == "__main__":
    typer.run(main)
