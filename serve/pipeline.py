"""Orchestration of one question: order, deadlines and degradation of stages.

It knows neither Ray nor HTTP: a deployment handle's call, a plain class in this process and a
test's fake have the same signature.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from deployments.calls import code_of, within
from deployments.errors import AdmirerError, BadRequest
from deployments.messages import (
    Answer,
    Call,
    Embeddings,
    Example,
    Photo,
    Prompt,
    Tag,
)
from deployments.stages import STAGES, Stage
from deployments.telemetry.logs import fields
from deployments.telemetry.metrics import DEGRADED_ANSWERS, NO_METERS, Meters
from deployments.telemetry.traces import STAGE, current
from serve.settings import Degrade

OPTIONAL_SHARE = 0.5
"""Share of the time left that an optional stage may take. A stage that hangs must leave time for
the language model, or the degraded answer would come too late."""

_NO_TAGS: tuple[Tag, ...] = ()
_NO_EXAMPLES: tuple[Example, ...] = ()

logger = logging.getLogger("ray.serve")

Value = TypeVar("Value")

Caption = Callable[[Photo, Call], Awaitable[str]]
TagPhoto = Callable[[Photo, Call], Awaitable[tuple[Tag, ...]]]
Retrieve = Callable[[Photo | None, str | None, int, Call], Awaitable[tuple[Example, ...]]]
"""Takes photo, question (one of them may be None) and how many examples, most similar first."""
Assemble = Callable[[str, Sequence[str], str, Sequence[Example], Call], Awaitable[Prompt]]
"""Takes caption, labels left to right, question and examples."""
AnswerPrompt = Callable[[Prompt, Call], Awaitable[Answer]]
Embed = Callable[[Sequence[Photo], Sequence[str], Call], Awaitable[Embeddings]]
Check = Callable[[Call], Awaitable[object]]
"""Raises an AdmirerError if the stage is not ready."""


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """An answer and its inputs."""

    answer: Answer
    caption: str
    tags: tuple[Tag, ...]
    """Boxes are in pixels of the photo that the stages saw."""
    examples: tuple[Example, ...]
    """Those in the prompt, most similar first."""
    prompt: Prompt
    timings_ms: Mapping[str, float]
    """caption, tag, retrieve, assemble, answer, total; 0 for what did not run."""
    degraded: tuple[Stage, ...]
    """Stages that failed; the answer was made without them."""


@dataclass(frozen=True)
class Pipeline:
    """The five stages as async callables; nothing on it changes between requests.

    Each gets a `Call` with the time that it may take. A stage raises AdmirerError; any other error
    counts as a bug and is logged.
    """

    caption: Caption
    tag: TagPhoto
    retrieve: Retrieve
    assemble: Assemble
    answer: AnswerPrompt
    embed: Embed
    checks: Mapping[Stage, Check] = field(default_factory=dict)
    degrade: Degrade = field(default_factory=Degrade)
    meters: Meters = NO_METERS

    async def ask(
        self,
        photo: Photo,
        question: str,
        *,
        n_shot: int,
        call: Call,
        timings_ms: MutableMapping[str, float] | None = None,
    ) -> AnsweredQuestion:
        """Answer a question about a photo.

        Captioner, tagger and retriever run at the same time, then the assembler, then the
        answerer. Cancelling this cancels the running stages.

        Args:
            photo: JPEG that the ingress has checked.
            question: Checked text.
            n_shot: Solved examples in the prompt; 0 asks the retriever nothing.
            call: Request id and the time that the whole answer may take.
            timings_ms: Filled with each stage's duration, also when the request fails.

        Raises:
            DeadlineExceeded: The call's time has passed.
            AdmirerError: A stage failed that is not optional.
        """
        degrade = self.degrade
        run = _Run(call, {} if timings_ms is None else timings_ms, degrade.timeout_s)
        try:
            async with asyncio.TaskGroup() as together:
                captioning = together.create_task(
                    run.stage(
                        "captioner",
                        lambda call: self.caption(photo, call),
                        otherwise="" if degrade.captioner else None,
                    )
                )
                tagging = together.create_task(
                    run.stage(
                        "tagger",
                        lambda call: self.tag(photo, call),
                        otherwise=_NO_TAGS if degrade.tagger else None,
                    )
                )
                retrieving = together.create_task(
                    run.stage(
                        "retriever",
                        lambda call: self._find(photo, question, n_shot, call),
                        otherwise=_NO_EXAMPLES if degrade.retriever else None,
                    )
                )
        except BaseExceptionGroup as errors:
            # The first is the cause; the others failed while they were being cancelled.
            raise errors.exceptions[0] from None
        caption, tags, examples = captioning.result(), tagging.result(), retrieving.result()
        labels = [tag.label for tag in tags]
        prompt = await run.stage(
            "assembler", lambda call: self.assemble(caption, labels, question, examples, call)
        )
        answer = await run.stage("answerer", lambda call: self.answer(prompt, call))
        for stage in run.degraded:
            self.meters.record(DEGRADED_ANSWERS, labels={"stage": stage})
        return AnsweredQuestion(
            answer=answer,
            caption=caption,
            tags=tags,
            examples=tuple(each for each in examples if each.id in prompt.examples_used),
            prompt=prompt,
            timings_ms=run.timings_ms(),
            degraded=tuple(stage for stage in STAGES if stage in run.degraded),
        )

    async def unready(self, call: Call) -> tuple[Stage, ...]:
        """Return the stages that are not ready."""
        errors = await asyncio.gather(
            *(_checked(check, call) for check in self.checks.values()), return_exceptions=True
        )
        for stage, error in zip(self.checks, errors, strict=True):
            if isinstance(error, Exception) and not isinstance(error, AdmirerError):
                logger.error("The check of the %s failed.", stage, exc_info=error)
        return tuple(
            stage
            for stage, error in zip(self.checks, errors, strict=True)
            if isinstance(error, BaseException)
        )

    async def _find(
        self, photo: Photo, question: str, n_shot: int, call: Call
    ) -> tuple[Example, ...]:
        return await self.retrieve(photo, question, n_shot, call) if n_shot else ()


class _Run:
    """Deadline, timings and degraded stages of one question."""

    def __init__(self, call: Call, took_ms: MutableMapping[str, float], optional_s: float) -> None:
        self._call, self._took_ms, self._optional_s = call, took_ms, optional_s
        self._started = time.perf_counter()
        self._took_ms.update({entry.method: 0.0 for entry in STAGES.values()})
        self.degraded: set[Stage] = set()

    async def stage(
        self,
        stage: Stage,
        start: Callable[[Call], Awaitable[Value]],
        otherwise: Value | None = None,
    ) -> Value:
        """Return the stage's value, or `otherwise` if it fails; None re-raises."""
        left_s = self._call.timeout_s - (time.perf_counter() - self._started)
        if otherwise is not None:
            left_s = min(left_s * OPTIONAL_SHARE, self._optional_s)
        started = time.perf_counter()
        with current().child(stage, "client", {STAGE: stage}) as span:
            try:
                async with within(left_s):
                    return await start(replace(self._call, timeout_s=left_s))
            except BadRequest:
                raise
            except Exception as error:
                if otherwise is None:
                    raise
                span.fail(code_of(error))
                self._note(stage, error)
                return otherwise
            finally:
                self._took_ms[STAGES[stage].method] = _since_ms(started)

    def timings_ms(self) -> Mapping[str, float]:
        took_ms = {entry.method: self._took_ms[entry.method] for entry in STAGES.values()}
        return {**took_ms, "total": _since_ms(self._started)}

    def _note(self, stage: Stage, error: Exception) -> None:
        self.degraded.add(stage)
        logger.warning(
            "Request %s goes on without the %s: %s.",
            self._call.request_id,
            stage,
            type(error).__name__,
            exc_info=None if isinstance(error, AdmirerError) else error,
            extra=fields(
                request_id=self._call.request_id, stage=stage, code=code_of(error), degraded=True
            ),
        )


async def _checked(check: Check, call: Call) -> None:
    async with within(call.timeout_s):
        await check(call)


def _since_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
