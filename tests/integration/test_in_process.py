"""The demo bundle in one process: one question at a time, and many together."""

from pathlib import Path

from benchmarks import limit
from deployments.messages import Call, Photo
from load_tests.client.questions import read_questions
from models.settings import EngineSettings
from serve.in_process import load_pipeline, load_stages
from serve.settings import AppSettings

DEMO = Path("bundles/demo")
QUESTIONS = read_questions(DEMO / "photos")[:8]
SETTINGS = AppSettings(bundle=str(DEMO))


async def test_questions_get_the_same_answers_together_as_alone() -> None:
    stages, pipeline = load_stages(SETTINGS, EngineSettings()), load_pipeline(SETTINGS)
    together = limit.answers(stages, QUESTIONS, prompts_at_a_time=3)
    alone = [
        await pipeline.ask(
            Photo(asked.photo),
            asked.question,
            n_shot=SETTINGS.n_shot,
            call=Call("test", timeout_s=60),
        )
        for asked in QUESTIONS
    ]
    assert together == [each.answer.text for each in alone]
    assert len(set(together)) > 2
