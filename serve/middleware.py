"""What surrounds every request: its id, its log line, the bound on its body, the last resort.

Plain ASGI: Starlette's own base class for middleware would read bodies ahead and hide that a
caller has gone.
"""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import BadRequest
from deployments.metrics import REQUEST_SECONDS, REQUESTS, Meters
from serve.problems import INTERNAL, internal_problem

REQUEST_ID = "X-Request-ID"

_SANE_ID = re.compile(r"[\w.:=+/-]{1,128}", re.ASCII)

logger = logging.getLogger("ray.serve")


class BodyTooLarge(BadRequest):
    """The body has more bytes than any good request could."""

    code = "body_too_large"


class Requests:
    """Gives each request its id, reports it, and answers what nobody foresaw with 500.

    Args:
        app: What it surrounds.
        adds_header: Whether the id is put on the response. Ray Serve puts on one of its own,
            the same wherever the caller's is kept, and two would be joined into nonsense.
        meters: Where requests are reported.
    """

    def __init__(self, app: ASGIApp, *, adds_header: bool, meters: Meters) -> None:
        self._app, self._meters = app, meters
        self._adds_header = adds_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._adds_header:
                    MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or 499
            scope["state"]["code"] = "client_gone"
        except Exception:
            logger.exception("Request %s failed.", request_id)
            scope["state"]["code"] = INTERNAL
            if status:
                raise
            await internal_problem(request_id)(scope, receive, send_with_id)
        finally:
            took_s = time.perf_counter() - started
            _log(scope, status, took_s * 1000, request_id)
            self._report(scope, took_s)

    def _report(self, scope: Scope, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        code = scope["state"].get("code", "ok")
        self._meters.record(REQUESTS, labels={"route": route, "code": code})
        self._meters.record(REQUEST_SECONDS, took_s, {"route": route})


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def _log(scope: Scope, status: int, took_ms: float, request_id: str) -> None:
    # A path may hold anything; repr keeps it on one line.
    logger.info(
        "%s %r %d %.1f ms %s", scope["method"], scope["path"][:200], status, took_ms, request_id
    )


class BodyLimit:
    """Refuses a body over `max_bytes` before it is read, or as soon as it turns out to be."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        declared = int(length) if length.isdecimal() else 0
        read = 0

        async def bounded() -> Message:
            nonlocal read
            if declared <= self._max_bytes:
                message = await receive()
                read += len(message.get("body", b""))
                if read <= self._max_bytes:
                    return message
            # Raised where the app reads, so that the app answers with a problem document.
            raise BodyTooLarge(f"The body has more than {self._max_bytes} bytes.")

        await self._app(scope, bounded, send)
