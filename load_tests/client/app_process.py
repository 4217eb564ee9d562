"""Start the app on this machine with a plan's settings, and stop it again.

Ray's counters are exported every second here instead of every ten, so that a replay need not
wait for them; photo caches are off, since a plan is for photos that nobody has seen.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from capacity.problems import CapacityError

START_WITHIN_S = 180
STOP_WITHIN_S = 60
_ENVIRONMENT = {
    "ADMIRER_CAPTIONER__CACHE_PHOTOS": "0",
    "ADMIRER_TAGGER__CACHE_PHOTOS": "0",
    "RAY_metrics_report_interval_ms": "1000",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Addresses:
    """Where a started app answers, and where its metrics are."""

    url: str
    metrics_url: str


def write_config(file: Path, base: Path, arguments: Mapping[str, Any]) -> None:
    """Write a Serve config file: `base` with some of the app's arguments changed.

    Raises:
        CapacityError: `base` is no Serve config file.
    """
    try:
        config = yaml.safe_load(base.read_text("utf-8"))
        (application,) = config["applications"]
        application["args"] = _merged(application.get("args", {}), arguments)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise CapacityError(f"{base} is not a Serve config file with one application.") from None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")


@contextmanager
def started_app(command: list[str], config: Path) -> Iterator[Addresses]:
    """Start `command serve --config` on a free port, wait for its metrics, stop it after.

    Raises:
        CapacityError: It ended by itself or did not start in time.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
            [*command, "serve", "--config", str(config), "--port", str(port)],
            env={**os.environ, **_ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise CapacityError(f"{command[0]} does not start: {error.strerror}.") from None
    # Whoever ends this process must not leave the app behind.
    at_termination = signal.signal(signal.SIGTERM, signal.default_int_handler)
    lines: list[str] = []
    reading = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reading.start()
    try:
        metrics_url = _wait_for_metrics(process, lines)
        url = f"http://127.0.0.1:{port}"
        httpx.get(f"{url}/health/ready", timeout=10, trust_env=False).raise_for_status()
        yield Addresses(url, metrics_url)
    except httpx.HTTPError as error:
        raise CapacityError(f"The app was started and does not answer: {error}.") from None
    finally:
        signal.signal(signal.SIGTERM, at_termination)
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        reading.join(timeout=5)


def _read(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with process.stdout as output:
        lines.extend(line.rstrip() for line in output)  # one after the other, as they come


def _wait_for_metrics(process: subprocess.Popen[str], lines: list[str]) -> str:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        for line in list(lines):
            if line.startswith("Metrics: "):
                return line.removeprefix("Metrics: ").strip()
        if process.poll() is not None:
            last = next((line for line in reversed(lines) if line), "it said nothing")
            raise CapacityError(f"The app ended by itself: {last}.")
        time.sleep(0.1)
    raise CapacityError(f"The app was not ready after {START_WITHIN_S} s.")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        old_value = merged.get(key)
        if isinstance(old_value, dict) and isinstance(value, Mapping):
            merged[key] = _merged(old_value, value)
        else:
            merged[key] = value
    return merged
