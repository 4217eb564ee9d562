"""Language models of the answerer: local, or behind the OpenAI API.

Both report the same metrics, so that graphs continue when one replaces the other.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from deployments.batching import Batcher, metered_batcher
from deployments.calls import CANCELLED, outcome
from deployments.errors import DeadlineExceeded, Overloaded
from deployments.health import ModelHealth
from deployments.messages import Message
from deployments.settings import AnswererSettings, Price
from deployments.telemetry.metrics import (
    LLM_COMPLETION_TOKENS,
    LLM_COST_DOLLARS,
    LLM_FIRST_TOKEN_SECONDS,
    LLM_PROMPT_TOKENS,
    LLM_REQUESTS,
    LLM_SECONDS,
    Meters,
)
from deployments.telemetry.traces import current
from models.chat import ChatModel, Completion, Turn
from models.chat.errors import ChatError, ChatTooLong


class LanguageModel(Protocol):
    """A chat model with a name for metrics and prices."""

    @property
    def name(self) -> str:
        """Name in metrics and prices."""
        ...

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return the completion.

        Raises:
            ChatError: The model gave no usable answer.
            Overloaded: The queue is full.
            DeadlineExceeded: `timeout_s` has passed while the prompt was queued.
        """
        ...

    def check_health(self) -> None:
        """Raise if this replica must be replaced."""
        ...


class LocalModel:
    """A chat model in this process, run on batches of chats."""

    def __init__(
        self, model: ChatModel, name: str, settings: AnswererSettings, meters: Meters
    ) -> None:
        self._model, self._name = model, name
        self._max_new_tokens = settings.max_new_tokens
        self._health = ModelHealth()
        self._batcher: Batcher[Sequence[Message], Completion] = metered_batcher(
            self._health.watch(self._complete), settings.batch, meters
        )
        self._complete([[Message("user", "Warm up.")]])

    @property
    def name(self) -> str:
        """Name of the model in the bundle, with its revision."""
        return self._name

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return the completion, decoded greedily."""
        try:
            return await self._batcher.submit(messages, timeout_s)
        except ValueError:
            raise ChatTooLong("the prompt is too long for the language model") from None

    def check_health(self) -> None:
        """Return while the model can run."""
        self._health.check()

    def _complete(self, chats: Sequence[Sequence[Message]]) -> list[Completion]:
        return self._model.complete(
            [turns(chat) for chat in chats], max_new_tokens=self._max_new_tokens
        )


class RemoteChat(Protocol):
    """`models.chat.openai.OpenAIChat`, which has its own connections and retries."""

    @property
    def model(self) -> str:
        """Name of the model on the server."""
        ...

    async def complete(
        self,
        messages: Sequence[Turn],
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Completion:
        """Return the model's answer to one chat."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class RemoteModel:
    """A language model behind the OpenAI API; the server queues its requests."""

    def __init__(self, chat: RemoteChat) -> None:
        self._chat = chat

    @property
    def name(self) -> str:
        """Name of the model on the server."""
        return self._chat.model

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return the completion."""
        trace = current().context
        headers = None if trace is None else trace.headers()
        return await self._chat.complete(turns(messages), timeout_s, headers)

    def check_health(self) -> None:
        """Do nothing: replacing this replica does not help a remote server."""

    async def close(self) -> None:
        """Close the connections."""
        await self._chat.close()


def turns(messages: Sequence[Message]) -> list[Turn]:
    """Return the messages in the format of the OpenAI API."""
    return [{"role": message.role, "content": message.content} for message in messages]


@asynccontextmanager
async def reported(
    model: str, price: Price | None, meters: Meters
) -> AsyncIterator[Callable[[Completion], None]]:
    """Record metrics and span of one prompt; pass the completion to the yielded function."""
    result, started = "ok", time.perf_counter()
    labels = {"model": model}
    about = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    with current().child(f"chat {model}", "client", about) as span:

        def done(completion: Completion) -> None:
            read, written = completion.prompt_tokens, completion.completion_tokens
            meters.record(LLM_PROMPT_TOKENS, read, labels)
            meters.record(LLM_COMPLETION_TOKENS, written, labels)
            span.set({"gen_ai.usage.input_tokens": read, "gen_ai.usage.output_tokens": written})
            if completion.first_token_s is not None:
                meters.record(LLM_FIRST_TOKEN_SECONDS, completion.first_token_s, labels)
            if price is not None:
                meters.record(LLM_COST_DOLLARS, price.of(read, written), labels)

        try:
            yield done
        except BaseException as error:
            result = _outcome(error)
            span.fail(result)
            raise
        finally:
            meters.record(LLM_REQUESTS, labels={**labels, "outcome": result})
            meters.record(LLM_SECONDS, time.perf_counter() - started, labels)


def _outcome(error: BaseException) -> str:
    if isinstance(error, ChatError):
        return error.outcome
    return _OUTCOMES.get(outcome(error), "error")


_OUTCOMES: Mapping[str, str] = {
    DeadlineExceeded.code: "timeout",
    Overloaded.code: "overloaded",
    CANCELLED: "cancelled",
}
"""Outcome of a prompt in metrics, by the outcome of its call."""
