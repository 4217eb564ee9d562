"""Deployment handles as the ingress calls them, over work that a test gives."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class FakeResponse:
    """As much of Ray's `DeploymentResponse` as a call uses; the work runs until cancelled."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        # In a context of its own: a replica knows nothing of its caller's task.
        self.work = asyncio.create_task(_run(work), context=contextvars.Context())
        self.is_cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.shield(self.work).__await__()

    def cancel(self) -> None:
        self.is_cancelled = True
        self.work.cancel()


class FakeHandle:
    """A handle whose every method is the object's of that name."""

    def __init__(self, stage: object) -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return FakeMethod(getattr(self._stage, name))


class FakeMethod:
    """One method of a handle."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self._method = method

    def remote(self, *arguments: Any) -> FakeResponse:
        return FakeResponse(lambda: self._method(*arguments))


async def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()
