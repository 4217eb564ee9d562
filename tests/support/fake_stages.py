"""A pipeline whose stages answer at once, fail or hang as a test says, and count their calls."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from deployments.assembler import assemble
from deployments.messages import Answer, Call, Embeddings, Example, Photo, Prompt, Tag
from deployments.settings import AssemblerSettings
from deployments.stages import STAGES, Stage
from models.pixels import decode_jpeg
from serve.pipeline import Pipeline
from serve.settings import Degrade

T = TypeVar("T")

CAPTION = "a person with black hair in a red shirt."
TAG = Tag("mug", 0.9, (10.0, 20.0, 110.0, 120.0))
EXAMPLE = Example("e1", "a person in a blue shirt.", ("person",), "how many people?", "one", 0.8)


class FakeStages:
    """Holds what each stage was called with, and what it does instead of its work."""

    def __init__(self) -> None:
        self.calls: dict[Stage, list[tuple[Any, ...]]] = {}
        self.started: Counter[Stage] = Counter()
        self.cancelled: Counter[Stage] = Counter()
        self.finished: Counter[Stage] = Counter()
        self.instead: dict[Stage, Callable[[], Awaitable[Any]]] = {}

    def pipeline(self, degrade: Degrade | None = None) -> Pipeline:
        async def healthy(stage: Stage) -> None:
            if stage in self.instead:
                await self.instead[stage]()

        def check(stage: Stage) -> Callable[[Call], Awaitable[object]]:
            return lambda _: healthy(stage)

        return Pipeline(
            caption=self.caption,
            tag=self.tag,
            retrieve=self.retrieve,
            assemble=self.assemble,
            answer=self.answer,
            embed=self.embed,
            checks={stage: check(stage) for stage in STAGES},
            degrade=degrade or Degrade(),
        )

    async def caption(self, photo: Photo, call: Call) -> str:
        return await self._run("captioner", CAPTION, photo, call)

    async def tag(self, photo: Photo, call: Call) -> tuple[Tag, ...]:
        return await self._run("tagger", (TAG,), photo, call)

    async def retrieve(
        self, photo: Photo | None, question: str | None, k: int, call: Call
    ) -> tuple[Example, ...]:
        found = [
            dataclasses.replace(EXAMPLE, id=f"e{n}", similarity=0.9 - n / 1000) for n in range(k)
        ]
        return await self._run("retriever", tuple(found), photo, question, k, call)

    async def assemble(
        self,
        caption: str,
        tags: Sequence[str],
        question: str,
        examples: Sequence[Example],
        call: Call,
    ) -> Prompt:
        prompt = assemble(
            AssemblerSettings(), caption=caption, tags=tags, question=question, examples=examples
        )
        return await self._run("assembler", prompt, caption, tags, question, examples, call)

    async def answer(self, prompt: Prompt, call: Call) -> Answer:
        return await self._run("answerer", Answer("two", "fake", 10, 1), prompt, call)

    async def embed(self, photos: Sequence[Photo], texts: Sequence[str], call: Call) -> Embeddings:
        widths = [decode_jpeg(photo).shape[1] for photo in photos]
        made = Embeddings(
            photos=tuple((float(width), 0.0) for width in widths),
            texts=tuple((0.0, float(len(text))) for text in texts),
        )
        return await self._run("retriever", made, photos, texts, call)

    async def _run(self, stage: Stage, value: T, *arguments: Any) -> T:
        self.calls.setdefault(stage, []).append(arguments)
        self.started[stage] += 1
        try:
            if stage in self.instead:
                await self.instead[stage]()
        except asyncio.CancelledError:
            self.cancelled[stage] += 1
            raise
        self.finished[stage] += 1
        return value


def failing(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def fail() -> None:
        raise error

    return fail


async def hang() -> None:
    await asyncio.sleep(3600)
