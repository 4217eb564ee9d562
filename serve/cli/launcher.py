"""Start the app on this machine and serve until Ctrl-C: `admirer serve` and `make run`.

Printed times count from process start; the first answer goes through the server.
"""

import os
import re
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from rich.console import Console
from yaml import YAMLError

from models.bundle import Bundle, BundleError
from serve.cli import sample_question
from serve.cli.local_ray import LocalRay, LocalRayError, check_ports, local_ray, prepare
from serve.cli.preflight import check_files
from serve.local_settings import settings_of
from serve.settings import AppSettings

if TYPE_CHECKING:
    from ray.serve.schema import ApplicationStatusOverview

APP = "admirer"
_HAS_FAILED = "failed to start"
"""In Ray's message of a deployment whose constructor raised. Ray would try twice more, and in vain:
a stage loads files of this machine."""
START_WITHIN_S = 300
LOOK_EVERY_S = 0.5
"""Each status query costs 60 ms of a core, on the cores on which the stages start."""
SIGNAL_SEEN_WITHIN_S = 1


class StartError(Exception):
    """The app did not start; the message says why in one line."""

    exit_status = 1


class PortInUseError(StartError):
    """Something listens on the port already."""

    exit_status = 2


@dataclass(frozen=True)
class Options:
    """Options of the command line; None means the config file's value."""

    config: Path | None = None
    bundle: str | None = None
    host: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Plan:
    """Settings, checked before anything starts."""

    settings: AppSettings
    http: dict[str, Any]
    logging: dict[str, Any] | None

    @property
    def url(self) -> str:
        """URL of the app for clients on this machine."""
        host = "127.0.0.1" if self.http["host"] == "0.0.0.0" else self.http["host"]  # noqa: S104
        return f"http://{host}:{self.http['port']}"


def launch(options: Options, console: Console) -> None:
    """Start the app, ask it one question, and serve until Ctrl-C or SIGTERM.

    Raises:
        PortInUseError: Something listens on the port already.
        StartError: The config or the bundle cannot be used, or a stage did not start.
    """
    prepare()
    plan = _plan(options)
    _check_free(plan)
    _stop_on_signals()
    try:
        console.print(f"Starting {plan.settings.bundle}")
        with local_ray(plan.http, plan.logging) as ours:
            _stop_on_signals()  # again: Ray has installed its own
            _check_room(plan.settings)
            _start(plan, console)
            check_ports(plan.http["port"])
            _introduce(plan, ours, console)
            wait_for_signal()
    except LocalRayError as error:
        raise StartError(str(error)) from error
    except KeyboardInterrupt:
        console.print("Stopped.")


def _plan(options: Options) -> Plan:
    from serve.config_files import DEMO, read

    try:
        config = read(options.config or DEMO)
        (application,) = config["applications"]
        settings = settings_of(application.get("args", {}), options.bundle)
        check_files(settings)
    except (OSError, ValueError, YAMLError, BundleError) as error:
        raise StartError(str(error)) from None
    http = {"host": "127.0.0.1", "port": 8000, **config.get("http_options", {})}
    http |= {"host": options.host or http["host"], "port": options.port or http["port"]}
    return Plan(settings, http, config.get("logging_config"))


def _check_free(plan: Plan) -> None:
    host, port = plan.http["host"], plan.http["port"]
    with socket.socket() as listener:
        # As servers do: sockets in TIME_WAIT do not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            if _is_ours(plan.url):
                message = f"admirer runs on {plan.url} already; stop it or choose another --port"
            else:
                message = (
                    f"cannot listen on {host}:{port} ({error.strerror}); choose another --port"
                )
            raise PortInUseError(message) from None


def _is_ours(url: str) -> bool:
    try:
        health = httpx.get(f"{url}/health/live", timeout=2, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return False
    return bool(health == {"status": "live"})


def wait_for_signal() -> None:
    """Block until SIGINT or SIGTERM, then raise KeyboardInterrupt.

    Not signal.pause(): it never returns if a thread of Ray gets the signal.
    """
    _stop_on_signals()  # a process that was started in the background ignores SIGINT until now
    while True:
        time.sleep(SIGNAL_SEEN_WITHIN_S)


def _stop_on_signals() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)


def _check_room(settings: AppSettings) -> None:
    """Check that there are the CPUs and GPUs of the first replicas, or Ray would wait for ever.

    Raises:
        StartError: There are fewer.
    """
    import ray

    there = ray.cluster_resources()
    for resource, setting in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
        reserved = sum(
            getattr(scaling, setting) * scaling.autoscaling.min_replicas
            for scaling in settings.scalings().values()
        )
        has = there.get(resource, 0.0)
        if reserved > has + 1e-6:  # sums of tenths are not exact
            raise StartError(
                f"the stages reserve {reserved:g} {resource}s and Ray sees {has:g} here; lower"
                f" their {setting} or choose another --config"
            )


def _start(plan: Plan, console: Console) -> None:
    """Deploy the app and print each stage as it becomes ready.

    Raises:
        StartError: A stage failed to start, or not all did in time.
    """
    from ray import serve as ray_serve

    from serve.app import build

    # Ray does not pass its own logging settings on to the stages.
    target = ray_serve.RunTarget(
        build(plan.settings), name=APP, route_prefix="/", logging_config=plan.logging
    )
    ray_serve.run_many(
        [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
    )
    ready: set[str] = set()
    until = time.monotonic() + START_WITHIN_S
    with console.status("Waiting for the stages"):
        while not _is_ready(plan.url, ready):
            if time.monotonic() > until:
                raise StartError(f"the app is not ready after {START_WITHIN_S} s")
            time.sleep(LOOK_EVERY_S)
            _look(ray_serve.status().applications[APP], ready, console)
    # The app may answer before Ray has called its last stage healthy.
    for name in plan.settings.scalings().keys() - ready:
        _print_ready(name, ready, console)


def _look(app: "ApplicationStatusOverview", ready: set[str], console: Console) -> None:
    """Print each stage that has become ready.

    Raises:
        StartError: A stage failed to start.
    """
    for name, stage in app.deployments.items():
        if _HAS_FAILED in stage.message:
            raise StartError(f"the {name} did not start: {_cause(stage.message)}")
        if stage.status == "HEALTHY" and name not in ready:
            _print_ready(name, ready, console)
    if app.status == "DEPLOY_FAILED":
        raise StartError(_cause(app.message))


def _print_ready(name: str, ready: set[str], console: Console) -> None:
    ready.add(name)
    console.print(f"  {name:<10} ready after {_age_s():5.1f} s")


def _is_ready(url: str, ready: set[str]) -> bool:
    if "ingress" not in ready:
        return False
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _cause(message: str) -> str:
    """Return the last line of a traceback, without the modules of the error's class."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return re.sub(r"^(\w+\.)+(?=\w+:)", "", lines[-1]) if lines else "it gave no reason"


def _introduce(plan: Plan, ours: LocalRay, console: Console) -> None:
    """Send the first question, and print what to do next.

    Raises:
        StartError: There was no answer.
    """
    sample = Bundle.load(plan.settings.bundle).sample_question()
    if sample is not None:
        try:
            answer = sample_question.ask(sample, plan.url)
        except httpx.HTTPError as error:
            raise StartError(f"the first question got no answer: {error}") from None
        console.print(f"First answer after {_age_s():.1f} s: {sample.text} {answer}", style="bold")
        console.print(f"\nAsk:  {sample_question.curl(sample, plan.url)}")
    console.print(f"Page: {plan.url}/docs\nMetrics: {ours.metrics_url}\nLogs: {ours.logs}")
    console.print("Stop: Ctrl-C")


def _age_s() -> float:
    """Return the age of this process in seconds, imports included."""
    return time.time() - psutil.Process(os.getpid()).create_time()
