import asyncio

import pytest
from support.fake_handles import FakeResponse

from deployments.calls import call_stage
from deployments.errors import BadImage, DeadlineExceeded
from deployments.messages import Call


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_call_gets_the_time_that_is_left_and_the_request_id() -> None:
    seen: list[Call] = []

    async def answer() -> str:
        return "blue"

    def start(call: Call) -> FakeResponse:
        seen.append(call)
        return FakeResponse(answer)

    assert await call_stage("answerer", start, Call("r1", 5)) == "blue"
    [call] = seen
    assert call.request_id == "r1"
    assert 4.9 < call.timeout_s <= 5


async def test_a_deadline_that_passes_stops_the_work_below() -> None:
    response = FakeResponse(forever)
    with pytest.raises(DeadlineExceeded):
        await call_stage("captioner", lambda _: response, Call("r1", 0.02))
    assert response.is_cancelled


async def test_a_call_without_time_left_is_not_made() -> None:
    def start(_: Call) -> FakeResponse:
        raise AssertionError("called")

    with pytest.raises(DeadlineExceeded):
        await call_stage("captioner", start, Call("r1", 0))


async def test_a_caller_that_goes_stops_the_work_below() -> None:
    response = FakeResponse(forever)
    caller = asyncio.create_task(call_stage("captioner", lambda _: response, Call("r1", 5)))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert response.is_cancelled


async def test_an_error_of_the_stage_is_raised_as_it_was() -> None:
    async def refuse() -> None:
        raise BadImage("This is no JPEG.", field="image")

    with pytest.raises(BadImage) as caught:
        await call_stage("tagger", lambda _: FakeResponse(refuse), Call("r1", 5))
    assert caught.value.field == "image"


async def test_an_error_of_the_stage_is_unwrapped_from_its_transport() -> None:
    class RayTaskError(BadImage):
        cause = BadImage("This is no JPEG.", field="image")

    async def refuse() -> None:
        raise RayTaskError("Traceback of a worker at 10.0.0.7")

    with pytest.raises(BadImage) as caught:
        await call_stage("tagger", lambda _: FakeResponse(refuse), Call("r1", 5))
    assert caught.value.message == "This is no JPEG."
