"""One simulated stage: replicas behind a router, each with the app's greedy batcher.

The router looks at two replicas by chance and takes the one with less to do, as Ray Serve does;
a free replica takes all that waits, up to its batch limit.
"""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from capacity.fit import StageModel
from capacity.measurements import Record


class StageSetting(Record):
    """Replicas of one stage and their limits, named as the app's settings name them."""

    replicas: int
    max_items: int
    max_waiting: int = 64
    max_ongoing: int = 32
    max_queued: int = 64
    niceness: int = 0
    items_per_call: int = 1
    """The app's own limits count items; here every limit counts calls."""


class RefusedError(Exception):
    """A queue was full."""


Process = Generator[simpy.Event, Any, None]


@dataclass(eq=False)
class _Replica:
    waiting: list[simpy.Event] = field(default_factory=list)
    running: int = 0
    busy_s: float = 0.0
    runs: int = 0

    @property
    def ongoing(self) -> int:
        return len(self.waiting) + self.running


class SimulatedStage:
    """Replicas of one stage.

    Args:
        env: The simulation's clock.
        model: What a run takes.
        setting: Replicas and limits.
        work: Starts work of so many seconds where the stage runs: shared cores, or a GPU.
        chance: Of routing and of how much runs differ.
    """

    def __init__(
        self,
        env: simpy.Environment,
        model: StageModel,
        setting: StageSetting,
        work: Callable[[float], simpy.Event],
        chance: random.Random,
    ) -> None:
        self._env, self._model, self._setting, self._work = env, model, setting, work
        self._chance = chance
        self.replicas = [_Replica() for _ in range(setting.replicas)]
        self.most_ongoing: list[int] = []
        """Ongoing calls of the busiest replica, at the arrival of each call."""

    def call(self) -> simpy.Event:
        """Return what happens once the stage has answered.

        Raises:
            RefusedError: Its queues are full.
        """
        replica = self._route()
        total = sum(each.ongoing for each in self.replicas)
        accepted = len(self.replicas) * self._setting.max_ongoing + self._setting.max_queued
        if len(replica.waiting) >= self._setting.max_waiting or total >= accepted:
            raise RefusedError
        done = self._env.event()
        replica.waiting.append(done)
        self.most_ongoing.append(replica.ongoing)
        if not replica.running:
            self._env.process(self._run(replica))
            replica.running = 1  # taken now, so that a second call at this moment starts no other
        return done

    def utilisation(self, seconds: float) -> float:
        """Return the share of the time that a replica was at work."""
        return sum(each.busy_s for each in self.replicas) / seconds / len(self.replicas)

    @property
    def runs(self) -> int:
        """Runs of the model, in all replicas."""
        return sum(each.runs for each in self.replicas)

    def _route(self) -> _Replica:
        two = self._chance.sample(self.replicas, min(2, len(self.replicas)))
        return min(two, key=lambda replica: replica.ongoing)

    def _run(self, replica: _Replica) -> Process:
        yield self._env.timeout(0)  # calls of this same moment are in the first batch
        while replica.waiting:
            batch = replica.waiting[: self._setting.max_items]
            del replica.waiting[: len(batch)]
            replica.running, started = len(batch), self._env.now
            yield self._work(self._model.run_s(len(batch)) * self._factor())
            replica.busy_s += self._env.now - started
            replica.runs += 1
            for done in batch:
                done.succeed()
        replica.running = 0

    def _factor(self) -> float:
        return self._chance.choice(self._model.spread)


class HostedStage:
    """A stage that waits for a server elsewhere: its calls take what calls took.

    Args:
        env: The simulation's clock.
        calls_s: What calls took.
        rate_limit: Calls a second that the server accepts; None is no limit.
        chance: Of what a call takes.
    """

    def __init__(
        self,
        env: simpy.Environment,
        calls_s: Sequence[float],
        rate_limit: float | None,
        chance: random.Random,
    ) -> None:
        self._env, self._calls_s, self._chance = env, calls_s, chance
        self._gap_s = 1 / rate_limit if rate_limit else 0.0
        self._next = 0.0
        self.most_ongoing: list[int] = []

    def call(self) -> simpy.Event:
        """Return what happens once the server has answered; calls above its rate wait."""
        begins = max(self._env.now, self._next)
        self._next = begins + self._gap_s
        return self._env.timeout(begins - self._env.now + self._chance.choice(self._calls_s))

    def utilisation(self, seconds: float) -> float:
        """Return the share of the rate limit that was used."""
        return min(1.0, self._next / seconds) if self._gap_s else 0.0
