"""What the plane itself costs: the whole app, but that its models do nothing.

Both of Ray Serve's transports, started in turn: `default` is Ray's Python proxy and actor calls,
`haproxy` is HAProxy and gRPC between replicas, as `make run` has it. Each is asked with the
bundle's photos, and with one of 32 x 24 pixels, which is as good as no photo: what decoding costs
is the difference. The server says itself what each stage took: the assembler's is a call to
another process and back, and nothing else.

Expected before measuring, on two cores, from no-op graphs of the same shape (one and then three
calls): `haproxy` p50 8 ms at one at a time without a photo, of which a hop is 1.6 ms, 16 ms with
one; at 32 at a time 150 answers/s and 13 ms of a core each, with a photo 80 and 25 ms. `default`
28 ms, 5 ms a hop, 50 answers/s and 35 ms.

    python -m benchmarks.floor
"""

import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Annotated, get_args

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.figures import cell, medians, percentiles_ms
from benchmarks.machine import write
from benchmarks.running_app import ROOM, RunningApp, running_app
from load_tests.client.questions import PhotoQuestion, read_questions
from load_tests.client.traffic import Client, steady
from serve.cli.ray_environment import Transport

TOGETHER = 32
COLUMNS = {
    "p50 ms": "p50_ms", "p99 ms": "p99_ms", "hop": "assemble_ms", "fan-out": "fan_out_ms",
    "decode": "decode_ms", "answers/s": "answers_per_s", "CPU ms": "cpu_ms",
}  # fmt: skip
"""Times are in ms at one at a time, those of the last two columns at 32."""

Cell = tuple[str, str]
"""Transport and photo."""


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle whose photos are sent.")] = Path(
        "bundles/demo"
    ),
    rounds: Annotated[int, typer.Option(min=1, max=10)] = 3,
    answers: Annotated[
        int, typer.Option(min=10, max=10_000, help="Answers in a round, for each setting.")
    ] = 200,
) -> None:
    """Start each transport in turn, and print medians over the rounds."""
    questions = read_questions(bundle / "photos")
    photos = {"bundle's": questions, "32 x 24": [PhotoQuestion(_tiny(), questions[0].question)]}
    found: dict[Cell, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for transport in get_args(Transport):
            command = f"{sys.executable} -m benchmarks.floor_app --transport {transport}"
            with running_app(bundle, command=command, changes=ROOM) as app:
                for photo, asked in photos.items():
                    found.setdefault((transport, photo), []).append(_at(app, asked, answers))
    figures = {names: medians(of_rounds) for names, of_rounds in found.items()}
    table = Table("transport", "photo", *COLUMNS, title=f"no models; medians of {rounds} rounds")
    for names, each in figures.items():
        table.add_row(*names, *(cell(each[key]) for key in COLUMNS.values()))
    console = Console()
    console.print(table)
    written = {" ".join(names): each for names, each in figures.items()}
    console.print(f"Wrote {write('floor', {'cells': written})}.")


def _at(app: RunningApp, questions: Sequence[PhotoQuestion], answers: int) -> dict[str, float]:
    read = app.reader()
    with Client(app.url, questions) as client:
        alone = steady(client.ask, callers=1, count=answers, read=read)
        together = steady(client.ask, callers=TOGETHER, count=2 * answers, read=read)
    failed = sum(each.status != 200 for each in [*alone.replies, *together.replies])
    if failed:
        raise RuntimeError(f"{failed} requests were not answered")
    timings = [each.timings_ms for each in alone.replies]
    return {
        **percentiles_ms([each.took_s for each in alone.replies], 50, 99),
        "assemble_ms": median(each["assemble"] for each in timings),
        "fan_out_ms": median(
            max(each["caption"], each["tag"], each["retrieve"]) for each in timings
        ),
        "decode_ms": median(each["decode"] for each in timings),
        "answers_per_s": len(together.replies) / together.seconds,
        "cpu_ms": 1000 * together.spent.total() / len(together.replies),
    }


def _tiny() -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 24), "teal").save(file, "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    typer.run(main)
