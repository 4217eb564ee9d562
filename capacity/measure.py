"""The load test for plans: each stage alone, then answers with one caller, saturated, and in steps.

The time of a model run comes from a saturated stage: with enough callers its model is never idle,
so it is time divided by runs. If the app runs on this machine, CPU time by stage is measured too.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from capacity import prometheus
from capacity.measurements import (
    STAGES,
    Device,
    Measurements,
    Part,
    StageWork,
    Target,
    answered_per_s,
)
from capacity.problems import CapacityError
from capacity.processes import INGRESS, PLANE, LocalApp, busy_core_s
from load_tests.client.messages import STAGE_OF_TIMING, Reply
from load_tests.client.questions import PhotoQuestion
from load_tests.client.traffic import ANSWERS, Client, arrivals, closed, crowd
from load_tests.reach import why_unreachable

TIMEOUT_S = 60.0
WARM_UP_S = 3.0
COUNTS_EVERY_S = 1.5
COUNTS_WITHIN_S = 40
"""Ray exports counters some seconds late."""
TIMING_OF_STAGE = {stage: timing for timing, stage in STAGE_OF_TIMING.items()}
ROUTES: dict[Target, str] = {
    "answers": ANSWERS,
    "captioner": "/v1/captions",
    "tagger": "/v1/tags",
    "retriever": "/v1/examples/search",
}
ALONE: tuple[Target, ...] = ("captioner", "tagger", "retriever")


@dataclass(frozen=True)
class Steps:
    """Load of the parts of a load test, and their duration."""

    alone_callers: tuple[int, ...] = (1, 4, 16)
    alone_s: float = 4
    full_callers: int = 8
    shares: tuple[float, ...] = (0.3, 0.55, 0.8)
    """Shares of the rate that `full_callers` reach."""
    step_s: float = 15
    rounds: int = 1
    """Repetitions of all parts: on virtual cores, speed changes from minute to minute."""

    def run(self, test: "LoadTest") -> list[Part]:
        """Return the measured parts, in order."""
        return [part for number in range(self.rounds) for part in self._round(test, number)]

    def _round(self, test: "LoadTest", number: int) -> list[Part]:
        parts = [test.closed("answers", 1, 2 * self.alone_s)]
        parts += [
            test.closed(target, callers, self.alone_s)
            for target in ALONE
            for callers in self.alone_callers
        ]
        full = test.closed("answers", self.full_callers, self.step_s)
        parts.append(full)
        for seed, share in enumerate(self.shares, start=number * len(self.shares)):
            rate = max(0.1, share * answered_per_s([full]))
            parts.append(test.open(rate, self.step_s, seed))
        return parts


def measure(
    url: str,
    metrics_url: str,
    asked: Sequence[PhotoQuestion],
    steps: Steps,
    *,
    cores: float | None = None,
    on_gpu: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Measurements:
    """Return what the load test saw.

    Args:
        url: Where the app answers.
        metrics_url: Its metrics in Prometheus' text format.
        asked: Questions, asked in turn.
        steps: How much load.
        cores: CPU cores that the app's replicas share; default: this machine's, if it runs here.
        on_gpu: Stages whose model runs on a GPU.
        tell: Called with a line for every part.

    Raises:
        CapacityError: The app or its metrics are not there.
    """
    if fault := why_unreachable(url):
        raise CapacityError(fault)
    counts = prometheus.read(metrics_url)
    app = LocalApp.behind(url)
    if cores is None and app is None:
        raise CapacityError(
            f"The app at {url} runs elsewhere; say with --cores how many cores its replicas share."
        )
    with Client(url, asked, new_photos=True, timeout_s=TIMEOUT_S) as load:
        test = LoadTest(load, metrics_url, app, tell)
        test.closed("answers", 4, WARM_UP_S)  # nothing of it is kept
        parts = steps.run(test)
    counts = prometheus.read(metrics_url)
    replicas: Counter[str] = app.replicas() if app else Counter()
    return Measurements(
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        url=url,
        cores=cores or float(psutil.cpu_count() or 1),
        devices={stage: _device(stage, counts, on_gpu) for stage in STAGES},
        replicas={stage: max(1, replicas[stage]) for stage in (INGRESS, *STAGES)},
        items_per_call=test.items_per_call,
        max_items=counts.most(prometheus.MAX_ITEMS),
        niceness=counts.most(prometheus.NICENESS),
        parts=tuple(parts),
    )


def _device(stage: str, counts: prometheus.Counts, on_gpu: Sequence[str]) -> Device:
    if stage in on_gpu:
        return "gpu"
    if stage == "answerer" and not counts.total(prometheus.RUNS, stage):
        return "hosted"
    return "cpu"


class LoadTest:
    """Sends load and records the results."""

    def __init__(
        self, load: Client, metrics_url: str, app: LocalApp | None, tell: Callable[[str], None]
    ) -> None:
        self._load, self._metrics_url, self._app, self._tell = load, metrics_url, app, tell
        self.items_per_call: dict[str, int] = {}

    def closed(self, target: Target, callers: int, seconds: float) -> Part:
        """Return a part with closed load: `callers`, each waiting for its last answer."""
        self._tell(f"{target}: {callers} at a time")
        return self._part(
            lambda: closed(self._send(target), callers=callers, seconds=seconds),
            target,
            callers=callers,
        )

    def open(self, rate: float, seconds: float, seed: int) -> Part:
        """Return a part with open load (Poisson arrivals)."""
        self._tell(f"answers: {rate:.1f} a second")
        moments = arrivals(rate, seconds, seed)
        if not moments:
            raise CapacityError(f"{rate:.2f} a second asks nothing in {seconds:g} s.")
        return self._part(
            lambda: crowd(self._load.ask, moments),
            "answers",
            rate=rate,
            seed=seed,
            lasted_s=seconds,
        )

    def _send(self, target: Target) -> Callable[[], Reply]:
        return lambda: self._load.ask(ROUTES[target])

    def _part(
        self,
        send: Callable[[], list[Reply]],
        target: Target,
        *,
        callers: int | None = None,
        rate: float | None = None,
        seed: int = 0,
        lasted_s: float = 0.0,
    ) -> Part:
        before = prometheus.read(self._metrics_url)
        cpu, busy, started = self._cpu_s(), busy_core_s(), time.perf_counter()
        replies = send()
        seconds = time.perf_counter() - started
        busy = busy_core_s() - busy
        spent = self._cpu_s() - cpu
        answered = [reply for reply in replies if reply.status == 200]
        refused = sum(reply.is_refused for reply in replies)
        after = self._settled(before, ALONE if target == "answers" else (target,), answered)
        at_work = STAGES if target == "answers" else (target,)
        for stage in at_work:
            items = after.total(prometheus.ITEMS, stage) - before.total(prometheus.ITEMS, stage)
            self.items_per_call[stage] = max(1, round(items / max(1, len(answered))))
        return Part(
            kind="closed" if callers else "open",
            target=target,
            rate=rate,
            callers=callers,
            seed=seed,
            lasted_s=lasted_s,
            seconds=seconds,
            sent=len(replies),
            refused=refused,
            failed=len(replies) - len(answered) - refused,
            took_s=tuple(reply.took_s for reply in answered),
            stages={
                stage: self._work(stage, target, before, after, answered, spent)
                for stage in at_work
            },
            ingress_cpu_s=spent[INGRESS] if self._app else None,
            plane_cpu_s=spent[PLANE] if self._app else None,
            foreign_cores=max(0.0, busy - spent.total()) / seconds if self._app else 0.0,
        )

    def _cpu_s(self) -> Counter[str]:
        return self._app.cpu_s() if self._app else Counter()

    def _settled(
        self, before: prometheus.Counts, stages: Sequence[str], answered: Sequence[Reply]
    ) -> prometheus.Counts:
        """Return the counters once they have counted what was answered, and stand still."""
        until = time.monotonic() + COUNTS_WITHIN_S
        last: list[int] = []
        while True:
            now = prometheus.read(self._metrics_url)
            counted = [
                now.total(prometheus.ITEMS, stage) - before.total(prometheus.ITEMS, stage)
                for stage in stages
            ]
            if min(counted) >= len(answered) and counted == last:
                return now
            last = counted
            if time.monotonic() > until:
                raise CapacityError(
                    f"{self._metrics_url} counted {min(counted)} of {len(answered)} answers; it is"
                    " another app's, or photos are answered from a cache."
                )
            time.sleep(COUNTS_EVERY_S)

    def _work(
        self,
        stage: str,
        target: Target,
        before: prometheus.Counts,
        after: prometheus.Counts,
        answered: Sequence[Reply],
        spent: Counter[str],
    ) -> StageWork:
        runs = after.total(prometheus.RUNS, stage) - before.total(prometheus.RUNS, stage)
        name = TIMING_OF_STAGE[stage]
        return StageWork(
            items=len(answered),
            runs=runs,
            cpu_s=max(0.0, spent[stage]) if self._app else None,
            took_s=tuple(
                each.timings_ms[name] / 1000 for each in answered if name in each.timings_ms
            )
            if target == "answers"
            else tuple(each.took_s for each in answered),
        )
