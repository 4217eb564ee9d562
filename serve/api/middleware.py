"""Middleware: request id, trace, log line, metrics, body limit, unexpected errors.

Plain ASGI: Starlette's own base class for middleware would read bodies ahead and hide
disconnects.
"""

import asyncio
import logging
import re
import secrets
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.calls import OK
from deployments.errors import CLIENT_GONE, CODES, INTERNAL, INTERRUPTED, BodyTooLarge
from deployments.telemetry.logs import fields
from deployments.telemetry.metrics import REQUEST_SECONDS, REQUESTS, Meters
from deployments.telemetry.traces import NO_TRACER, Span, TraceContext, Tracer
from serve.api.problems import internal_problem

REQUEST_ID = "X-Request-ID"
HEALTH = "/health/"
"""Path of the probes: not traced, and logged only when they fail."""

DISCONNECT_WITHIN_S = 1.0
"""Seconds to wait for the disconnect after a cancellation: when a caller disconnects, Ray cancels
the request without a reason, sometimes before the app receives the disconnect."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE_ID = re.compile(r"[\w.:=+/-]{1,128}", re.ASCII)

logger = logging.getLogger("ray.serve")


class Requests:
    """Adds the request id, reports the request, and answers unexpected errors with 500.

    Args:
        app: The wrapped app.
        adds_header: Whether to add X-Request-ID to responses. Ray Serve adds it itself, with the
            same id, and two headers would be joined into one value.
        meters: Reports metrics.
        tracer: Starts traces.
        bundle: Served bundle, for the log.
        tells_disconnects: Whether the server reports a disconnect to the app where it cancels the
            request. If not, a cancellation counts as a disconnect, which it nearly always is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        adds_header: bool,
        meters: Meters,
        tracer: Tracer,
        bundle: str,
        tells_disconnects: bool = True,
    ) -> None:
        self._tells_disconnects = tells_disconnects
        self._app, self._meters, self._tracer = app, meters, tracer
        self._adds_header = adds_header
        self._bundle = bundle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracer = NO_TRACER if scope["path"].startswith(HEALTH) else self._tracer
        with tracer.begin(_method(scope), _caller(scope)) as span:
            await self._serve(scope, receive, send, span)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
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
            status, scope["state"]["code"] = CODES[CLIENT_GONE].status, CLIENT_GONE
        except asyncio.CancelledError:
            code = await _stopped(receive) if self._tells_disconnects else CLIENT_GONE
            status, scope["state"]["code"] = CODES[code].status, code
            raise
        except Exception:
            scope["state"]["code"] = INTERNAL
            logger.exception(
                "Request %s failed.", request_id, extra=fields(request_id=request_id, code=INTERNAL)
            )
            if status:
                raise
            await internal_problem(request_id)(scope, receive, send_with_id)
        finally:
            self._report(scope, status, time.perf_counter() - started, span)

    def _report(self, scope: Scope, status: int, took_s: float, span: Span) -> None:
        route = getattr(scope.get("route"), "path", "other")
        code = scope["state"].get("code", OK)
        self._meters.record(REQUESTS, labels={"route": route, "code": code})
        if code == OK:
            self._meters.record(REQUEST_SECONDS, took_s, {"route": route})
        _describe(span, scope, route, status, code)
        self._log(scope, route, status, code, took_s)

    def _log(self, scope: Scope, route: str, status: int, code: str, took_s: float) -> None:
        request_id, took_ms = scope["state"]["request_id"], round(took_s * 1000, 1)
        is_healthy_probe = status == HTTPStatus.OK and route.startswith(HEALTH)
        # 5xx of expected errors have no traceback, but are logged as warnings.
        usual = logging.WARNING if status >= 500 else logging.INFO
        logger.log(
            logging.DEBUG if is_healthy_probe else usual,
            # A path may contain line breaks; repr keeps it on one line.
            "%s %r %d %.1f ms %s",
            scope["method"],
            scope["path"][:200],
            status,
            took_ms,
            request_id,
            extra=fields(
                request_id=request_id,
                route=route,
                status=status,
                code=code,
                took_ms=took_ms,
                timings_ms=scope["state"].get("timings_ms"),
                bundle=self._bundle,
            ),
        )


async def _stopped(receive: Receive) -> str:
    """Return the code of a request that was cancelled: by its caller or by the server.

    After a disconnect, the server says so, or receiving fails. Otherwise receiving waits, until
    the time is up.
    """
    try:
        async with asyncio.timeout(DISCONNECT_WITHIN_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except (TimeoutError, asyncio.CancelledError):
        return INTERRUPTED
    except Exception:  # noqa: BLE001, S110 - any error means that the connection is gone
        pass
    return CLIENT_GONE


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"


def _caller(scope: Scope) -> TraceContext | None:
    """Return the caller's trace context, not validated."""
    headers = Headers(scope=scope)
    parents = headers.getlist("traceparent")
    if len(parents) != 1:
        return None
    return TraceContext(parents[0], ",".join(headers.getlist("tracestate")))


def _describe(span: Span, scope: Scope, route: str, status: int, code: str) -> None:
    method = _method(scope)
    if route != "other":
        span.rename(f"{method} {route}")
        span.set({"http.route": route})
    span.set(
        {
            "http.request.method": method,
            "http.response.status_code": status,
            "admirer.request_id": scope["state"]["request_id"],
            "admirer.code": code,
        }
    )
    if status >= 500:
        span.fail(code)


class BodyLimit:
    """Refuses bodies over `max_bytes`, by Content-Length or while reading."""

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
            # Raised while the app reads the body, so that the app answers with a problem document.
            raise BodyTooLarge(f"The body has more than {self._max_bytes} bytes.")

        await self._app(scope, bounded, send)
