"""Parts of the OpenAPI document that FastAPI cannot derive from our routes.

Routes take JSON and forms with one class, which FastAPI cannot express; the schemas come from that
class.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel

from deployments.errors import CODES
from serve.api.request_body import FORM, JSON
from serve.api.schemas import Problem

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}


def request_body(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route: its body as JSON and as a form."""
    schema = kind.model_json_schema()
    form = {**schema, "properties": {**schema["properties"]}}
    if "image" in form["properties"]:
        form["properties"]["image"] = _BINARY
    if "images" in form["properties"]:
        form["properties"]["images"] = {"type": "array", "items": _BINARY}
    content = {JSON: {"schema": schema, "example": _example(schema)}, FORM: {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an example body that can be sent as it is, with the photo's bytes, not a URL."""
    return {
        name: field["examples"][0]
        for name, field in schema["properties"].items()
        if "examples" in field and name != "image_url"
    }


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route's error codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    return {
        status: {
            "description": f"Codes: {', '.join(codes_of)}.",
            "content": {"application/problem+json": {"schema": _problem_schema()}},
        }
        for status, codes_of in by_status.items()
    }


@cache
def _problem_schema() -> dict[str, Any]:
    """Cached: every route has it several times, and pydantic needs milliseconds for each."""
    return Problem.model_json_schema()
