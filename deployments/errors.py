"""Everything that a stage or the ingress raises on purpose.

    AdmirerError                 code
    +-- BadRequest               bad_request
    |   +-- BadImage             bad_image
    |   |   +-- ImageTooLarge    image_too_large
    |   +-- BadQuestion          bad_question
    +-- ModelNotReady            model_not_ready
    +-- Overloaded               overloaded
    +-- DeadlineExceeded         deadline_exceeded
    +-- StageFailed              stage_failed
        +-- AnswererFailed       answerer_failed

Codes are stable and messages are safe to show to a caller: no path, address, key or
text of another exception. Errors cross process borders, so each survives pickling.
HTTP is unknown here: `serve.problems` maps codes to statuses.
"""

from typing import ClassVar


class AdmirerError(Exception):
    """Something that went wrong in a way we foresaw; `message` may be shown to callers."""

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
    """The request cannot be answered as it was sent."""

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


class ModelNotReady(AdmirerError):
    """A stage has no model loaded yet, or its model cannot run any more."""

    code = "model_not_ready"


class Overloaded(AdmirerError):
    """A queue is full; the same request may succeed a little later."""

    code = "overloaded"


class DeadlineExceeded(AdmirerError):
    """The time that the request was given has passed."""

    code = "deadline_exceeded"


class StageFailed(AdmirerError):
    """A stage could not do its work for a reason that is not the caller's."""

    code = "stage_failed"


class AnswererFailed(StageFailed):
    """The language model refused, failed or could not be reached."""

    code = "answerer_failed"
