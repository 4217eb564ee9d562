"""A discrete-event simulation of the whole graph, for arrivals that are known or drawn.

What shares cores shares them here too: the ingress, every stage on a CPU, proxy and client are
jobs on the same cores, without which predictions for a small machine are too good.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import simpy

from capacity.cores import Cores
from capacity.fit import Model
from capacity.measurements import STAGES, Record
from capacity.stage import (
    HostedStage,
    Process,
    RefusedError,
    SimulatedStage,
    StageSetting,
)

BEFORE, BETWEEN, AFTER = 0.6, 0.2, 0.2
"""Shares of the ingress' work: before the photo stages, after them, after the answerer."""


EVERY_S = 1.0


class Setting(Record):
    """How the app is deployed."""

    stages: dict[str, StageSetting]
    ingress_replicas: int = 1
    max_in_flight: int = 256
    """Largest number of concurrent requests of an ingress replica; more are refused."""
    cores: float
    """CPU cores of all nodes together, and `gpus` likewise."""
    gpus: float = 0.0
    rate_limit: float | None = None
    """Rate limit of a hosted language model, in calls per second."""

    @property
    def stage_replicas(self) -> int:
        """Replicas of all stages together."""
        return sum(stage.replicas for stage in self.stages.values())


@dataclass(frozen=True)
class Outcome:
    """Results of the simulated questions."""

    seconds: float
    took_s: tuple[float, ...]
    refused: int
    utilisation: dict[str, float]
    ongoing: dict[str, float]
    """Calls that the busiest replica of each stage has, at the 95th percentile."""
    most_in_flight: int
    batches: dict[str, float]
    """Mean calls in a run of each stage that had one."""

    @property
    def served_share(self) -> float:
        """Share of the questions that were answered."""
        return len(self.took_s) / max(1, len(self.took_s) + self.refused)

    def quantile_s(self, share: float) -> float:
        """Return a quantile of the latency in seconds; infinite without answers."""
        return float(np.quantile(np.array(self.took_s), share)) if self.took_s else float("inf")


def simulate(model: Model, setting: Setting, moments: Sequence[float], *, seed: int) -> Outcome:
    """Return the results of questions at these arrival times; deterministic for a seed."""
    return _Simulation(model, setting, seed).run(moments)


def simulate_callers(
    model: Model, setting: Setting, callers: int, seconds: float, *, seed: int
) -> Outcome:
    """Return the results of callers who each ask again as soon as they are answered."""
    return _Simulation(model, setting, seed).run_callers(callers, seconds)


class _Simulation:
    def __init__(self, model: Model, setting: Setting, seed: int) -> None:
        self._env = simpy.Environment()
        self._model, self._setting = model, setting
        self._chance = random.Random(seed)
        usable = setting.cores * model.usable - model.foreign_cores
        self._cores = Cores(
            self._env, max(0.1, usable), model.pace, self._chance.randrange(len(model.pace))
        )
        self._gpus = Cores(self._env, max(1e-9, setting.gpus))
        self._ingress = [simpy.Resource(self._env) for _ in range(setting.ingress_replicas)]
        self._stages = {stage: self._stage(stage) for stage in STAGES}
        self._in_flight = self._refused = self._most = 0
        self._took_s: list[float] = []
        self._asking: list[simpy.Process] = []
        self._last_s = 0.0

    def _stage(self, stage: str) -> SimulatedStage | HostedStage:
        model = self._model.stages[stage]
        if model.device == "hosted":
            calls = model.calls_s or (0.0,)
            return HostedStage(self._env, calls, self._setting.rate_limit, self._chance)
        setting = self._setting.stages[stage]
        work: Callable[[float], simpy.Event] = self._gpus.work
        if model.device == "cpu":
            niceness = setting.niceness * self._model.yielding
            work = partial(self._cores.work, niceness=niceness)
        return SimulatedStage(self._env, model, setting, work, self._chance)

    def run(self, moments: Sequence[float]) -> Outcome:
        self._asking = [self._env.process(self._ask(moments))]
        return self._outcome()

    def run_callers(self, callers: int, seconds: float) -> Outcome:
        self._asking = [self._env.process(self._ask_on(seconds)) for _ in range(callers)]
        return self._outcome()

    def _outcome(self) -> Outcome:
        self._env.process(self._works_by_the_second(self._model.own_cores, 0.0))
        for _ in range(self._setting.stage_replicas if self._model.replica_cores else 0):
            first_s = EVERY_S * self._chance.random()
            self._env.process(self._works_by_the_second(self._model.replica_cores, first_s))
        self._env.run()
        seconds = self._last_s or 1.0
        utilisation = {name: each.utilisation(seconds) for name, each in self._stages.items()}
        utilisation["ingress"] = (
            len(self._took_s) * self._model.ingress_s / seconds / len(self._ingress)
        )
        used = self._cores.busy_s / seconds + self._model.foreign_cores
        utilisation["cores"] = min(1.0, used / self._setting.cores)
        if self._setting.gpus:
            utilisation["gpus"] = self._gpus.busy_s / seconds / self._setting.gpus
        return Outcome(
            seconds,
            tuple(self._took_s),
            self._refused,
            utilisation,
            {
                name: float(np.quantile(each.most_ongoing, 0.95)) if each.most_ongoing else 1.0
                for name, each in self._stages.items()
            },
            self._most,
            {
                name: len(self._took_s) / runs
                for name, each in self._stages.items()
                if isinstance(each, SimulatedStage) and (runs := each.runs)
            },
        )

    def _ask(self, moments: Sequence[float]) -> Process:
        for due in moments:
            yield self._env.timeout(max(0.0, due - self._env.now))
            if self._in_flight >= self._setting.max_in_flight * len(self._ingress):
                self._refused += 1
            else:
                self._env.process(self._answer())

    def _works_by_the_second(self, cores: float, first_s: float) -> Process:
        """Do the work that is independent of load: counters are read and sent every second."""
        yield self._env.timeout(first_s)
        while self._in_flight or any(asking.is_alive for asking in self._asking):
            self._cores.work(cores * EVERY_S)
            yield self._env.timeout(EVERY_S)

    def _ask_on(self, until: float) -> Process:
        while self._env.now < until:
            yield from self._answer()

    def _answer(self) -> Process:
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        asked, ingress = self._env.now, self._chance.choice(self._ingress)
        try:
            yield self._cores.work(self._model.plane_s / 2)
            yield from self._at_ingress(ingress, BEFORE)
            photo = [self._stages[stage].call() for stage in STAGES[:3]]
            yield self._env.all_of(photo)
            yield from self._at_ingress(ingress, BETWEEN)
            for stage in STAGES[3:]:
                yield self._stages[stage].call()
            yield from self._at_ingress(ingress, AFTER)
            yield self._cores.work(self._model.plane_s / 2)
            yield self._env.timeout(self._model.pause_s)
            self._took_s.append(self._env.now - asked)
        except RefusedError:
            self._refused += 1
        finally:
            self._in_flight -= 1
            self._last_s = self._env.now

    def _at_ingress(self, ingress: simpy.Resource, share: float) -> Process:
        """Work in the one thread of an ingress replica."""
        with ingress.request() as turn:
            yield turn
            yield self._cores.work(self._model.ingress_s * share)
