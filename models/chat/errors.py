"""What a language model behind a network can do wrong.

    ChatError
    +-- ChatTimeout        no answer in the time given
    +-- ChatUnavailable    not reachable, overloaded, broken, or answering nonsense
    +-- ChatRefused        the key, the model's name, the request or the content was refused
    +-- ChatEmpty          an answer without text

Messages hold nothing of what the server sent: it may quote the prompt or the key.
"""


class ChatError(Exception):
    """The language model gave no usable answer."""


class ChatTimeout(ChatError):
    """No answer in the time given."""


class ChatUnavailable(ChatError):
    """The server cannot be reached, is overloaded, or does not speak the OpenAI API."""


class ChatRefused(ChatError):
    """The server refused the request or its content; trying again would not help."""


class ChatEmpty(ChatError):
    """The answer has no text."""
