"""Start the app on this machine as `make run` does, and stop it again.

Processes are found by a mark in their environment first, and not by parentage alone: Ray's daemons
leave their parent, and would be missing from its tree.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import urllib3
import yaml

START_WITHIN_S = 180
STOP_WITHIN_S = 60
MARK = "ADMIRER_STARTED_BY"
NO_PHOTO_CACHES = {"captioner": {"cache_photos": 0}, "tagger": {"cache_photos": 0}}
"""Arguments for questions that are asked again and again, as visitors' photos are not."""


class AppProcessError(RuntimeError):
    """One sentence that says why there is no running app."""


@dataclass(frozen=True, slots=True)
class AppProcess:
    """A started app that is ready."""

    url: str
    mark: str
    started: float
    """When its process was, by `time.monotonic()`."""
    ready_s: float
    """Seconds from then until it was ready."""
    lines: Sequence[str]
    """What it has printed; more come."""

    def processes(self) -> list[psutil.Process]:
        """Return every process that was started on the app's behalf."""
        return processes_of(self.mark)

    def metrics_url(self) -> str:
        """Return the address of its metrics once it has printed it.

        Raises:
            AppProcessError: It did not.
        """
        until = self.started + START_WITHIN_S
        while time.monotonic() < until:
            for line in list(self.lines):
                if line.startswith("Metrics: "):
                    return line.removeprefix("Metrics: ").strip()
            time.sleep(0.1)
        raise AppProcessError(f"The app did not tell of its metrics within {START_WITHIN_S} s.")


def config_of(base: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Serve config file's tree with some of the app's arguments changed.

    Raises:
        AppProcessError: `base` is no Serve config file.
    """
    try:
        config: dict[str, Any] = yaml.safe_load(base.read_text("utf-8"))
        (application,) = config["applications"]
        application["args"] = merged(application.get("args", {}), changes)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise AppProcessError(f"{base} is not a Serve config file with one application.") from None
    return config


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
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
    command: Sequence[str],
    config: Path,
    port: int,
    *,
    bundle: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[AppProcess]:
    """Start `command serve` on a port of this machine, wait until it is ready, stop it after.

    Args:
        command: Starts the app; takes `serve --config --port`, and `--bundle` if one is given.
        config: Serve config file.
        port: A free port.
        bundle: Bundle; default: that of the config file.
        environment: Variables beside this process' own.

    Raises:
        AppProcessError: It ended by itself or was not ready in time, or another app runs.
    """
    if left := processes_of():
        # Both would listen on ports that Ray fixes, and each then answers for the other.
        raise AppProcessError(f"An app that was started like this runs already: {left[0].pid}.")
    mark, url = uuid.uuid4().hex, f"http://127.0.0.1:{port}"
    options = ["--config", str(config), "--port", str(port)]
    options += ["--bundle", str(bundle)] if bundle else []
    started = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
            [*command, "serve", *options],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {}), MARK: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise AppProcessError(f"{command[0]} does not start: {error.strerror}.") from None
    lines: list[str] = []
    reading = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reading.start()
    with _ended_by_sigterm():
        try:
            ready_s = _wait_until_ready(url, process, started, lines)
            yield AppProcess(url, mark, started, ready_s, lines)
        finally:
            _stop(process, mark)
            reading.join(timeout=5)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, as of `timeout`, stop the app like everything else that ends this program."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with process.stdout as output:
        lines.extend(line.rstrip() for line in output)  # one after the other, as they come


def _wait_until_ready(
    url: str, process: subprocess.Popen[str], started: float, lines: Sequence[str]
) -> float:
    client = urllib3.PoolManager(retries=False, timeout=5)
    while time.monotonic() - started < START_WITHIN_S:
        if process.poll() is not None:
            last = next((line for line in reversed(lines) if line), "it printed nothing")
            raise AppProcessError(f"The app ended by itself: {last}.")
        with suppress(urllib3.exceptions.HTTPError):
            if client.request("GET", f"{url}/health/ready").status == HTTPStatus.OK:
                return time.monotonic() - started
        time.sleep(0.1)
    raise AppProcessError(f"The app was not ready after {START_WITHIN_S} s.")


def _stop(process: subprocess.Popen[str], mark: str) -> None:
    """Ask the launcher to stop as Ctrl-C does, and end only what it left behind."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_WITHIN_S)
    for each in processes_of(mark):
        sys.stderr.write(f"left behind: {title(each)}\n")
        with suppress(psutil.Error):
            each.kill()
    process.wait()


def processes_of(mark: str | None = None) -> list[psutil.Process]:
    """Return the processes of one app, or of every app that was started like this."""
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
