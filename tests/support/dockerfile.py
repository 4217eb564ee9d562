"""What the Dockerfile takes from the checkout."""

from pathlib import Path

FILE = Path(__file__).parents[2] / "Dockerfile"


def copied(stage: str) -> list[str]:
    """Return what a stage of the Dockerfile copies from the checkout."""
    text = FILE.read_text().replace("\\\n", " ")
    (body,) = [part for part in text.split("\nFROM ") if f" AS {stage}\n" in part]
    words = [line.split()[1:] for line in body.splitlines() if line.startswith("COPY ")]
    return [name for line in words if not line[0].startswith("--from") for name in line[:-1]]
