"""The answerer stage: a prompt to the language model's answer.

The bundle names the model: one that runs in this replica, or one behind the OpenAI API.
"""

from collections.abc import Callable

from deployments.calls import received
from deployments.errors import AnswererFailed, DeadlineExceeded
from deployments.language_models import LanguageModel, LocalModel, RemoteModel, reported
from deployments.messages import Answer, Call, Prompt
from deployments.settings import AnswererSettings
from deployments.telemetry.metrics import LLM_RETRIES, NO_METERS, Meters
from deployments.telemetry.traces import NO_TRACER, Tracer, current
from deployments.thread_priority import load_in_model_thread
from models.bundle import Bundle, OpenAiPart
from models.chat import load
from models.chat.errors import ChatError, ChatTimeout
from models.chat.openai import OpenAIChat

LoadAnswerer = Callable[[str, AnswererSettings, Meters], LanguageModel]
"""Takes the path of the bundle, the stage's settings and the metrics."""


def load_answerer(bundle: str, settings: AnswererSettings, meters: Meters) -> LanguageModel:
    """Return the bundle's language model.

    Raises:
        BundleError: The bundle or its answerer is not on this machine.
    """
    found = Bundle.load(bundle)
    part = found.answerer
    if not isinstance(part, OpenAiPart):
        name = found.revisions()["answerer"]
        chat = load_in_model_thread(
            settings.batch.niceness, load, found.folder(part), settings.engine
        )
        return LocalModel(chat, name, settings, meters)
    server = settings.openai
    model = server.model or part.openai.model
    return RemoteModel(
        OpenAIChat(
            base_url=server.base_url,
            api_key=None if server.api_key is None else server.api_key.get_secret_value(),
            model=model,
            timeout_s=server.timeout_s,
            max_retries=server.max_retries,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            on_retry=lambda number: _report_retry(number, model, meters),
        )
    )


class Answerer:
    """Answers prompts with a language model."""

    def __init__(
        self,
        settings: AnswererSettings,
        bundle: str,
        load: LoadAnswerer = load_answerer,
        meters: Meters = NO_METERS,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._meters, self._tracer = meters, tracer
        self._model = load(bundle, settings, meters)
        self._price = settings.prices.get(self._model.name)

    async def answer(self, prompt: Prompt, call: Call) -> Answer:
        """Return the language model's answer.

        Raises:
            AnswererFailed: It refused, failed or could not be reached.
            Overloaded: The queue is full.
            DeadlineExceeded: The call's time has passed.
        """
        name = self._model.name
        async with received("answerer", call, self._tracer):
            try:
                async with reported(name, self._price, self._meters) as done:
                    completion = await self._model.complete(prompt.messages, call.timeout_s)
                    done(completion)
            except ChatTimeout as error:
                raise DeadlineExceeded(_sentence(error)) from None
            except ChatError as error:
                raise AnswererFailed(_sentence(error)) from None
        return Answer(
            text=completion.text,
            model=name,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
        )

    async def check_health(self) -> None:
        """Return while the model can run; Ray replaces the replica when this raises."""
        self._model.check_health()


def _report_retry(number: int, model: str, meters: Meters) -> None:
    meters.record(LLM_RETRIES, labels={"model": model})
    current().set({"http.request.resend_count": number})


def _sentence(error: ChatError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
