"""`admirer serve` on the demo bundle, as a person starts it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from serve.cli.ray_environment import free_port

CHECKOUT = Path(__file__).parents[2]
DEMO = CHECKOUT / "bundles" / "demo"
COMMAND = Path(sys.executable).with_name("admirer")
START_WITHIN_S = 240


@dataclass(frozen=True)
class StartedApp:
    """An app that has answered its first question."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    """What it prints."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Of the files of this run."""
        (line,) = [each for each in self.printed() if each.startswith("Logs: ")]
        return Path(line.removeprefix("Logs: ")).parents[3]

    def post(self, path: str, **content: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", timeout=60, trust_env=False, **content)

    def ask(self, photo: bytes, question: str) -> httpx.Response:
        return self.post("/v1/answers", files={"image": photo}, data={"question": question})

    def printed(self) -> list[str]:
        return self.log.read_text().splitlines()

    def processes(self) -> list[psutil.Process]:
        """Return the whole tree, the command itself first."""
        command = psutil.Process(self.process.pid)
        return [command, *command.children(recursive=True)]

    @property
    def metrics_url(self) -> str:
        """Where Prometheus would scrape it, as it prints."""
        [url] = re.findall(r"^Metrics: (\S+)$", self.log.read_text(), re.MULTILINE)
        return str(url)


@contextmanager
def started_app(
    folder: Path,
    *words: str,
    cwd: Path = CHECKOUT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[StartedApp]:
    """Start the app with further options, wait for its first answer, and stop it after."""
    port, log = free_port(), folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "--bundle", DEMO, "--port", str(port), *words],
            cwd=cwd,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment or {}),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_WITHIN_S
        while "Stop: Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield StartedApp(process, port, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
