"""A language model behind the OpenAI chat completions API, hosted or self-hosted.

The client's own retries stay inside the caller's time: without the outer limit two retries
with back-off could take three times `timeout_s`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from models.chat import Completion, Turn
from models.chat.errors import ChatEmpty, ChatRefused, ChatTimeout, ChatUnavailable

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

_OVERLOADED = frozenset({408, 409, 429})


class OpenAIChat:
    """Sends chats to one model of one server.

    Args:
        base_url: Address that ends in `/v1`.
        api_key: None takes OPENAI_API_KEY from the environment; servers of one's own often
            want none.
        model: The server's name of the model.
        timeout_s: Of one attempt.
        max_retries: Further attempts after a failed connection, a 408, 409, 429 or 5xx.
        temperature: 0 is the likeliest text.
        max_new_tokens: Most tokens of an answer.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        model: str,
        timeout_s: float,
        max_retries: int,
        temperature: float,
        max_new_tokens: int,
    ) -> None:
        import os

        from openai import AsyncOpenAI

        # The client refuses to be made without a key, also where the server wants none.
        key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._client = AsyncOpenAI(base_url=base_url, api_key=key, max_retries=max_retries)
        self._model = model
        self._timeout_s = timeout_s
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens

    @property
    def model(self) -> str:
        """The server's name of the model."""
        return self._model

    async def complete(self, messages: Sequence[Turn], timeout_s: float) -> Completion:
        """Return the model's answer to one chat.

        Args:
            messages: The chat, the user's own question last.
            timeout_s: Time for all attempts together.

        Raises:
            ChatTimeout: No answer within `timeout_s`.
            ChatUnavailable: The server could not be reached or did not work.
            ChatRefused: The server refused the request, or its content filter the content.
            ChatEmpty: The answer has no text.
        """
        chat = cast("list[ChatCompletionMessageParam]", [dict(turn) for turn in messages])
        async with _plain_errors(timeout_s):
            reply = await self._client.chat.completions.create(
                model=self._model,
                messages=chat,
                temperature=self._temperature,
                max_completion_tokens=self._max_new_tokens,
                timeout=min(self._timeout_s, timeout_s),
            )
        return _completion(reply)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


@asynccontextmanager
async def _plain_errors(timeout_s: float) -> AsyncIterator[None]:
    """Bound the time, and turn the client's errors into ours without their text."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, APITimeoutError):
        raise ChatTimeout("the language model did not answer in time") from None
    except APIConnectionError:
        raise ChatUnavailable("the language model cannot be reached") from None
    except APIStatusError as error:
        raise _of_status(error) from None
    except (OpenAIError, ValueError):
        # ValueError: the body is not JSON.
        raise ChatUnavailable("the language model's server gave no usable reply") from None


def _of_status(error: "APIStatusError") -> ChatRefused | ChatUnavailable:
    status = error.status_code
    if status >= 500 or status in _OVERLOADED:
        return ChatUnavailable(f"the language model's server answered with status {status}")
    return ChatRefused(f"the language model's server refused the request with status {status}")


def _completion(reply: "ChatCompletion") -> Completion:
    # Not every server follows the schema, and the client does not check it.
    choices: Any = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        raise ChatUnavailable("the language model's server gave no usable reply")
    if choices[0].finish_reason == "content_filter" or getattr(message, "refusal", None):
        raise ChatRefused("the language model declined to answer")
    text = (message.content or "").strip()
    if not text:
        raise ChatEmpty("the language model answered with no text")
    usage = reply.usage
    return Completion(
        text=text,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
