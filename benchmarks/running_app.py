"""The app as benchmarks start it: without caches, and what its processes spend."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import yaml

from load_tests.client import app_process
from load_tests.client.app_process import NO_PHOTO_CACHES, AppProcess, config_of, merged, title
from load_tests.client.questions import read_questions
from load_tests.client.traffic import Client
from models.bundle import Bundle
from serve.cli.ray_environment import free_port
from serve.local_settings import CHECKOUT

DEMO = CHECKOUT / "serve" / "config" / "demo.yaml"
Changes = Mapping[str, Any]
"""Changes to the app's arguments, as a tree of plain values."""

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
    """An app that has answered."""

    process: AppProcess
    first_answer_s: float
    """From starting the process to the first answer, all models loaded."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.process.url

    def reader(self) -> Callable[[], Counter[str]]:
        """Return what reads processor seconds so far by process title.

        The processes are looked up once: that takes long enough to be seen in a measurement.
        """
        processes = [(title(each), each) for each in self.process.processes()]

        def read() -> Counter[str]:
            spent: Counter[str] = Counter()
            for part, process in processes:
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    spent[part] += times.user + times.system  # type: ignore[assignment]
            return spent

        return read

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the app's processes within the block; Ray tolerates ten seconds of that."""
        processes = self.process.processes()
        _signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(processes, signal.SIGCONT)

    def memory_bytes(self) -> dict[str, int]:
        """Return proportional memory (PSS) by process title, shared pages counted once."""
        by_title: dict[str, int] = {}
        for process in self.process.processes():
            with suppress(psutil.Error):
                name = title(process)
                by_title[name] = by_title.get(name, 0) + process.memory_full_info().pss
        return by_title


def demo_config(changes: Changes) -> dict[str, Any]:
    """Return the config file of `make run` with the app's arguments changed, its caches off."""
    config = config_of(DEMO, merged(NO_PHOTO_CACHES, changes))
    limits = config["applications"][0]["args"]["limits"]
    # As the file itself has it: the app's own limit comes first.
    config["http_options"]["request_timeout_s"] = 15 + limits.get("timeout_s", 30)
    return config


@contextmanager
def running_app(
    bundle: Path, *, command: str, changes: Changes | None = None
) -> Iterator[RunningApp]:
    """Start the app on a free port of this machine, wait for its first answer, stop it after.

    Args:
        bundle: Served bundle.
        command: Command that starts it; takes `serve --config --bundle --port`.
        changes: To the app's arguments in the demo's config file.

    Raises:
        AppProcessError: It ended by itself or was not ready in time, or another app runs.
        RuntimeError: It did not answer, or another app did.
    """
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump(demo_config(changes or {})), "utf-8")
        with app_process.running_app(command.split(), config, free_port(), bundle=bundle) as app:
            _check_answer(app.url, bundle)
            yield RunningApp(app, time.monotonic() - app.started)


def _check_answer(url: str, bundle: Path) -> None:
    with Client(url, read_questions(bundle / "photos")) as client:
        reply = client.ask()
    if reply.status != HTTPStatus.OK:
        raise RuntimeError(f"the first question got {reply.status}: {reply.text[:200]}")
    of_bundle, served = reply.body()["bundle"], Bundle.load(bundle)
    if of_bundle != f"{served.name}@{served.version}":
        raise RuntimeError(f"{of_bundle} answers instead of {served.name}: does another app run?")


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
