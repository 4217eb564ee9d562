import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.fake_meters import FakeMeters

from bank.examples import Example
from bank.index import ExampleBank
from bank.vectors import BankVectors, MadeBy
from deployments.answerer import Answerer
from deployments.captioner import Captioner
from deployments.errors import (
    AnswererFailed,
    BadImage,
    BadQuestion,
    DeadlineExceeded,
    ModelNotReady,
)
from deployments.language_models import LocalModel, RemoteModel
from deployments.messages import Call, Message, Photo, Prompt
from deployments.retriever import Retrieval, Retriever
from deployments.settings import (
    AnswererSettings,
    CaptionerSettings,
    Price,
    RetrieverSettings,
)
from deployments.telemetry.metrics import (
    LLM_COMPLETION_TOKENS,
    LLM_COST_DOLLARS,
    LLM_PROMPT_TOKENS,
    LLM_REQUESTS,
    NO_METERS,
    Meters,
)
from models.chat import Completion
from models.chat.errors import ChatEmpty, ChatError, ChatRefused, ChatTimeout, ChatUnavailable
from models.pixels import Rgb

CALL = Call("r1", 5)
PROMPT = Prompt((Message("system", "Answer."), Message("user", "Question: what?")), ())


def jpeg(width: int) -> Photo:
    file = io.BytesIO()
    Image.new("RGB", (width, 48), "red").save(file, "JPEG")
    return Photo(file.getvalue())


@dataclass
class FakeCaptions:
    batches: list[int] = field(default_factory=list)
    error: Exception | None = None

    def caption(self, photos: Sequence[Rgb]) -> list[str]:
        self.batches.append(len(photos))
        if self.error and len(self.batches) > 1:
            raise self.error
        return [f"a photo {photo.shape[1]} wide" for photo in photos]

    def caption_ids(self, photos: Sequence[Rgb]) -> list[list[int]]:
        raise NotImplementedError


async def test_photos_that_come_together_are_captioned_each_with_its_own() -> None:
    model = FakeCaptions()
    captioner = Captioner(CaptionerSettings(), "demo", lambda *_: model)
    captions = await asyncio.gather(
        *(captioner.caption(jpeg(width), CALL) for width in (50, 60, 70))
    )
    assert captions == ["a photo 50 wide", "a photo 60 wide", "a photo 70 wide"]
    assert sum(model.batches[1:]) == 3


async def test_a_broken_photo_is_refused_before_the_model_sees_it() -> None:
    model = FakeCaptions()
    captioner = Captioner(CaptionerSettings(), "demo", lambda *_: model)
    with pytest.raises(BadImage):
        await captioner.caption(Photo(b"no photo"), CALL)
    with pytest.raises(BadImage):
        await captioner.caption(Photo(jpeg(64)[:-200]), CALL)
    assert model.batches == [1]


def test_a_model_that_cannot_warm_up_is_never_ready() -> None:
    class Broken(FakeCaptions):
        def caption(self, photos: Sequence[Rgb]) -> list[str]:
            raise RuntimeError("no kernel for this GPU")

    with pytest.raises(RuntimeError, match="no kernel"):
        Captioner(CaptionerSettings(), "demo", lambda *_: Broken())


async def test_a_stage_that_has_lost_its_gpu_asks_to_be_replaced() -> None:
    model = FakeCaptions(error=RuntimeError("CUDA error: an illegal memory access"))
    captioner = Captioner(CaptionerSettings(), "demo", lambda *_: model)
    await captioner.check_health()
    with pytest.raises(RuntimeError):
        await captioner.caption(jpeg(64), CALL)
    with pytest.raises(ModelNotReady):
        await captioner.check_health()


@dataclass
class FakeClip:
    """Photos are along the first axis, texts along the second."""

    photos: int = 0
    texts: int = 0

    def embed_photos(self, photos: Sequence[Rgb]) -> Any:
        self.photos += len(photos)
        return np.eye(4, dtype=np.float32)[[0] * len(photos)]

    def embed_texts(self, texts: Sequence[str]) -> Any:
        self.texts += len(texts)
        return np.eye(4, dtype=np.float32)[[1] * len(texts)]


def bank() -> ExampleBank:
    axes, rows = np.eye(4, dtype=np.float32), np.arange(4, dtype=np.int32)
    return ExampleBank(
        [Example(f"e{row}", "a room", (), f"what is {row}?", str(row)) for row in rows],
        BankVectors(
            image=axes,
            prints=np.zeros((4, 64), np.uint8),
            text=axes,
            photo=rows,
            question=rows,
            made_by=MadeBy("fake", "1"),
        ),
    )


def retriever(model: FakeClip, **settings: Any) -> Retriever:
    made = Retriever(RetrieverSettings(**settings), "demo", lambda *_: Retrieval(model, bank()))
    model.photos = model.texts = 0
    return made


async def test_examples_are_found_by_photo_and_question_together() -> None:
    found = await retriever(FakeClip()).retrieve(jpeg(64), "what?", 2, CALL)
    assert {example.id for example in found} == {"e0", "e1"}
    assert [example.similarity for example in found] == [0.5, 0.5]


async def test_a_photo_alone_or_a_question_alone_finds_examples_too() -> None:
    stage = retriever(FakeClip())
    assert (await stage.retrieve(jpeg(64), None, 1, CALL))[0].id == "e0"
    assert (await stage.retrieve(None, "what?", 1, CALL))[0].id == "e1"


@pytest.mark.parametrize(
    ("similarity", "photos", "texts"),
    [("image_question", 1, 1), ("image", 1, 0), ("question", 0, 1), ("random", 0, 0)],
)
async def test_only_what_is_compared_is_embedded(similarity: str, photos: int, texts: int) -> None:
    model = FakeClip()
    found = await retriever(model, similarity=similarity).retrieve(jpeg(64), "what?", 2, CALL)
    assert len(found) == 2
    assert (model.photos, model.texts) == (photos, texts)


async def test_a_search_for_nothing_is_a_bad_question() -> None:
    with pytest.raises(BadQuestion):
        await retriever(FakeClip()).retrieve(None, None, 2, CALL)


async def test_a_bundle_without_a_bank_has_no_examples() -> None:
    stage = Retriever(
        RetrieverSettings(), "hub", lambda *_: Retrieval(FakeClip(), ExampleBank.empty())
    )
    assert await stage.retrieve(jpeg(64), "what?", 4, CALL) == ()


class Measuring(FakeClip):
    """Gives each photo and text a vector of its own: its width, or its length."""

    def embed_photos(self, photos: Sequence[Rgb]) -> Any:
        return np.array([[photo.shape[1], 0] for photo in photos], np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.array([[0, len(text)] for text in texts], np.float32)


async def test_embeddings_come_in_the_order_of_what_they_are_of() -> None:
    photos, texts = [jpeg(60), jpeg(50), jpeg(70)], ["two", "a", "question"]
    found = await retriever(Measuring()).embed(photos, texts, CALL)
    assert list(found.photos) == [(60, 0), (50, 0), (70, 0)]
    assert list(found.texts) == [(0, 3), (0, 1), (0, 8)]


class FakeChat:
    """Repeats the last message; a chat of more than three messages is too long for it."""

    def complete(self, chats: Sequence[Sequence[Any]], *, max_new_tokens: int) -> list[Completion]:
        if any(len(chat) > 3 for chat in chats):
            raise ValueError("too long")
        return [Completion(chat[-1]["content"], len(chat), max_new_tokens) for chat in chats]

    def count_tokens(self, chat: Sequence[Any]) -> int:
        return len(chat)


def local(settings: AnswererSettings, meters: Meters = NO_METERS) -> Answerer:
    return Answerer(
        settings, "demo", lambda *_: LocalModel(FakeChat(), "fake", settings, meters), meters=meters
    )


async def test_a_local_model_answers_the_last_message() -> None:
    answer = await local(AnswererSettings(max_new_tokens=7)).answer(PROMPT, CALL)
    assert (answer.text, answer.model) == ("Question: what?", "fake")
    assert (answer.prompt_tokens, answer.completion_tokens) == (2, 7)


async def test_a_prompt_that_is_too_long_fails_alone() -> None:
    meters = FakeMeters()
    answerer = local(AnswererSettings(), meters)
    long = Prompt(PROMPT.messages * 2, ())
    fine, failed = await asyncio.gather(
        answerer.answer(PROMPT, CALL), answerer.answer(long, CALL), return_exceptions=True
    )
    assert not isinstance(fine, BaseException)
    assert isinstance(failed, AnswererFailed)
    outcomes = {labels["outcome"] for _, labels in meters.of(LLM_REQUESTS)}
    assert outcomes == {"ok", "too_long"}


async def test_tokens_are_counted_and_cost_what_the_settings_say() -> None:
    meters = FakeMeters()
    price = Price(prompt_dollars_per_million=1e6, completion_dollars_per_million=2e6)
    settings = AnswererSettings(max_new_tokens=7, prices={"fake": price, "other": price})
    await local(settings, meters).answer(PROMPT, CALL)
    labels = {"model": "fake"}
    assert meters.of(LLM_PROMPT_TOKENS) == [(2, labels)]
    assert meters.of(LLM_COMPLETION_TOKENS) == [(7, labels)]
    assert meters.of(LLM_COST_DOLLARS) == [(2 * 1 + 7 * 2, labels)]


async def test_a_model_without_a_price_reports_no_cost() -> None:
    meters = FakeMeters()
    await local(AnswererSettings(), meters).answer(PROMPT, CALL)
    assert meters.of(LLM_REQUESTS) == [(1, {"model": "fake", "outcome": "ok"})]
    assert not meters.of(LLM_COST_DOLLARS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ChatTimeout("the language model did not answer in time"), DeadlineExceeded),
        (ChatUnavailable("the language model cannot be reached"), AnswererFailed),
        (ChatRefused("the language model declined to answer"), AnswererFailed),
        (ChatEmpty("the language model answered with no text"), AnswererFailed),
    ],
)
async def test_what_a_remote_model_does_wrong_becomes_our_error(
    error: ChatError, expected: type[Exception]
) -> None:
    meters = FakeMeters()

    class Failing:
        model = "far away"

        async def complete(self, *_: object) -> Completion:
            raise error

        async def close(self) -> None:
            """Return."""

    answerer = Answerer(AnswererSettings(), "hub", lambda *_: RemoteModel(Failing()), meters)
    with pytest.raises(expected, match=str(error)[4:]):
        await answerer.answer(PROMPT, CALL)
    await answerer.check_health()
    assert meters.of(LLM_REQUESTS) == [(1, {"model": "far away", "outcome": error.outcome})]
