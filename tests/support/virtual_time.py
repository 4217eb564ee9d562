"""An event loop whose clock jumps to the next timer, so that seconds of load cost none."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _NoWait(selectors.DefaultSelector):
    """A selector that never sleeps: it moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs a thread's work at once and delivers it `cost_s()` of virtual time later."""

    def __init__(self, cost_s: Callable[[], float]) -> None:
        self._virtual = _NoWait()
        super().__init__(self._virtual)
        self._cost_s = cost_s

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        result = func(*args)
        self.call_later(self._cost_s(), future.set_result, result)
        return future


def run(main: Coroutine[Any, Any, Any], cost_s: Callable[[], float]) -> Any:
    """Return what `main` returns, having run it in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(cost_s)) as runner:
        return runner.run(main)
