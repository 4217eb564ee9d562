"""The one table from what went wrong to what a caller is told (RFC 9457 problem details).

Whatever is not in it is a 500 that says only that: a message not written for callers may
hold paths, addresses or keys.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployments.calls import INTERNAL
from deployments.errors import AdmirerError
from serve.schemas import Problem

RETRY_AFTER_S = 1


class Kind(NamedTuple):
    """How one code looks from outside."""

    status: HTTPStatus
    title: str


CLIENT_GONE = "client_gone"
"""The caller hung up: of log and metrics only, since nobody is there to be told."""
CLIENT_GONE_STATUS = 499
"""As nginx, HAProxy and Ray Serve log it."""
INTERRUPTED = "interrupted"

KINDS: Mapping[str, Kind] = {
    "bad_request": Kind(HTTPStatus.BAD_REQUEST, "The request is not as documented"),
    "bad_image": Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "The photo cannot be read"),
    "image_too_large": Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The photo is too large"),
    "bad_question": Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "The question cannot be asked"),
    "body_too_large": Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large"),
    "unsupported_media_type": Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is in a form that is not read here"
    ),
    "not_found": Kind(HTTPStatus.NOT_FOUND, "There is nothing at this address"),
    "method_not_allowed": Kind(
        HTTPStatus.METHOD_NOT_ALLOWED, "This address does not take this method"
    ),
    "model_not_ready": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "A stage is not ready"),
    "overloaded": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests"),
    "deadline_exceeded": Kind(HTTPStatus.GATEWAY_TIMEOUT, "The time has passed"),
    "answerer_failed": Kind(HTTPStatus.BAD_GATEWAY, "The language model failed"),
    "stage_failed": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "A stage failed"),
    INTERRUPTED: Kind(HTTPStatus.SERVICE_UNAVAILABLE, "The server stopped while it answered"),
    INTERNAL: Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here"),
}

_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def problem(
    code: str,
    detail: str,
    request_id: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the problem document for a code of `KINDS`."""
    status, title = KINDS[code]
    document = Problem(
        type=f"urn:admirer:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        field=field,
        request_id=request_id,
    )
    more = dict(headers or {})
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        more["Retry-After"] = str(RETRY_AFTER_S)
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status,
        headers=more,
        media_type="application/problem+json",
    )


def internal_problem(request_id: str) -> JSONResponse:
    """Return the document for what nobody foresaw."""
    return problem(INTERNAL, "The error is in this server's log under the request id.", request_id)


def add_problem_handlers(app: FastAPI) -> None:
    """Make the app answer every foreseen error with a problem document."""

    @app.exception_handler(AdmirerError)
    def foreseen(request: Request, error: AdmirerError) -> JSONResponse:
        if error.code not in KINDS:
            raise error
        request.state.code = error.code
        return problem(error.code, error.message, request.state.request_id, field=error.field)

    @app.exception_handler(HTTPException)
    def by_status(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODE_OF_STATUS.get(error.status_code, "bad_request")
        detail = KINDS[code].title if code != "bad_request" else str(error.detail)
        request.state.code = code
        return problem(code, f"{detail}.", request.state.request_id, headers=error.headers)
