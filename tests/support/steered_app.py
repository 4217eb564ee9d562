"""Starts the app of `fake_app.py`, and asks it over HTTP and through its folder."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from serve.cli.ray_environment import Transport, environment, free_port

CHECKOUT = Path(__file__).parents[2]
START_WITHIN_S = 240


@dataclass(frozen=True)
class RunningApp:
    """The app of `fake_app.py`, over HTTP and through its folder."""

    folder: Path
    url: str
    metrics_url: str

    def behave(self, **behaviours: dict[str, Any]) -> None:
        """Set how the fake models behave, and forget what they did."""
        (self.folder / "done").write_text("")
        (self.folder / "behaviour.json").write_text(json.dumps(behaviours))

    def done(self, what: str) -> list[str]:
        lines = (self.folder / "done").read_text().splitlines()
        return [line for line in lines if line.startswith(what)]

    def client(self, timeout_s: float = 30) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=timeout_s)

    async def ask(self, client: httpx.AsyncClient, **headers: str) -> httpx.Response:
        return await client.post(
            "/v1/answers",
            files={"image": ("photo.jpg", photo(), "image/jpeg")},
            data={"question": "what is it?"},
            headers=headers,
        )

    async def begin(self) -> asyncio.StreamWriter:
        """Ask over a connection of one's own, which the test can close."""
        request = httpx.Request(
            "POST",
            f"{self.url}/v1/answers",
            files={"image": ("photo.jpg", photo(), "image/jpeg")},
            data={"question": "what is it?"},
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        _, writer = await asyncio.open_connection(request.url.host, request.url.port)
        writer.write(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode())
        # In a packet of its own, as most clients send it: HAProxy can then lose sight of a hang-up.
        await asyncio.sleep(0.1)
        writer.write(request.read())
        return writer

    def log(self) -> list[dict[str, Any]]:
        """Every line of every process of the app."""
        files = list((self.folder / "logs").glob("*.log"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    async def becomes(self, truth: Callable[[], bool], within_s: float = 10) -> bool:
        until = time.monotonic() + within_s
        while not truth() and time.monotonic() < until:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        return truth()


def photo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG")
    return file.getvalue()


@contextmanager
def steered_app(
    transport: Transport, folder: Path, settings: Mapping[str, Any]
) -> Iterator[RunningApp]:
    """Start the app, and stop it afterwards."""
    port, metrics_port = free_port(), free_port()
    running = RunningApp(
        folder,
        f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{metrics_port}/metrics",
    )
    running.behave()
    command = [sys.executable, str(Path(__file__).with_name("fake_app.py")), str(folder)]
    command += [str(port), str(metrics_port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, json.dumps(settings)],
            cwd=CHECKOUT,
            env=os.environ | environment(transport) | {"PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + START_WITHIN_S
        while not (folder / "ready").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield running
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
