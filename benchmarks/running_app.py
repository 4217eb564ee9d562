"""Start the app as `make run` does, ask it questions, and stop it.

Processes are found by a mark in their environment and not by parentage: Ray's daemons leave
their parent, and would be missing from its tree.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from serve.transport import free_port

START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 60
_MARK = "BENCHMARK_MARK"
# The bundled photos are asked about again and again, which visitors' photos are not.
_NO_CACHES = {"ADMIRER_CAPTIONER__CACHE_PHOTOS": "0", "ADMIRER_TAGGER__CACHE_PHOTOS": "0"}


@dataclass(frozen=True, slots=True)
class RunningApp:
    """An app that answered, its address, and the mark of its processes."""

    url: str
    mark: str
    first_answer_s: float
    """From starting the process to the first answer, all models loaded."""
    ready_s: float

    def processes(self) -> list[psutil.Process]:
        """Return every process that was started on the app's behalf."""
        return _marked(self.mark)

    def memory_bytes(self) -> dict[str, int]:
        """Return proportional memory (PSS) by process title, shared pages counted once."""
        by_title: dict[str, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                title = _title(process)
                by_title[title] = by_title.get(title, 0) + process.memory_full_info().pss
        return by_title


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


@contextmanager
def running_app(bundle: Path, *, command: str) -> Iterator[RunningApp]:
    """Start the app on a free port of this machine, wait for its first answer, stop it after.

    Raises:
        RuntimeError: It ended by itself or did not answer in time.
    """
    mark = uuid.uuid4().hex
    port = free_port()
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - the command is the developer's own
        [*command.split(), "serve", "--bundle", str(bundle), "--port", str(port)],
        env={**os.environ, **_NO_CACHES, _MARK: mark},
        stdout=sys.stderr,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        ready_s = _wait_until_ready(url, process, started)
        data, files = bundled_requests(bundle)[0].form()
        httpx.post(f"{url}/v1/answers", data=data, files=files, timeout=60).raise_for_status()
        yield RunningApp(url, mark, time.monotonic() - started, ready_s)
    finally:
        _stop(process, mark)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], started: float) -> float:
    while time.monotonic() - started < START_TIMEOUT_S:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended by itself with {process.returncode}")
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health/ready", timeout=5).is_success:
                return time.monotonic() - started
        time.sleep(0.1)
    raise RuntimeError(f"the app was not ready after {START_TIMEOUT_S} s")


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    """Ask the launcher to stop as Ctrl-C does, and end only what it left behind."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    left = _marked(mark)
    if left:
        print(f"left behind: {sorted(_title(each) for each in left)}", file=sys.stderr)
    for each in left:
        with suppress(psutil.Error):
            each.kill()


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_MARK) == mark:
                found.append(process)
    return found


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        command = process.cmdline()
        return command[0].rsplit("/", 1)[-1] if command else process.name()
    return "gone"
