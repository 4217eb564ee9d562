"""What the answerer asks: a model in this replica, or one behind the OpenAI API.

Both report the same metrics, so that a change from one to the other keeps its graphs.
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
    """Whatever completes a chat."""

    @property
    def name(self) -> str:
        """As metrics and prices name it."""
        ...

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return what the model says next.

        Raises:
            ChatError: It gave no usable answer.
            Overloaded: Too many prompts wait.
            DeadlineExceeded: `timeout_s` has passed while the prompt waited.
        """
        ...

    def check_health(self) -> None:
        """Raise where this replica must be replaced."""
        ...


class LocalModel:
    """A chat model in this process, on several chats at a time."""

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
        """The bundle's name of the model, with its revision."""
        return self._name

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return what the model says next, greedily."""
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
        """The server's name of the model."""
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
    """A language model behind the OpenAI API; it has its own queue."""

    def __init__(self, chat: RemoteChat) -> None:
        self._chat = chat

    @property
    def name(self) -> str:
        """The server's name of the model."""
        return self._chat.model

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Completion:
        """Return what the model says next."""
        trace = current().context
        headers = None if trace is None else trace.headers()
        return await self._chat.complete(turns(messages), timeout_s, headers)

    def check_health(self) -> None:
        """Return: replacing this replica would not mend a server elsewhere."""

    async def close(self) -> None:
        """Close the connections."""
        await self._chat.close()


def turns(messages: Sequence[Message]) -> list[Turn]:
    """Return the messages as the OpenAI API has them."""
    return [{"role": message.role, "content": message.content} for message in messages]


@asynccontextmanager
async def reported(
    model: str, price: Price | None, meters: Meters
) -> AsyncIterator[Callable[[Completion], None]]:
    """Report what becomes of one prompt; give what comes back to the value of this context."""
    became, started = "ok", time.perf_counter()
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
            became = _outcome(error)
            span.fail(became)
            raise
        finally:
            meters.record(LLM_REQUESTS, labels={**labels, "outcome": became})
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
"""What became of a prompt, by how its call ended."""
