"""Start the app as `make run` does, ask it questions, and stop it.

Processes are found by a mark in their environment first, and not by parentage alone: Ray's daemons
leave their parent, and would be missing from its tree.
"""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import yaml

from benchmarks.questions import bundled_requests
from models.bundle import Bundle
from serve.local import CHECKOUT
from serve.transport import free_port

DEMO = CHECKOUT / "serve" / "config" / "demo.yaml"
Changes = Mapping[str, Any]
"""Of the app's arguments, as a tree of plain values."""

START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 60
MARK = "BENCHMARK_MARK"
NO_CACHES = {"captioner": {"cache_photos": 0}, "tagger": {"cache_photos": 0}}
"""The bundled photos are asked about again and again, which visitors' photos are not."""

_SCALING = {"max_ongoing_requests": 256, "max_queued_requests": 512}
_WAITING = {"scaling": _SCALING, "batch": {"max_waiting": 256}}
ROOM: Changes = {
    "limits": {"max_concurrent_requests": 512, "timeout_s": 110},
    "degrade": {"captioner": False, "tagger": False, "retriever": False, "timeout_s": 110},
    "ingress": _SCALING,
    "captioner": _WAITING,
    "tagger": _WAITING,
    "retriever": _WAITING,
    "assembler": {"scaling": _SCALING},
    "answerer": _WAITING,
}
"""Nothing is refused and no stage is left out, either of which would be less work."""


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

    def reader(self) -> Callable[[], Counter[str]]:
        """Return what reads processor seconds so far by process title.

        The processes are looked up once: that takes long enough to be seen in a measurement.
        """
        processes = [(title(each), each) for each in self.processes()]

        def read() -> Counter[str]:
            spent: Counter[str] = Counter()
            for title, process in processes:
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    spent[title] += times.user + times.system  # type: ignore[assignment]
            return spent

        return read

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the app's processes from running for some seconds; Ray forgives as many as ten."""
        processes = self.processes()
        _signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(processes, signal.SIGCONT)

    def memory_bytes(self) -> dict[str, int]:
        """Return proportional memory (PSS) by process title, shared pages counted once."""
        by_title: dict[str, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                name = title(process)
                by_title[name] = by_title.get(name, 0) + process.memory_full_info().pss
        return by_title


def demo_config(changes: Changes) -> dict[str, Any]:
    """Return the config file of `make run` with the app's arguments changed, its caches off."""
    config = yaml.safe_load(DEMO.read_text("utf-8"))
    (application,) = config["applications"]
    application["args"] = merged(merged(application["args"], NO_CACHES), changes)
    limits = application["args"]["limits"]
    # As the file itself has it: the app's own limit comes first.
    config["http_options"]["request_timeout_s"] = 15 + limits.get("timeout_s", 30)
    return dict(config)


def merged(under: Changes, over: Changes) -> dict[str, Any]:
    """Return both trees as one; where both have a value, that of `over`."""
    found = dict(under)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            found[key] = merged(below, value)
        else:
            found[key] = value
    return found


@contextmanager
def running_app(
    bundle: Path, *, command: str, changes: Changes | None = None
) -> Iterator[RunningApp]:
    """Start the app on a free port of this machine, wait for its first answer, stop it after.

    Args:
        bundle: What it serves.
        command: What starts it: takes `serve --config --bundle --port`.
        changes: To the app's arguments in the demo's config file.

    Raises:
        RuntimeError: It ended by itself, did not answer in time, or another app answered.
    """
    if left := _marked():
        # Both would listen on ports that Ray fixes, and each then answers for the other.
        raise RuntimeError(f"a benchmark's app runs already: process {left[0].pid}")
    mark = uuid.uuid4().hex
    port = free_port()
    with TemporaryDirectory() as folder, _ended_politely():
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump(demo_config(changes or {})), "utf-8")
        options = ["--config", str(config), "--bundle", str(bundle), "--port", str(port)]
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the command is the developer's own
            [*command.split(), "serve", *options],
            env={**os.environ, MARK: mark},
            stdout=sys.stderr,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            ready_s = _wait_until_ready(url, process, started)
            _check_answer(url, bundle)
            yield RunningApp(url, mark, time.monotonic() - started, ready_s)
        finally:
            _stop(process, mark)


@contextmanager
def _ended_politely() -> Iterator[None]:
    """Let SIGTERM, as of `timeout`, stop the app like everything else that ends this program."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_answer(url: str, bundle: Path) -> None:
    data, files = bundled_requests(bundle)[0].form()
    answer = httpx.post(f"{url}/v1/answers", data=data, files=files, timeout=120)
    of_bundle = answer.raise_for_status().json()["bundle"]
    served = Bundle.load(bundle)
    if of_bundle != f"{served.name}@{served.version}":
        raise RuntimeError(f"{of_bundle} answers instead of {served.name}: does another app run?")


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], started: float) -> float:
    # One client: making one takes as much as 50 ms of the cores that the app starts on.
    with httpx.Client(timeout=5, trust_env=False) as client:
        while time.monotonic() - started < START_TIMEOUT_S:
            if process.poll() is not None:
                raise RuntimeError(f"the app ended by itself with {process.returncode}")
            with suppress(httpx.HTTPError):
                if client.get(f"{url}/health/ready").is_success:
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
        print(f"left behind: {sorted(title(each) for each in left)}", file=sys.stderr)
    for each in left:
        with suppress(psutil.Error):
            each.kill()


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _marked(mark: str | None = None) -> list[psutil.Process]:
    """Return the processes of one app, or of every app that a benchmark has started."""
    found: dict[int, psutil.Process] = {}
    unmarked: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            its_mark = process.environ().get(MARK)
            if its_mark is None:
                unmarked.append(process)
            elif mark in {None, its_mark}:
                found[process.pid] = process
    # Ray's agents name themselves where their environment stood: they are their parent's.
    for process in unmarked:
        with suppress(psutil.Error):
            if process.ppid() in found:
                found[process.pid] = process
    return list(found.values())


def title(process: psutil.Process) -> str:
    """Return the stage of a replica, or the name of the program."""
    with suppress(psutil.Error):
        command = process.cmdline()
        # Ray's actors add what they do at the moment: ray::ServeController.listen_for_change.
        return re.split("[/:]", command[0])[-1].split(".")[0] if command else process.name()
    return "gone"
