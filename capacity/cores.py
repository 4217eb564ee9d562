"""CPU cores (or GPUs) that jobs share by weight, for a simulation.

All running jobs of one weight go at one speed at any moment, so that one clock for each weight
counts the work that each of them has got: a job ends when that clock has moved on by its work, and
adding a job costs a heap's time.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, cycle, islice

import simpy

_NOTHING = 1e-9
_A_LEVEL = 1.25
"""What a thread gets, in multiples of one whose nice value is higher by one (sched(7) of Linux)."""


Pace = Sequence[tuple[float, float]]
"""For so many seconds, work takes so many times as long; from the start again after the last."""
STEADY: Pace = ((float("inf"), 1.0),)


@dataclass
class _Equals:
    """Jobs of one niceness."""

    weight: float
    jobs: list[tuple[float, int, simpy.Event]] = field(default_factory=list)
    given_s: float = 0.0
    """Work that a job which is always there would have got."""
    speed: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds until the next of them ends, as things are."""
        return max(0.0, self.jobs[0][0] - self.given_s) / self.speed


class Cores:
    """Processor sharing: each job has one core at most, and of fewer cores a share by its weight.

    Jobs of one niceness share evenly: each of n on c cores runs at min(1, c / n) of the speed of a
    core, which `pace` changes.

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
        self._equals: dict[float, _Equals] = {}
        """By niceness, the most urgent first."""
        self._numbers = count()
        self._seen = 0.0
        self._plan = 0
        self.busy_s = 0.0
        """Core seconds given so far."""

    def work(self, seconds: float, niceness: float = 0.0) -> simpy.Event:
        """Return an event for when that work is done; work of less niceness has precedence."""
        done = self._env.event()
        self._advance()
        if niceness not in self._equals:
            self._equals[niceness] = _Equals(_A_LEVEL**-niceness)
            self._equals = dict(sorted(self._equals.items()))
        equals = self._equals[niceness]
        heapq.heappush(equals.jobs, (equals.given_s + seconds, next(self._numbers), done))
        self._go_on()
        return done

    def _advance(self) -> None:
        passed, self._seen = self._env.now - self._seen, self._env.now
        for equals in self._equals.values():
            equals.given_s += passed * equals.speed
            self.busy_s += passed * equals.speed * self._slowness * len(equals.jobs)
        while self._pace_ends <= self._env.now + _NOTHING:
            lasts, self._slowness = next(self._paces)
            self._pace_ends += lasts

    def _go_on(self) -> None:
        """Share the cores among those that are there, and wake at the next end or change."""
        at_work = [each for each in self._equals.values() if each.jobs]
        left = self._capacity
        wanted = sum(each.weight * len(each.jobs) for each in at_work)
        for equals in at_work:
            share = min(1.0, left * equals.weight / wanted)
            left -= share * len(equals.jobs)
            wanted -= equals.weight * len(equals.jobs)
            equals.speed = share / self._slowness
        self._plan += 1
        if at_work:
            changes = max(0.0, self._pace_ends - self._env.now)
            ends = min(each.left_s for each in at_work)
            timer = self._env.timeout(min(ends, changes), self._plan)
            timer.callbacks.append(self._wake)

    def _wake(self, timer: simpy.Event) -> None:
        if timer.value != self._plan:
            return  # another job has come since
        self._advance()
        for equals in self._equals.values():
            while equals.jobs and equals.jobs[0][0] <= equals.given_s + _NOTHING:
                heapq.heappop(equals.jobs)[2].succeed()
        self._go_on()
