"""helm and kubectl as these tests use them: bounded in time, with what went wrong in the error."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


class CommandError(AssertionError):
    """A command failed; says which and what it printed."""


def run(*words: str, stdin: str | None = None, timeout_s: float = 120) -> str:
    """Return what a command prints.

    Raises:
        CommandError: It failed or took too long.
    """
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(words)}: not done after {timeout_s} s") from None
    if done.returncode != 0:
        raise CommandError(f"{' '.join(words)}: {done.stderr.strip()}\n{done.stdout.strip()}")
    return done.stdout


def kubectl(*words: str, **options: Any) -> str:
    return run("kubectl", *words, **options)


def read(*words: str) -> dict[str, Any]:
    """Return what `kubectl get` finds, as the API server has it."""
    found: dict[str, Any] = json.loads(kubectl("get", *words, "--output=json"))
    return found


def wait_for(what: str, look: Callable[[], Found | None], *, within_s: float) -> Found:
    """Return the first thing that `look` gives which is true; a failing command is a no.

    Raises:
        AssertionError: There was none in time.
    """
    until = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            last = look()
            if last:
                return last
        except CommandError as error:
            last = error
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {within_s} s; last seen: {last}")
        time.sleep(2)
