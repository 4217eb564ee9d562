"""One real question to an app that has just started: the proof that it works, and how to ask it.

The bundle's own sample photo is asked about, so the answer shown is one that can be checked
by looking.
"""

import shlex
from pathlib import Path

import httpx

from models.bundle import SampleQuestion

WAIT_S = 60.0


def ask(question: SampleQuestion, url: str) -> str:
    """Return the app's answer.

    Raises:
        httpx.HTTPError: There was none.
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
    """Return a command line that asks the same."""
    photo = question.photo
    if photo.is_relative_to(Path.cwd()):
        photo = photo.relative_to(Path.cwd())
    image, text = shlex.quote(f"image=@{photo}"), shlex.quote(f"question={question.text}")
    return f"curl -F {image} -F {text} {url}/v1/answers"
