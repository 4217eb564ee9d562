"""Cores (or GPUs) that jobs share evenly, for a simulation.

All running jobs go at one speed at any moment, so that one clock counts the work that each has
got: a job ends when that clock has moved on by its work, and adding a job costs a heap's time.
"""

import heapq
from collections.abc import Sequence
from itertools import count, cycle, islice

import simpy

_NOTHING = 1e-9


Pace = Sequence[tuple[float, float]]
"""For so many seconds, work takes so many times as long; from the start again after the last."""
STEADY: Pace = ((float("inf"), 1.0),)


class Cores:
    """Processor sharing: n jobs on c cores go at min(1, c / n) each, all at the cores' pace.

    Args:
        env: The simulation's clock.
        capacity: Cores, or parts of them.
        pace: How the speed of all cores changes.
        first: Where in the pace to begin.
    """

    def __init__(
        self, env: simpy.Environment, capacity: float, pace: Pace = STEADY, first: int = 0
    ) -> None:
        self._paces = islice(cycle(pace), first, None)
        self._pace_ends, self._slowness = next(self._paces)
        self._env, self._capacity = env, capacity
        self._jobs: list[tuple[float, int, simpy.Event]] = []
        self._numbers = count()
        self._given_s = 0.0
        """Work that a job which is always there would have got."""
        self._seen = 0.0
        self._plan = 0
        self.busy_s = 0.0
        """Core seconds given so far."""

    def work(self, seconds: float) -> simpy.Event:
        """Return what happens once that work is done."""
        done = self._env.event()
        self._advance()
        heapq.heappush(self._jobs, (self._given_s + seconds, next(self._numbers), done))
        self._wake_at_the_next()
        return done

    def _speed(self) -> float:
        return min(1.0, self._capacity / len(self._jobs)) / self._slowness

    def _advance(self) -> None:
        passed, self._seen = self._env.now - self._seen, self._env.now
        if self._jobs:
            self._given_s += passed * self._speed()
            self.busy_s += passed * min(float(len(self._jobs)), self._capacity)
        while self._pace_ends <= self._env.now + _NOTHING:
            lasts, self._slowness = next(self._paces)
            self._pace_ends += lasts

    def _wake_at_the_next(self) -> None:
        self._plan += 1
        if self._jobs:
            left = max(0.0, self._jobs[0][0] - self._given_s)
            changes = max(0.0, self._pace_ends - self._env.now)
            timer = self._env.timeout(min(left / self._speed(), changes), self._plan)
            timer.callbacks.append(self._wake)

    def _wake(self, timer: simpy.Event) -> None:
        if timer.value != self._plan:
            return  # another job has come since
        self._advance()
        while self._jobs and self._jobs[0][0] <= self._given_s + _NOTHING:
            heapq.heappop(self._jobs)[2].succeed()
        self._wake_at_the_next()
