"""Parse request bodies, JSON or form, into one strict class, and check texts.

A form and a JSON body with the same content give the same value, so that every route has one
schema.
"""

import unicodedata
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from deployments.errors import BadQuestion, BadRequest, UnsupportedMediaType
from serve.settings import Limits

JSON, FORM = "application/json", "multipart/form-data"

MAX_FORM_PARTS = 100

Body = TypeVar("Body", bound=BaseModel)


async def read_request(request: Request, kind: type[Body]) -> Body:
    """Return the body of the request.

    Raises:
        UnsupportedMediaType: Neither JSON nor multipart/form-data.
        BadRequest: Malformed, or a field is unknown, missing, repeated or of a wrong type;
            `field` names it.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == JSON:
            return kind.model_validate_json(await request.body(), strict=True)
        if media_type == FORM:
            async with request.form(
                max_files=MAX_FORM_PARTS, max_fields=MAX_FORM_PARTS, max_part_size=64 * 1024
            ) as form:
                return kind.model_validate(await _fields(form, kind))
    except ValidationError as error:
        raise _bad_request(error) from None
    except HTTPException:
        raise BadRequest("The form is malformed, or has too many or too long parts.") from None
    raise UnsupportedMediaType(f"Send {FORM} or {JSON}.")


async def _fields(form: FormData, kind: type[BaseModel]) -> dict[str, object]:
    """Return the form's fields by name; the value of a file is its bytes."""
    fields: dict[str, object] = {}
    for name in form:
        values = [
            await value.read() if isinstance(value, UploadFile) else value
            for value in form.getlist(name)
        ]
        known = kind.model_fields.get(name)
        if known is not None and known.default == []:
            fields[name] = values
        elif len(values) > 1:
            raise BadRequest("This field is repeated.", field=_shown(name))
        else:
            fields[name] = values[0]
    return fields


def _bad_request(error: ValidationError) -> BadRequest:
    """Return the first validation error; its message never contains the value."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        return BadRequest("The body is not valid JSON.")
    field = ".".join(map(str, fault["loc"])) or None
    detail = fault["msg"].removeprefix("Value error, ")
    subject = f"{_shown(field)}: " if field else ""
    return BadRequest(f"{subject}{detail}.", field=_shown(field) if field else None)


def _shown(field: str) -> str:
    """Return a field's name without unprintable characters: callers may send any name."""
    return "".join(character for character in field[:100] if character.isprintable())


def checked_text(text: str, limits: Limits, field: str = "question") -> str:
    """Return the text as one line: a line break could imitate the structure of the prompt.

    Raises:
        BadQuestion: Empty or invisible, too long, or with control characters.
    """
    line = " ".join(text.split())
    kinds = {unicodedata.category(character) for character in line}
    if kinds & {"Cc", "Cs"}:
        raise BadQuestion("Control characters are not allowed.", field=field)
    if not any(kind[0] in "LNPS" for kind in kinds):
        raise BadQuestion("The text is empty.", field=field)
    if len(line) > limits.max_question_characters:
        message = f"The text has more than {limits.max_question_characters} characters."
        raise BadQuestion(message, field=field)
    return line
