"""Problem details (RFC 9457) for every error, by its code.

An unexpected error is a 500 without its message, which may contain paths, addresses or keys.
"""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployments.errors import (
    CODES,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    AdmirerError,
    BadRequest,
    BodyTooLarge,
)
from serve.api.schemas import Problem

RETRY_AFTER_S = 1


_CODE_OF_STATUS = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: BodyTooLarge.code}


def problem(
    code: str,
    detail: str,
    request_id: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the problem document for a code of `CODES`."""
    status, title = CODES[code]
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
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        more["Retry-After"] = str(RETRY_AFTER_S)
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status,
        headers=more,
        media_type="application/problem+json",
    )


def internal_problem(request_id: str) -> JSONResponse:
    """Return the document for an unexpected error."""
    return problem(INTERNAL, "The error is in this server's log under the request id.", request_id)


def add_problem_handlers(app: FastAPI) -> None:
    """Make the app answer every AdmirerError and HTTP error with a problem document."""

    @app.exception_handler(AdmirerError)
    def by_code(request: Request, error: AdmirerError) -> JSONResponse:
        if error.code not in CODES:
            raise error
        request.state.code = error.code
        return problem(error.code, error.message, request.state.request_id, field=error.field)

    @app.exception_handler(HTTPException)
    def by_status(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODE_OF_STATUS.get(error.status_code, BadRequest.code)
        detail = CODES[code].title if code != BadRequest.code else str(error.detail)
        request.state.code = code
        return problem(code, f"{detail}.", request.state.request_id, headers=error.headers)
