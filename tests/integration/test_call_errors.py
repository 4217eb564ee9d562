import asyncio
import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments.calls import call_stage
from deployments.errors import (
    AdmirerError,
    AnswererFailed,
    BadImage,
    ModelNotReady,
    Overloaded,
    StageFailed,
)
from deployments.messages import Call
from deployments.stages import Stage

CALL = Call("r1", 5)


class Outcome:
    """A response that is there already."""

    def __init__(self, outcome: object) -> None:
        self._outcome = outcome

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def cancel(self) -> None:
        raise RuntimeError("cancelling what has failed raises its error")


def one_after_another(*outcomes: object) -> Callable[[Call], Outcome]:
    left = iter(outcomes)
    return lambda _: Outcome(next(left))


def wrapped(error: Exception) -> Exception:
    """As Ray's default transport raises what a stage raised."""
    lines = "Traceback of a worker at 10.0.0.7"
    raised: Exception = RayTaskError("caption", lines, error).as_instanceof_cause()
    return raised


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (BackPressureError(9, 8), Overloaded),
        (wrapped(BackPressureError(9, 8)), Overloaded),
        (DeploymentUnavailableError(DeploymentID("captioner")), ModelNotReady),
        (wrapped(BadImage("no JPEG")), BadImage),
        (BadImage("no JPEG"), BadImage),
        (wrapped(ValueError("key=secret")), StageFailed),
        (ValueError("key=secret"), StageFailed),
    ],
)
async def test_what_ray_raises_becomes_our_error(
    raised: Exception, ours: type[AdmirerError]
) -> None:
    with pytest.raises(AdmirerError) as caught:
        await call_stage("captioner", one_after_another(raised), CALL)
    assert type(caught.value) is ours
    assert "secret" not in caught.value.message
    assert "10.0.0.7" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "ours"), [("answerer", AnswererFailed), ("assembler", StageFailed)]
)
async def test_a_bug_is_logged_with_its_traceback_and_shown_without(
    stage: Stage, ours: type[AdmirerError], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("ray.serve").propagate = True
    with pytest.raises(ours, match=f"The {stage} failed."), caplog.at_level(logging.ERROR):
        await call_stage(stage, one_after_another(KeyError("weights")), CALL)
    assert "KeyError: 'weights'" in caplog.text
    assert "r1" in caplog.text


@pytest.mark.parametrize(
    "gone",
    [
        ActorDiedError(),
        ActorUnavailableError("socket closed", b"0" * 16),
        asyncio.CancelledError(),
    ],
)
async def test_a_call_whose_replica_went_away_is_made_once_more(gone: BaseException) -> None:
    assert await call_stage("tagger", one_after_another(gone, "tags"), CALL) == "tags"
    with pytest.raises(ModelNotReady):
        await call_stage("tagger", one_after_another(gone, gone, "tags"), CALL)
