"""One real question to an app that has just started: the proof that it works, and how to ask it.

The bundle's own sample photo is asked about, so the answer shown is one that can be checked
by looking.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

WAIT_S = 60.0


@dataclass(frozen=True)
class FirstQuestion:
    """A photo and a question about it."""

    photo: Path
    text: str

    @classmethod
    def of(cls, bundle: Path) -> Self | None:
        """Return the first of the bundle's sample questions; None where it has none."""
        folder = (bundle if bundle.is_dir() else bundle.parent) / "photos"
        try:
            with (folder / "questions.jsonl").open(encoding="utf-8") as lines:
                row = json.loads(next(lines))
            question = cls(folder / row["photo"], row["question"])
        except (OSError, StopIteration, ValueError, KeyError, TypeError):
            return None
        return question if question.photo.is_file() else None

    def ask(self, url: str) -> str:
        """Return the answer.

        Raises:
            httpx.HTTPError: There was none.
        """
        response = httpx.post(
            f"{url}/v1/answers",
            files={"image": self.photo.read_bytes()},
            data={"question": self.text},
            timeout=WAIT_S,
            trust_env=False,
        )
        response.raise_for_status()
        return str(response.json()["answer"])

    def curl(self, url: str) -> str:
        """Return a command line that asks the same."""
        photo = self.photo
        if photo.is_relative_to(Path.cwd()):
            photo = photo.relative_to(Path.cwd())
        image, question = shlex.quote(f"image=@{photo}"), shlex.quote(f"question={self.text}")
        return f"curl -F {image} -F {question} {url}/v1/answers"
