"""A language model behind the OpenAI chat completions API, hosted or self-hosted.

Answers are streamed, to measure the time to the first token. The client's retries stay within the
caller's deadline: without that, two retries with back-off could take three times `timeout_s`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from models.chat import Completion, Turn
from models.chat.errors import ChatEmpty, ChatRefused, ChatTimeout, ChatUnavailable

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

MAX_CHARACTERS = 100_000
"""Longest answer; a server that sends more is cut off."""

_OVERLOADED = frozenset({408, 409, 429})


class OpenAIChat:
    """Sends chats to one model of one server.

    Args:
        base_url: Base URL that ends in `/v1`.
        api_key: None means OPENAI_API_KEY of the environment; self-hosted servers often need
            none.
        model: Name of the model on the server.
        timeout_s: Seconds that an attempt may wait for the first byte, and for each further chunk.
        max_retries: Retries after a failed connection, a 408, 409, 429 or 5xx.
        temperature: Sampling temperature; 0 is greedy.
        max_new_tokens: Longest answer, in tokens.
        on_retry: Called for each retry with its number, from 1.
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
        on_retry: Callable[[int], None] = lambda _: None,
    ) -> None:
        import os

        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        async def count(request: httpx.Request) -> None:
            if retry := int(request.headers.get("x-stainless-retry-count", "0")):
                on_retry(retry)

        # The client requires a key, even if the server needs none.
        key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=max_retries,
            http_client=DefaultAsyncHttpxClient(event_hooks={"request": [count]}),
        )
        self._model = model
        self._timeout_s = timeout_s
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens

    @property
    def model(self) -> str:
        """Name of the model on the server."""
        return self._model

    async def complete(
        self,
        messages: Sequence[Turn],
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Completion:
        """Return the model's answer to one chat.

        Args:
            messages: The chat, the user's own question last.
            timeout_s: Seconds for all attempts together.
            headers: Extra HTTP headers.

        Raises:
            ChatTimeout: No answer within `timeout_s`.
            ChatUnavailable: The server could not be reached, or failed.
            ChatRefused: The server refused the request, or its content filter the content.
            ChatEmpty: The answer has no text.
        """
        chat = cast("list[ChatCompletionMessageParam]", [dict(turn) for turn in messages])
        started = time.perf_counter()
        async with _plain_errors(timeout_s):
            stream = await self._client.chat.completions.create(
                model=self._model,
                messages=chat,
                temperature=self._temperature,
                max_completion_tokens=self._max_new_tokens,
                timeout=min(self._timeout_s, timeout_s),
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=headers,
            )
            async with stream:
                return await _read(stream, started)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


@asynccontextmanager
async def _plain_errors(timeout_s: float) -> AsyncIterator[None]:
    """Limit the time, and map the client's errors to ours, without their text."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, APITimeoutError, httpx.TimeoutException):
        raise ChatTimeout("the language model did not answer in time") from None
    except APIConnectionError:
        raise ChatUnavailable("the language model cannot be reached") from None
    except APIStatusError as error:
        raise _of_status(error) from None
    except (OpenAIError, httpx.HTTPError, ValueError):
        # HTTPError: the connection broke between two chunks. ValueError: one is not JSON.
        raise ChatUnavailable("the language model's server gave no usable reply") from None


def _of_status(error: "APIStatusError") -> ChatRefused | ChatUnavailable:
    status = error.status_code
    if status >= 500 or status in _OVERLOADED:
        return ChatUnavailable(f"the language model's server answered with status {status}")
    return ChatRefused(f"the language model's server refused the request with status {status}")


async def _read(stream: "AsyncStream[ChatCompletionChunk]", started: float) -> Completion:
    text, tokens, first_token_s, has_choice = "", (0, 0), None, False
    # Not every server follows the schema, and the client does not check it.
    piece: Any
    async for piece in stream:
        if usage := getattr(piece, "usage", None):
            tokens = (usage.prompt_tokens, usage.completion_tokens)
        if choices := getattr(piece, "choices", None):
            has_choice = True
            text += _written(choices[0])
        if text and first_token_s is None:
            first_token_s = time.perf_counter() - started
        if len(text) > MAX_CHARACTERS:
            raise ChatUnavailable("the language model does not stop writing")
    if not has_choice:
        raise ChatUnavailable("the language model's server gave no usable reply")
    if not text.strip():
        raise ChatEmpty("the language model answered with no text")
    return Completion(text.strip(), *tokens, first_token_s)


def _written(choice: Any) -> str:  # noqa: ANN401
    """Return the text of one chunk."""
    delta = getattr(choice, "delta", None)
    if delta is None:
        raise ChatUnavailable("the language model's server gave no usable reply")
    if getattr(choice, "finish_reason", None) == "content_filter" or getattr(
        delta, "refusal", None
    ):
        raise ChatRefused("the language model declined to answer")
    return getattr(delta, "content", None) or ""
