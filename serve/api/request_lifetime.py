"""Lifetime of one request: deadline, timings, and cancellation when the caller disconnects.

Disconnects are noticed while the stages work: servers differ in whether they cancel the request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from deployments.calls import within
from deployments.messages import Call
from deployments.telemetry.traces import current
from serve.api.request_body import read_request

Body = TypeVar("Body", bound=BaseModel)
Value = TypeVar("Value")


class RequestContext:
    """State of one request: id, time left, timings."""

    def __init__(self, request_id: str, timeout_s: float) -> None:
        self.id = request_id
        self.timings_ms: dict[str, float] = {}
        self._started = time.perf_counter()
        self._timeout_s = timeout_s

    def call(self) -> Call:
        """Return the call context of a stage: request id and time left."""
        return Call(self.id, self._timeout_s - (time.perf_counter() - self._started))

    async def timed(self, name: str, work: Awaitable[Value], span: str | None = None) -> Value:
        """Await the work and record its duration; its span may have another name."""
        started = time.perf_counter()
        with current().child(span or name):
            try:
                return await work
            finally:
                self.timings_ms[name] = _ms_since(started)

    def finish(self) -> dict[str, float]:
        """Return all timings in milliseconds, the total last."""
        self.timings_ms.pop("total", None)
        self.timings_ms["total"] = _ms_since(self._started)
        return self.timings_ms


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


async def handle_request(
    request: Request,
    response: Response,
    kind: type[Body],
    work: Callable[[Body, RequestContext], Coroutine[Any, Any, Value]],
    timeout_s: float,
) -> Value:
    """Read the body and await the work, until the deadline or until the caller disconnects.

    Raises:
        BadRequest: The body is not a valid `kind`.
        DeadlineExceeded: `timeout_s` has passed.
        ClientDisconnect: The caller has disconnected.
    """
    context = RequestContext(request.state.request_id, timeout_s)
    request.state.timings_ms = context.timings_ms
    async with within(timeout_s):
        body = await read_request(request, kind)
        value = await _until_disconnect(request, work(body, context))
    timings = context.finish().items()
    response.headers["Server-Timing"] = ", ".join(f"{name};dur={ms:g}" for name, ms in timings)
    return value


async def _until_disconnect(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """Await the work; cancel it when the caller disconnects.

    Raises:
        ClientDisconnect: The caller has disconnected.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        # Wait until cancelled tasks have ended: their clean-up belongs to this request.
        await asyncio.gather(working, watching, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
