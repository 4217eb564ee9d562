"""The answerer stage: a prompt to the language model's answer.

The bundle says which model: one that runs in this replica, or one behind the OpenAI API.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from deployments.batching import Batcher, reporting_to
from deployments.errors import AnswererFailed, DeadlineExceeded
from deployments.health import ModelHealth
from deployments.messages import Answer, Call, Message, Prompt
from deployments.metrics import COMPLETION_TOKENS, NO_METERS, PROMPT_TOKENS, Meters
from deployments.settings import AnswererSettings
from models.bundle import Bundle, OpenAiPart
from models.chat import ChatModel, Completion, Turn, load
from models.chat.errors import ChatError, ChatTimeout
from models.chat.openai import OpenAIChat


class LanguageModel(Protocol):
    """Whatever completes a chat."""

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Answer:
        """Return what the model says next."""
        ...

    def check_health(self) -> None:
        """Raise where this replica must be replaced."""
        ...


class LocalModel:
    """A chat model in this process, on several chats at a time."""

    def __init__(
        self,
        model: ChatModel,
        name: str,
        settings: AnswererSettings,
        meters: Meters = NO_METERS,
    ) -> None:
        self._model = model
        self._name = name
        self._max_new_tokens = settings.max_new_tokens
        self._health = ModelHealth()
        self._batcher: Batcher[Sequence[Message], Completion] = Batcher(
            self._health.watch(self._complete),
            max_size=settings.batch.max_size,
            max_waiting=settings.batch.max_waiting,
            observe=reporting_to(meters),
        )
        self._complete([[Message("user", "Warm up.")]])

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Answer:
        """Return what the model says next, greedily.

        Raises:
            AnswererFailed: The chat is longer than the model's context.
        """
        try:
            completion = await self._batcher.submit(messages, timeout_s)
        except ValueError:
            raise AnswererFailed("The prompt is too long for the language model.") from None
        return _answer(completion, self._name)

    def check_health(self) -> None:
        """Return while the model can run."""
        self._health.check()

    def _complete(self, chats: Sequence[Sequence[Message]]) -> list[Completion]:
        return self._model.complete(
            [_turns(chat) for chat in chats], max_new_tokens=self._max_new_tokens
        )


class RemoteModel:
    """A language model behind the OpenAI API; it has its own queue."""

    def __init__(self, chat: OpenAIChat) -> None:
        self._chat = chat

    async def complete(self, messages: Sequence[Message], timeout_s: float) -> Answer:
        """Return what the model says next.

        Raises:
            DeadlineExceeded: It did not answer in time.
            AnswererFailed: It refused, failed or could not be reached.
        """
        try:
            completion = await self._chat.complete(_turns(messages), timeout_s)
        except ChatTimeout as error:
            raise DeadlineExceeded(_sentence(error)) from None
        except ChatError as error:
            raise AnswererFailed(_sentence(error)) from None
        return _answer(completion, self._chat.model)

    def check_health(self) -> None:
        """Return: replacing this replica would not mend a server elsewhere."""


def _turns(messages: Sequence[Message]) -> list[Turn]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _answer(completion: Completion, model: str) -> Answer:
    return Answer(
        text=completion.text,
        model=model,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )


def _sentence(error: ChatError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


LoadAnswerer = Callable[[str, AnswererSettings, Meters], LanguageModel]
"""Takes the bundle's place, the stage's settings and where to report."""


def load_answerer(bundle: str, settings: AnswererSettings, meters: Meters) -> LanguageModel:
    """Return the bundle's language model.

    Raises:
        BundleError: The bundle or its answerer is not on this machine.
    """
    found = Bundle.load(bundle)
    part = found.answerer
    if not isinstance(part, OpenAiPart):
        name = found.revisions()["answerer"]
        return LocalModel(load(found.folder(part), settings.engine), name, settings, meters)
    server = settings.openai
    return RemoteModel(
        OpenAIChat(
            base_url=server.base_url,
            api_key=None if server.api_key is None else server.api_key.get_secret_value(),
            model=server.model or part.openai.model,
            timeout_s=server.timeout_s,
            max_retries=server.max_retries,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
        )
    )


class Answerer:
    """Has a language model answer prompts."""

    def __init__(
        self,
        settings: AnswererSettings,
        bundle: str,
        load: LoadAnswerer = load_answerer,
        meters: Meters = NO_METERS,
    ) -> None:
        self._meters = meters
        self._model = load(bundle, settings, meters)

    async def answer(self, prompt: Prompt, call: Call) -> Answer:
        """Return what the language model says to the prompt.

        Raises:
            AnswererFailed: It refused, failed or could not be reached.
            Overloaded: Too many prompts wait.
            DeadlineExceeded: The call's time has passed.
        """
        answer = await self._model.complete(prompt.messages, call.timeout_s)
        self._meters.record(PROMPT_TOKENS, answer.prompt_tokens)
        self._meters.record(COMPLETION_TOKENS, answer.completion_tokens)
        return answer

    async def check_health(self) -> None:
        """Return while the model can run; Ray replaces the replica when this raises."""
        self._model.check_health()
