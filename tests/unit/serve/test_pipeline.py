import asyncio
import time

import pytest
from support.fake_stages import CAPTION, TAG, FakeStages, failing, hang

from deployments.errors import (
    AnswererFailed,
    BadImage,
    DeadlineExceeded,
    Overloaded,
    StageFailed,
)
from deployments.messages import Call, Photo
from serve.pipeline import AnsweredQuestion
from serve.settings import Degrade

PHOTO = Photo(b"jpeg")
QUESTION = "what colour is the mug?"


@pytest.fixture
def stages() -> FakeStages:
    return FakeStages()


async def ask(
    stages: FakeStages,
    *,
    timeout_s: float = 5,
    n_shot: int = 2,
    degrade: Degrade | None = None,
) -> AnsweredQuestion:
    pipeline = stages.pipeline(degrade)
    return await pipeline.ask(PHOTO, QUESTION, n_shot=n_shot, call=Call("r1", timeout_s))


async def test_an_answer_says_all_that_it_was_made_from(stages: FakeStages) -> None:
    answered = await ask(stages)
    assert answered.answer.text == "two"
    assert answered.caption == CAPTION
    assert answered.tags == (TAG,)
    assert [example.id for example in answered.examples] == ["e0", "e1"]
    assert answered.degraded == ()
    assert set(answered.timings_ms) == {
        "caption", "tag", "retrieve", "assemble", "answer", "total",
    }  # fmt: skip


async def test_the_model_is_asked_about_the_users_caption_and_question_last(
    stages: FakeStages,
) -> None:
    await ask(stages)
    ((prompt, _),) = stages.calls["answerer"]
    assert prompt.messages[-1].content == f"Context: {CAPTION}\nTags: mug\nQuestion: {QUESTION}"


async def test_the_three_readers_of_the_photo_run_at_the_same_time(stages: FakeStages) -> None:
    met = asyncio.Barrier(3)

    async def meet() -> None:
        await met.wait()

    stages.instead = dict.fromkeys(("captioner", "tagger", "retriever"), meet)
    await ask(stages, timeout_s=2)


async def test_every_call_carries_the_request_id_and_less_and_less_time(
    stages: FakeStages,
) -> None:
    async def work() -> None:
        await asyncio.sleep(0.05)

    stages.instead = {"captioner": work}
    await ask(stages, timeout_s=5)
    calls = {stage: arguments[0][-1] for stage, arguments in stages.calls.items()}
    assert {call.request_id for call in calls.values()} == {"r1"}
    assert calls["captioner"].timeout_s <= 5
    assert calls["answerer"].timeout_s <= 4.95


async def test_no_examples_asked_for_means_no_search(stages: FakeStages) -> None:
    answered = await ask(stages, n_shot=0)
    assert stages.started["retriever"] == 0
    assert answered.examples == ()
    assert answered.degraded == ()


@pytest.mark.parametrize("stage", ["tagger", "retriever"])
@pytest.mark.parametrize("error", [StageFailed("x"), Overloaded("x"), KeyError("a bug")])
async def test_an_answer_does_without_tags_or_examples(
    stages: FakeStages, stage: str, error: Exception
) -> None:
    stages.instead = {stage: failing(error)}  # type: ignore[dict-item]
    answered = await ask(stages)
    assert answered.degraded == (stage,)
    assert answered.answer.text == "two"
    assert not (answered.tags if stage == "tagger" else answered.examples)


async def test_a_stage_that_hangs_is_waited_for_no_longer_than_the_settings_say(
    stages: FakeStages,
) -> None:
    stages.instead = {"tagger": hang}
    pipeline = stages.pipeline(Degrade(timeout_s=0.05))
    answered = await pipeline.ask(PHOTO, QUESTION, n_shot=2, call=Call("r1", 3600))
    assert answered.degraded == ("tagger",)


async def test_a_stage_that_hangs_leaves_time_for_the_answer(stages: FakeStages) -> None:
    stages.instead = {"tagger": hang}
    answered = await ask(stages, timeout_s=0.4)
    assert answered.degraded == ("tagger",)
    assert stages.cancelled["tagger"] == 1


@pytest.mark.parametrize("stage", ["tagger", "retriever"])
async def test_settings_can_make_a_stage_essential(stages: FakeStages, stage: str) -> None:
    stages.instead = {stage: failing(StageFailed("no"))}  # type: ignore[dict-item]
    with pytest.raises(StageFailed):
        await ask(stages, degrade=Degrade(**{stage: False}))


async def test_settings_can_do_without_the_captioner(stages: FakeStages) -> None:
    stages.instead = {"captioner": failing(StageFailed("no"))}
    answered = await ask(stages, degrade=Degrade(captioner=True))
    assert answered.degraded == ("captioner",)
    assert answered.caption == ""


async def test_a_failing_captioner_is_an_error_and_stops_the_others(stages: FakeStages) -> None:
    async def fail_soon() -> None:
        await asyncio.sleep(0.01)
        raise StageFailed("no caption")

    stages.instead = {"captioner": fail_soon, "tagger": hang, "retriever": hang}
    with pytest.raises(StageFailed, match="no caption"):
        await ask(stages)
    assert stages.cancelled == {"tagger": 1, "retriever": 1}
    assert stages.started["answerer"] == 0


async def test_a_bad_photo_is_never_degraded_away(stages: FakeStages) -> None:
    stages.instead = {"tagger": failing(BadImage("not a JPEG"))}
    with pytest.raises(BadImage):
        await ask(stages)


async def test_a_failing_answerer_is_an_error(stages: FakeStages) -> None:
    stages.instead = {"answerer": failing(AnswererFailed("refused"))}
    with pytest.raises(AnswererFailed):
        await ask(stages)


async def test_a_dead_language_model_is_given_up_at_the_deadline(stages: FakeStages) -> None:
    stages.instead = {"answerer": hang}
    started = time.perf_counter()
    with pytest.raises(DeadlineExceeded):
        await ask(stages, timeout_s=0.2)
    assert time.perf_counter() - started < 2
    assert stages.cancelled["answerer"] == 1


async def test_cancelling_an_answer_cancels_all_that_runs_below(stages: FakeStages) -> None:
    met = asyncio.Barrier(4)

    async def meet_and_hang() -> None:
        await met.wait()
        await hang()

    stages.instead = dict.fromkeys(("captioner", "tagger", "retriever"), meet_and_hang)
    asking = asyncio.create_task(ask(stages, timeout_s=60))
    await met.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert stages.cancelled == {"captioner": 1, "tagger": 1, "retriever": 1}


async def test_the_stages_that_cannot_answer_are_named(stages: FakeStages) -> None:
    stages.instead = {"tagger": failing(StageFailed("down")), "answerer": hang}
    assert await stages.pipeline().unready(Call("r1", 0.05)) == ("tagger", "answerer")


async def test_a_stage_that_is_out_of_time_is_not_even_called(stages: FakeStages) -> None:
    with pytest.raises(DeadlineExceeded):
        await ask(stages, timeout_s=0)
    assert not stages.started
