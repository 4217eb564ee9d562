"""What twice as many questions as the app can answer do to those that it accepts.

Expected before measuring: at half capacity all are answered, at twice capacity about half, the
rest refused with 503 and Retry-After in milliseconds; accepted answers take longer than at half
capacity, but boundedly: twelve are in work at a time, so p95 is near twelve divided by capacity,
and none is out of time. No other status, no broken connection.

Half and twice capacity take turns within one run, so that a slow minute of the machine hits both.

    python -m benchmarks.overload
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write
from benchmarks.running_app import Request, bundled_requests, running_app
from benchmarks.traffic import Outcome, closed, crowd

SHARES = (0.5, 2.0)
WORKERS = 8
"""Who ask without a pause while capacity is measured: fewer than the demo refuses."""


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle to serve.")] = Path("bundles/demo"),
    rounds: Annotated[int, typer.Option(min=1, max=10)] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Of each crowd.")] = 15,
    command: Annotated[str, typer.Option(help="What starts the app.")] = ".venv/bin/admirer",
) -> None:
    """Measure capacity, then send crowds at half and at twice that rate in turn."""
    requests = bundled_requests(bundle)
    with running_app(bundle, command=command) as app:
        capacity, by_share = asyncio.run(_measure(app.url, requests, rounds, seconds))
    table = Table(
        "offered", "sent", "answered", "503", "503 with Retry-After", "other", "p50 ms", "p95 ms",
        "p99 ms", "refused p50 ms",
        title=f"capacity {capacity:.1f} answers/s; medians of {rounds} rounds",
    )  # fmt: skip
    figures = {str(share): _figures(outcomes) for share, outcomes in by_share.items()}
    for share, each in figures.items():
        table.add_row(f"{share} x", *(f"{value:.0f}" for value in each.values()))
    console = Console()
    console.print(table)
    slower = figures["2.0"]["p95_ms"] / figures["0.5"]["p95_ms"]
    console.print(f"p95 of accepted answers at twice capacity: {slower:.2f} times half capacity's.")
    written = {"capacity_per_s": capacity, "shares": figures, "p95_ratio": slower}
    console.print(f"Wrote {write('overload', written)}.")


async def _measure(
    url: str, requests: Sequence[Request], rounds: int, seconds: float
) -> tuple[float, dict[float, list[list[Outcome]]]]:
    await closed(url, requests, workers=WORKERS, count=64)
    outcomes, took_s = await closed(url, requests, workers=WORKERS, count=256)
    capacity = sum(each.status == 200 for each in outcomes) / took_s
    by_share: dict[float, list[list[Outcome]]] = {share: [] for share in SHARES}
    for seed in range(rounds):
        for share in SHARES:
            sent = await crowd(url, requests, rate=share * capacity, seconds=seconds, seed=seed)
            by_share[share].append(sent)
    return capacity, by_share


def _figures(rounds: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    """Return the median over rounds of each figure."""
    all_figures = [_of_round(outcomes) for outcomes in rounds]
    return {name: median(each[name] for each in all_figures) for name in all_figures[0]}


def _of_round(outcomes: Sequence[Outcome]) -> dict[str, float]:
    statuses = Counter(each.status for each in outcomes)
    accepted = sorted(each.took_s * 1000 for each in outcomes if each.status == 200)
    refused = [each.took_s * 1000 for each in outcomes if each.status == 503]
    cuts = quantiles(accepted, n=100, method="inclusive") if len(accepted) > 1 else [0.0] * 99
    return {
        "sent": len(outcomes),
        "answered": statuses[200],
        "refused": statuses[503],
        "refused_with_retry_after": sum(
            each.status == 503 and each.retry_after is not None for each in outcomes
        ),
        "other": len(outcomes) - statuses[200] - statuses[503],
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "refused_p50_ms": median(refused) if refused else 0.0,
    }


if __name__ == "__main__":
    typer.run(main)
