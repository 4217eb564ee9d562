"""The model cache: `fetch BUNDLE` fills it, `wait BUNDLE --seconds N` waits until it is full.

It is called model_cache because a script called models would hide the package of that name.
A checkpoint counts as there when its snapshot is, which the hub's client makes complete only at
the end; so `wait` also asks for a mark that `fetch` leaves, unless somebody else filled the cache.
"""

import os
import sys
import time
from pathlib import Path

from models.bundle import Bundle, BundleError, HubPart

MARKS = ".complete"
"""Folder of the cache with an empty file for every checkpoint that is all there."""

UNUSED = ["*.h5", "*.msgpack", "*.ot"]
"""Weights for frameworks that admirer does not have."""


def checkpoints(bundle: str) -> list[HubPart]:
    """Return what has to be downloaded; parts inside the bundle's folder are there already."""
    found = Bundle.load(bundle)
    parts = (found.captioner, found.tagger, found.clip, found.answerer)
    return [part for part in parts if isinstance(part, HubPart)]


def fetch(bundle: str) -> int:
    """Download every checkpoint at its commit; what is there is not downloaded again."""
    from huggingface_hub import snapshot_download

    # First of all: from now on, `wait` believes nothing that has no mark.
    (Path(os.environ["HF_HOME"]) / MARKS).mkdir(parents=True, exist_ok=True)
    for part in checkpoints(bundle):
        say(f"fetching {part.repo} at {part.revision}")
        snapshot_download(part.repo, revision=part.revision, ignore_patterns=UNUSED)
        mark_of(part).touch()
    say(f"all of {bundle} is there")
    return 0


def wait(bundle: str, seconds: float) -> int:
    """Return 0 once every part is there, 1 if some is missing in the end."""
    deadline = time.monotonic() + seconds
    shown = ""
    while True:
        words = missing(bundle)
        if words is None:
            say(f"all of {bundle} is there")
            return 0
        if words != shown:
            say(words)
            shown = words
        if time.monotonic() > deadline:
            say(
                f"not there after {seconds:g} s: see the log of the prefetch Job, or fill the claim"
            )
            return 1
        time.sleep(2)


def missing(bundle: str) -> str | None:
    """Return what is not there yet, in words."""
    try:
        found = Bundle.load(bundle)
        for part in checkpoints(bundle):
            found.folder(part)
            # A cache that another program filled has no marks at all, and is trusted.
            if mark_of(part).parent.is_dir() and not mark_of(part).exists():
                return f"{part.repo} at {part.revision} is still being fetched"
    except BundleError as error:
        return str(error)
    return None


def mark_of(part: HubPart) -> Path:
    """Return the file that says that a checkpoint is complete."""
    return Path(os.environ["HF_HOME"]) / MARKS / f"{part.repo.replace('/', '--')}@{part.revision}"


def say(words: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    command, name, *rest = sys.argv[1:]
    sys.exit(fetch(name) if command == "fetch" else wait(name, float(rest[-1])))
