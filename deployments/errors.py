"""The errors that stages and ingress raise, and the one table of codes.

    AdmirerError                 code
    +-- BadRequest               bad_request
    |   +-- BadImage             bad_image
    |   |   +-- ImageTooLarge    image_too_large
    |   +-- BadQuestion          bad_question
    |   +-- BodyTooLarge         body_too_large
    |   +-- UnsupportedMediaType unsupported_media_type
    +-- ModelNotReady            model_not_ready
    +-- Overloaded               overloaded
    +-- DeadlineExceeded         deadline_exceeded
    +-- StageFailed              stage_failed
        +-- AnswererFailed       answerer_failed

Codes are stable and messages are safe to show to a caller: no path, address, key or
text of another exception. Errors cross process borders, so each survives pickling.
`CODES` also has codes that no stage raises: of HTTP itself, disconnects and unexpected errors.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple


class AdmirerError(Exception):
    """An expected error; `message` may be shown to callers."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        """Name of the request field at fault, when there is one."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.field)


def _rebuild(kind: type[AdmirerError], message: str, field: str | None) -> AdmirerError:
    return kind(message, field=field)


class BadRequest(AdmirerError):
    """The request is invalid."""

    code = "bad_request"


class BadImage(BadRequest):
    """The bytes are not a photo that we can decode."""

    code = "bad_image"


class ImageTooLarge(BadImage):
    """The photo has more bytes or pixels than the settings allow."""

    code = "image_too_large"


class BadQuestion(BadRequest):
    """The question is empty or too long."""

    code = "bad_question"


class BodyTooLarge(BadRequest):
    """The body has more bytes than a valid request can have."""

    code = "body_too_large"


class UnsupportedMediaType(BadRequest):
    """The body is neither JSON nor a form."""

    code = "unsupported_media_type"


class ModelNotReady(AdmirerError):
    """A stage has no replica or no model yet, or its model cannot run any more."""

    code = "model_not_ready"


class Overloaded(AdmirerError):
    """A queue is full; the same request may succeed a little later."""

    code = "overloaded"


class DeadlineExceeded(AdmirerError):
    """The deadline of the request has passed."""

    code = "deadline_exceeded"


class StageFailed(AdmirerError):
    """A stage failed, and not because of the request."""

    code = "stage_failed"


class AnswererFailed(StageFailed):
    """The language model refused, failed or could not be reached."""

    code = "answerer_failed"


NOT_FOUND, METHOD_NOT_ALLOWED = "not_found", "method_not_allowed"
INTERNAL = "internal_error"
INTERRUPTED = "interrupted"
CLIENT_GONE = "client_gone"
"""In log and metrics only: there is no caller to answer. nginx and HAProxy use 499 too."""


class Code(NamedTuple):
    """HTTP status of a code, and title of its problem document."""

    status: int
    title: str

    @property
    def is_fault(self) -> bool:
        """Whether it counts against the availability objective, as every 5xx does."""
        return self.status >= 500


CODES: Mapping[str, Code] = {
    BadRequest.code: Code(400, "The request is not as documented"),
    BadImage.code: Code(422, "The photo cannot be read"),
    ImageTooLarge.code: Code(413, "The photo is too large"),
    BadQuestion.code: Code(422, "The question cannot be asked"),
    BodyTooLarge.code: Code(413, "The request is too large"),
    UnsupportedMediaType.code: Code(415, "The body is in a form that is not read here"),
    NOT_FOUND: Code(404, "There is nothing at this address"),
    METHOD_NOT_ALLOWED: Code(405, "This address does not take this method"),
    CLIENT_GONE: Code(499, "The caller disconnected"),
    ModelNotReady.code: Code(503, "A stage is not ready"),
    Overloaded.code: Code(503, "Too many requests"),
    INTERRUPTED: Code(503, "The server stopped while it answered"),
    DeadlineExceeded.code: Code(504, "The time has passed"),
    AnswererFailed.code: Code(502, "The language model failed"),
    StageFailed.code: Code(500, "A stage failed"),
    INTERNAL: Code(500, "Something went wrong here"),
}
"""Every code of problem documents, log lines and `admirer_requests`, except `ok`."""
