"""The five stages in one process, without HTTP, Ray, queues or metrics: what no server can exceed.

Batches of whole questions go through the stages one after the other, in as many threads as makes
the most of this machine. A photo is decoded once, where the app decodes it in four places. The
tagger's batches are no larger than the app's, which says how many photos fit into memory.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from multiprocessing import get_context

from load_tests.client.questions import PhotoQuestion
from models.pixels import decode_jpeg
from serve.in_process import Stages, load_stages
from serve.settings import AppSettings

CORES = os.cpu_count() or 1
SHAPES = ((1, CORES), (CORES, 1))
"""Threads of one model run, and workers that run models at the same time."""
BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the one process uses the cores."""

    threads: int
    workers: int
    photos: int
    """Questions that captioner, tagger and retriever take at a time."""
    prompts: int
    """Prompts of these that the answerer takes at a time."""

    def __str__(self) -> str:
        return (
            f"{self.workers} workers of {self.threads} threads,"
            f" {self.photos} photos and {self.prompts} prompts at a time"
        )


@dataclass(frozen=True, slots=True)
class Throughput:
    """Results of one layout."""

    layout: Layout
    answers_per_s: float
    cpu_ms: float
    """CPU milliseconds per answer."""


def answers(stages: Stages, asked: Sequence[PhotoQuestion], prompts_at_a_time: int) -> list[str]:
    """Return the answers to several questions, each stage but the last run once on all."""
    settings = stages.settings
    questions = [each.question for each in asked]
    seen = stages.see([decode_jpeg(each.photo) for each in asked])
    found = stages.find(seen, questions, settings.n_shot, settings.retriever.similarity)
    prompts = [
        stages.prompt(of.caption, [tag.label for tag in of.tags], question, examples)
        for of, question, examples in zip(seen, questions, found, strict=True)
    ]
    starts = range(0, len(prompts), prompts_at_a_time)
    return [each for at in starts for each in stages.answer(prompts[at : at + prompts_at_a_time])]


@contextmanager
def own_process(settings: AppSettings) -> Iterator["OneProcess"]:
    """Give a fresh process for the stages of the bundle that the settings name; end it after."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        yield OneProcess(settings, process)


class OneProcess:
    """Another process with the stages in it; the models are loaded when they are first needed."""

    def __init__(self, settings: AppSettings, process: Executor) -> None:
        self._settings, self._process = settings, process

    def answers(self, asked: Sequence[PhotoQuestion]) -> list[str]:
        """Return the answer to each question."""
        return self._process.submit(_answers, self._settings, asked).result()

    def throughput(
        self, layout: Layout, asked: Sequence[PhotoQuestion], seconds: float
    ) -> Throughput:
        """Return what the process does in a layout, working for at least so long."""
        return self._process.submit(_throughput, self._settings, layout, asked, seconds).result()

    def best_layout(self, asked: Sequence[PhotoQuestion], seconds: float) -> Layout:
        """Return the fastest layout of those tried, each for at least so many seconds.

        Every shape is tried with every number of photos, and the fastest with more prompts: a
        search that ends with the first larger batch that gains nothing ends by chance.
        """

        def tried(layout: Layout) -> Throughput:
            return self.throughput(layout, asked, seconds)

        found = [tried(Layout(*shape, size, 1)) for shape in SHAPES for size in BATCHES]
        best = max(found, key=_rate)
        prompts = [size for size in BATCHES if 1 < size <= best.layout.photos]
        found = [tried(replace(best.layout, prompts=size)) for size in prompts]
        return max([best, *found], key=_rate).layout


def _rate(found: Throughput) -> float:
    return found.answers_per_s


_loaded: dict[int, Stages] = {}
"""In the other process: the stages that were used last, by the threads of a model run."""


def _stages(settings: AppSettings, threads: int, asked: Sequence[PhotoQuestion]) -> Stages:
    if threads not in _loaded:
        _loaded.clear()  # two of production's size would not fit
        engine = settings.captioner.engine.model_copy(update={"threads": threads})
        _loaded[threads] = load_stages(settings, engine)
        answers(_loaded[threads], asked[:1], 1)
    return _loaded[threads]


def _answers(settings: AppSettings, asked: Sequence[PhotoQuestion]) -> list[str]:
    stages = _stages(settings, 1, asked)
    return [answer for each in asked for answer in answers(stages, [each], 1)]


def _throughput(
    settings: AppSettings, layout: Layout, asked: Sequence[PhotoQuestion], seconds: float
) -> Throughput:
    stages = _stages(settings, layout.threads, asked)
    return throughput(lambda some: answers(stages, some, layout.prompts), layout, asked, seconds)


def throughput(
    answer: Callable[[Sequence[PhotoQuestion]], object],
    layout: Layout,
    asked: Sequence[PhotoQuestion],
    seconds: float,
) -> Throughput:
    """Return what `answer` does in this process, working for at least so long."""

    def work(worker: int) -> tuple[int, float]:
        endless = islice(cycle(asked), worker * layout.photos, None)
        done, took_s = 0, 0.0
        while took_s < seconds:
            answer(list(islice(endless, layout.photos)))
            done += layout.photos
            took_s = time.perf_counter() - started
        return done, took_s

    started, cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(layout.workers) as workers:
        each = list(workers.map(work, range(layout.workers)))
    cpu_s = time.process_time() - cpu_s
    # Each worker by its own clock: the last batches end at different times.
    rate = sum(done / took_s for done, took_s in each)
    return Throughput(layout, rate, 1000 * cpu_s / sum(done for done, _ in each))
