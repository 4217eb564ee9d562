"""One question to an app that has just started, as a smoke test and as an example of a request.

It is about a sample photo of the bundle, so that a person can check the answer.
"""

import shlex
from pathlib import Path

import httpx

from models.bundle import SampleQuestion

WAIT_S = 60.0


def ask(question: SampleQuestion, url: str) -> str:
    """Return the app's answer.

    Raises:
        httpx.HTTPError: The request failed.
    """
    response = httpx.post(
        f"{url}/v1/answers",
        files={"image": question.photo.read_bytes()},
        data={"question": question.text},
        timeout=WAIT_S,
        trust_env=False,
    )
    response.raise_for_status()
    return str(response.json()["answer"])


def curl(question: SampleQuestion, url: str) -> str:
    """Return the same request as a curl command."""
    photo = question.photo
    if photo.is_relative_to(Path.cwd()):
        photo = photo.relative_to(Path.cwd())
    image, text = shlex.quote(f"image=@{photo}"), shlex.quote(f"question={question.text}")
    return f"curl -F {image} -F {text} {url}/v1/answers"
