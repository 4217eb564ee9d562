"""The demo answerer behind somebody else's OpenAI-API server: the one that transformers ships."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deployments.answerer import Answerer, load_answerer
from deployments.language_models import RemoteModel
from deployments.messages import Call, Message, Prompt
from deployments.settings import AnswererSettings, OpenAISettings
from deployments.telemetry.metrics import NO_METERS
from serve.cli.ray_environment import free_port

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "bundles" / "demo"
START_WITHIN_S = 200
CALL = Call("r1", 60)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "transformers"),
            *("serve", "--host", "127.0.0.1", "--port", str(port)),
            *("--device", "cpu", "--dtype", "float32"),
        ],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    until = time.monotonic() + START_WITHIN_S
    try:
        while not _is_up(url):
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _is_up(url: str) -> bool:
    try:
        # Its list of models is that of a cache of the hub, which need not be there.
        return httpx.get(url.replace("/v1", "/health"), timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def prompt(question: str) -> Prompt:
    context = "Context: a person with black hair in a red shirt. there is a red mug."
    return Prompt(
        (
            Message("system", "Answer the question about the photo in a few words."),
            Message("user", f"{context}\nTags: person, mug\nQuestion: {question}"),
        ),
        (),
    )


def hosted_bundle(folder: Path) -> str:
    """Write the demo bundle with its answerer behind the API."""
    text = (DEMO / "bundle.yaml").read_text()
    assert "answerer: {path: answerer}" in text
    (folder / "bundle.yaml").write_text(
        text.replace("{path: answerer}", "{openai: {model: bundles/demo/answerer}}")
    )
    return str(folder)


async def test_an_openai_api_server_answers_like_the_model_in_the_replica(
    server_url: str, tmp_path: Path
) -> None:
    here = Answerer(AnswererSettings(), str(DEMO))
    settings = AnswererSettings(openai=OpenAISettings(base_url=server_url, timeout_s=60))
    hosted = load_answerer(hosted_bundle(tmp_path), settings, NO_METERS)
    assert isinstance(hosted, RemoteModel)
    there = Answerer(settings, "hosted", lambda *_: hosted)
    for question in ("what color is the mug?", "is there a cat?", "how many people are there?"):
        asked = prompt(question)
        one, other = await here.answer(asked, CALL), await there.answer(asked, CALL)
        assert one.text == other.text
        assert one.prompt_tokens == other.prompt_tokens > 0
        assert one.completion_tokens == other.completion_tokens > 0
    assert other.model == "bundles/demo/answerer"
    await hosted.close()
