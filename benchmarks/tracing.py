"""What traces cost: of one question, off, on for a question that is not sampled, and sampled.

Only what is ours runs (pipeline, batchers, spans); the models do nothing, so that the processor's
time of a question is that of the machinery, and a difference of some microseconds can be seen. All
is in one process and rounds of the three take turns. Spans are exported to another process.

Expected before measuring: off, the calls themselves take about 10 us of a question, a hundredth of
a per cent of an answer that takes 100 ms; not sampled, 100 us more; sampled, 1 ms more, with the
export (20 spans at 50 us).

    python -m benchmarks.tracing
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write
from deployments.batching import Batcher
from deployments.messages import Answer, Call, Embeddings, Example, Photo, Prompt, Tag
from deployments.telemetry.otel_traces import EXPORT_EVERY_S, OtelTracer
from deployments.telemetry.traces import NO_TRACER, Tracer, current
from serve.pipeline import Pipeline

Tracers = dict[str, Tracer]


def pipeline(tracer: Tracer) -> Pipeline:
    """Return stages as the real ones are, but that their models do nothing."""
    batchers: list[Batcher[object, str]] = [
        Batcher(_nothing, max_size=8, max_waiting=64) for _ in range(4)
    ]

    async def run(stage: str, batcher: Batcher[object, str], call: Call) -> str:
        there = replace(call, trace=current().context)
        with tracer.join(stage, there.trace):
            return await batcher.submit(stage, call.timeout_s)

    async def caption(_: Photo, call: Call) -> str:
        return await run("captioner", batchers[0], call)

    async def tag(_: Photo, call: Call) -> tuple[Tag, ...]:
        await run("tagger", batchers[1], call)
        return ()

    async def retrieve(
        _: Photo | None, __: str | None, ___: int, call: Call
    ) -> tuple[Example, ...]:
        await run("retriever", batchers[2], call)
        return ()

    async def assemble(
        _: str, __: Sequence[str], ___: str, ____: Sequence[Example], call: Call
    ) -> Prompt:
        with tracer.join("assembler", replace(call, trace=current().context).trace):
            return Prompt((), ())

    async def answer(_: Prompt, call: Call) -> Answer:
        return Answer(await run("answerer", batchers[3], call), "none", 1, 1)

    async def embed(_: Sequence[Photo], __: Sequence[str], ___: Call) -> Embeddings:
        return Embeddings((), ())

    return Pipeline(caption, tag, retrieve, assemble, answer, embed)


def _nothing(items: Sequence[object]) -> list[str]:
    return ["" for _ in items]


async def cpu_us(tracer: Tracer, questions: int) -> float:
    """Return the processor's time of one question in microseconds, export included."""
    asked = pipeline(tracer)
    started = time.process_time()
    for number in range(questions):
        with tracer.begin("POST /v1/answers", None) as span:
            with current().child("decode"):
                pass
            await asked.ask(Photo(b""), "", n_shot=1, call=Call(str(number), 30))
            span.set({"http.response.status_code": 200, "admirer.code": "ok"})
    await asyncio.sleep(2 * EXPORT_EVERY_S)  # costs no processor's time, and the export is over
    return (time.process_time() - started) / questions * 1e6


def off_us(repeats: int) -> float:
    """Return what the calls of one question take where nothing is traced."""
    started = time.perf_counter()
    for _ in range(repeats):
        with NO_TRACER.begin("request", None) as span:
            for _ in range(7):
                with current().child("part"):
                    pass
            for _ in range(5):
                with NO_TRACER.join("stage", current().context):
                    pass
            for _ in range(4):
                waiting = current()
                waiting.add("queue", 0, 0)
                waiting.add("model", 0, 0, {"admirer.batch.items": 1})
            span.rename("request")
            span.set({"http.response.status_code": 200, "admirer.code": "ok"})
    return (time.perf_counter() - started) / repeats * 1e6


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _receive(pipe: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        pipe.send(server.server_port)
        server.serve_forever()


@contextmanager
def receiver() -> Iterator[str]:
    """Yield the address of a receiver in a process of its own."""
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def compare(tracers: Tracers, rounds: int, questions: int) -> dict[str, float]:
    """Return the median of each over rounds in which all take turns."""
    took: dict[str, list[float]] = {name: [] for name in tracers}
    for _ in range(rounds):
        for name, tracer in tracers.items():
            took[name].append(asyncio.run(cpu_us(tracer, questions)))
    return {name: median(each[1:]) for name, each in took.items()}  # the first warms up


def main(
    rounds: Annotated[int, typer.Option(help="Rounds over the three settings.")] = 9,
    questions: Annotated[int, typer.Option(help="Questions in a round, for each setting.")] = 300,
    answer_ms: Annotated[
        float, typer.Option(help="Latency of a real answer, in milliseconds.")
    ] = 100,
) -> None:
    """Measure, print a table and write the figures."""
    off = median(off_us(2000) for _ in range(rounds))
    with receiver() as url:
        tracers: Tracers = {
            "off": NO_TRACER,
            "on, not sampled": OtelTracer(url, "benchmark", 0, 5),
            "on, sampled": OtelTracer(url, "benchmark", 1, 5),
        }
        figures = compare(tracers, rounds, questions)
    table = Table("traces", "CPU of a question, us", "more than off, us", "of an answer")
    for name, took_us in figures.items():
        more = took_us - figures["off"]
        table.add_row(name, f"{took_us:.0f}", f"{more:.0f}", f"{more / answer_ms / 10:.3f} %")
    console = Console()
    console.print(table)
    share = off / answer_ms / 10
    console.print(f"Off, its calls take {off:.1f} us of a question: {share:.4f} % of an answer.")
    file = write("tracing", {"answer_ms": answer_ms, "off_calls_us": off, "cpu_us": figures})
    console.print(f"Written to {file}")


if __name__ == "__main__":
    typer.run(main)
