"""The questions that benchmarks ask: those that a bundle's sample photos come with."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """One question of the bundle, ready to send."""

    photo: bytes
    question: str

    def form(self) -> tuple[dict[str, str], dict[str, tuple[str, bytes, str]]]:
        """Return the form's text fields and files."""
        return {"question": self.question}, {"image": ("photo.jpg", self.photo, "image/jpeg")}


def bundled_requests(bundle: Path) -> list[Request]:
    """Return the questions that the bundle's sample photos come with."""
    lines = (bundle / "photos" / "questions.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Request((bundle / "photos" / row["photo"]).read_bytes(), row["question"]) for row in rows
    ]
