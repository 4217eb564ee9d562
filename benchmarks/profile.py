"""CPU time of an answer by part of the code, with 32 concurrent callers.

py-spy looks into every replica some times a second, and each look counts for the row of `PARTS`
that knows the innermost frame of the stack. A look also counts while a thread waits for its turn
on a core, so that only shares within a thread are read from it: the seconds of every thread are
the kernel's. The other processes are one row each.

Expected before measuring, demo bundle: 80 % models, 8 % decoding and resizing, 5 % Ray's calls and
serialisation, 3 % HTTP and our own code of the API, 4 % Ray's own processes.

    python -m benchmarks.profile
"""

import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.efficiency import CLIENT
from benchmarks.machine import write
from benchmarks.running_app import ROOM, RunningApp, running_app
from load_tests.client.app_process import title
from load_tests.client.questions import read_questions
from load_tests.client.traffic import Client, steady

TOGETHER = 32
LOOKS_A_SECOND = 40
PARTS: Mapping[str, tuple[str, ...]] = {
    "models: ONNX Runtime": ("onnxruntime/",),
    "photos: resize and normalise": ("models/preprocessing.py",),
    "photos: decode": (
        "models/pixels.py",
        "serve/api/photos.py",
        "bank/fingerprints.py",
    ),
    "models: our Python around them": ("models/", "bank/"),
    "metrics": (
        "ray/util/metrics.py",
        "deployments/telemetry/ray_metrics.py",
        "ray/serve/metrics.py",
    ),
    "Ray: calls and serialisation": ("ray/", "grpc/"),
    "HTTP and API": ("uvicorn/", "starlette/", "fastapi/", "multipart", "pydantic", "serve/"),
    "our stages": ("deployments/",),
}
"""What each row is, by words in a frame of the stack; the first row that fits counts."""
ELSEWHERE = "event loops: uvloop and gRPC"
"""They are written in C, and a stack ends at the thread that runs them."""
NO_PYTHON = "threads without Python: Ray's core and gRPC"
_PARKED = ("Worker.main_loop (ray/", "_worker (concurrent/futures/thread.py")
"""Where a thread waits for work, though it may seem to run."""
_THREAD = re.compile(r"thread \((\d+)\)")


def main(
    bundle: Annotated[Path, typer.Option(help="Bundle to serve.")] = Path("bundles/demo"),
    answers: Annotated[int, typer.Option(min=10, max=10_000)] = 300,
    command: Annotated[
        str, typer.Option(help="Command that starts the app.")
    ] = ".venv/bin/admirer",
) -> None:
    """Profile the app under steady traffic, and print a table."""
    questions = read_questions(bundle / "photos")
    with running_app(bundle, command=command, changes=ROOM) as app, TemporaryDirectory() as folder:
        replicas = _replicas(app)
        of_app = app.reader()

        def read() -> Counter[str]:
            of_threads = {
                str(each.id): each.user_time + each.system_time
                for replica in replicas.values()
                for each in replica.threads()
            }
            return Counter({**of_app(), **of_threads, CLIENT: time.process_time()})

        with _watched(replicas, Path(folder)) as stacks, Client(app.url, questions) as client:
            window = steady(client.ask, callers=TOGETHER, count=answers, read=read)
    spent_ms = {part: 1000 * s / len(window.replies) for part, s in window.spent.items()}
    client_ms = spent_ms.pop(CLIENT)
    replicas_ms = {stage: spent_ms.pop(stage) for stage in replicas}
    rows = rows_of(spent_ms, stacks)
    whole = sum(rows.values())
    table = Table("", "CPU ms of an answer", "share", title=f"{TOGETHER} at a time, {bundle.name}")
    for part, each_ms in sorted(rows.items(), key=lambda item: -item[1]):
        table.add_row(part, f"{each_ms:.1f}", f"{each_ms / whole:.1%}")
    table.add_section()
    table.add_row("all of the app", f"{whole:.1f}", "100 %")
    table.add_row("the client beside it", f"{client_ms:.1f}", "")
    console = Console()
    console.print(table)
    figures = {"cpu_ms": rows, "client_cpu_ms": client_ms, "replicas_ms": replicas_ms}
    console.print(f"Wrote {write(f'profile-{bundle.name}', figures)}.")


def rows_of(spent_ms: Mapping[str, float], stacks: Iterable[str]) -> dict[str, float]:
    """Return processor time by row: that of a thread shared out by its stacks.

    Args:
        spent_ms: By the id of a thread, or by the name of a process without stacks.
        stacks: py-spy's lines, each a thread with its stack, and how often it was seen.
    """
    looks: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        thread = _THREAD.match(stack)
        if thread and not stack.rpartition(";")[2].startswith(_PARKED):
            looks[thread[1]][part_of(stack)] += int(times)
    rows: defaultdict[str, float] = defaultdict(float)
    for name, ms in spent_ms.items():
        unseen = NO_PYTHON if name.isdigit() else f"process {name}"
        seen = looks.get(name, Counter({unseen: 1}))
        for part, count in seen.items():
            rows[part] += ms * count / seen.total()
    return rows


def part_of(stack: str) -> str:
    """Return the row of one stack: that of the innermost frame that a row knows."""
    for frame in reversed(stack.split(";")):
        for part, words in PARTS.items():
            if any(word in frame for word in words):
                return part
    return ELSEWHERE


def _replicas(app: RunningApp) -> dict[str, psutil.Process]:
    """Return the processes of the stages and the ingress, by name."""
    return {
        title(each): each
        for each in app.process.processes()
        if "ServeReplica" in "".join(each.cmdline()[:1])
    }


@contextmanager
def _watched(replicas: Mapping[str, psutil.Process], folder: Path) -> Iterator[list[str]]:
    """Have py-spy look into every replica; the stacks are there when the block has ended."""
    spies = [
        subprocess.Popen(  # noqa: S603 - our own environment's py-spy
            [
                str(Path(sys.executable).with_name("py-spy")), "record", "--nonblocking",
                "--threads", "--format", "raw", "--rate", str(LOOKS_A_SECOND),
                "--pid", str(replica.pid), "--output", str(folder / stage), "--duration", "3600",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for stage, replica in replicas.items()
    ]  # fmt: skip
    stacks: list[str] = []
    try:
        yield stacks
    finally:
        for spy in spies:
            spy.send_signal(signal.SIGINT)  # it then writes what it has seen
        for spy in spies:
            spy.wait(30)
    for stage in replicas:
        stacks += (folder / stage).read_text("utf-8").splitlines()


if __name__ == "__main__":
    typer.run(main)
