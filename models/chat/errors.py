"""Errors of a language model behind the OpenAI API.

    ChatError
    +-- ChatTimeout        no answer in the time given
    +-- ChatUnavailable    not reachable, overloaded, failing, or an invalid response
    +-- ChatRefused        the key, the model's name, the request or the content was refused
    +-- ChatEmpty          an answer without text
    +-- ChatTooLong        the prompt does not fit the model's context

Messages never contain text of the server, which may quote the prompt or the key.
"""

from typing import ClassVar


class ChatError(Exception):
    """The language model gave no usable answer."""

    outcome: ClassVar[str] = "error"
    """Value of the metric label `outcome`."""


class ChatTimeout(ChatError):
    """No answer in the time given."""

    outcome = "timeout"


class ChatUnavailable(ChatError):
    """The server cannot be reached, is overloaded, or does not speak the OpenAI API."""

    outcome = "unavailable"


class ChatRefused(ChatError):
    """The server refused the request or its content; trying again would not help."""

    outcome = "refused"


class ChatEmpty(ChatError):
    """The answer has no text."""

    outcome = "empty"


class ChatTooLong(ChatError):
    """The prompt and its answer do not fit the model's context."""

    outcome = "too_long"
