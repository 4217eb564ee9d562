"""A private local Ray, started and stopped with all its processes.

It has its own folder, token and ports, and listens on the loopback address: it neither joins nor
ends another cluster on this machine, and accepts no commands of others. Ray reads its variables on
import, so it is imported inside functions, after they are set.
"""

import contextlib
import io
import logging as logging_levels
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from serve.cli.loopback import LOOPBACK, haproxy_files, narrow_serve, open_ports, worker_variables
from serve.cli.ray_environment import environment, free_port

STOP_WITHIN_S = 10
OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Near Ray's minimum: photos are passed by value, and nothing is stored."""

LONGEST_TEMPORARY = 17
"""Longest path of the temporary folder, in characters: paths of Unix sockets have a limit."""

_PATIENCE = {"RAY_raylet_start_wait_time_s": "120", "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}
"""Ray's default timeouts are too short on a busy machine."""

_FRUGALITY = {
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    "REPORTER_UPDATE_INTERVAL_MS": "10000",
    "RAY_memory_monitor_refresh_ms": "1000",
    "RAY_local_fs_monitor_interval_ms": "1000",
    "RAY_raylet_check_gc_period_milliseconds": "1000",
    "RAY_raylet_report_resources_period_milliseconds": "1000",
}
"""Longer intervals leave the cores to the models: at ten times a second, Ray's control loop alone
takes a tenth of a core. Memory and disk are still checked once a second."""


def prepare() -> None:
    """Set the variables that this Ray needs.

    Raises:
        RuntimeError: Ray is imported already: it would ask for no token, and listen everywhere.
    """
    if "ray" in sys.modules:
        raise RuntimeError("Ray is imported before its variables are set")
    os.environ.pop("RAY_ADDRESS", None)
    # Despite its name, this makes Ray listen on loopback: who reaches its ports can run code.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.update(_PATIENCE | _FRUGALITY)
    os.environ.update(environment("haproxy"))


class LocalRayError(Exception):
    """Ray did not start; the message says why, or names the log folder."""


@dataclass(frozen=True)
class LocalRay:
    """A running Ray: log folder and metrics URL."""

    logs: Path
    metrics_url: str


@contextmanager
def local_ray(http: dict[str, Any], logging: dict[str, Any] | None) -> Iterator["LocalRay"]:
    """Start Ray Serve, yield where its logs and metrics are, and stop all its processes.

    The logs are kept only if the block fails.

    Args:
        http: `http_options` of a Serve config file. Only HAProxy listens on their `host`; all
            else is on loopback.
        logging: `logging_config` of a Serve config file.

    Raises:
        LocalRayError: It did not start.
    """
    folder = _folder()
    os.environ.update(haproxy_files(folder))
    keeps_logs = False
    try:
        metrics_port = free_port()
        _begin(folder, metrics_port, http, logging or {})
        yield LocalRay(
            logs=folder / "ray" / "session_latest" / "logs" / "serve",
            metrics_url=f"http://127.0.0.1:{metrics_port}/metrics",
        )
    except Exception:
        keeps_logs = True
        raise
    finally:
        _stop()
        if not keeps_logs:
            shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """Make a folder for all files of this run, closed to other users."""
    place = tempfile.gettempdir()
    if len(place) > LONGEST_TEMPORARY:
        place = "/tmp"  # noqa: S108 - the folder made there is private
    return Path(tempfile.mkdtemp(prefix="admirer-", dir=place))


def check_ports(own: int) -> None:
    """Check that only the app's own port can be reached from another machine.

    Raises:
        LocalRayError: Another port can: a part of Ray does not listen where it should.
    """
    reached = sorted({f"{port} of {name}" for port, name in open_ports() if port != own})
    if reached:
        raise LocalRayError(f"others could reach ports that are Ray's own: {', '.join(reached)}")


@contextmanager
def _only_what_serves() -> Iterator[None]:
    """Skip daemons that only multi-node clusters or Ray's dashboard need.

    Each imports Ray on the cores on which the stages start, and delays the first answer. `ray.init`
    has no public option for this.
    """
    from ray._private.node import Node

    with ExitStack() as stack:
        for unused in ("start_monitor", "start_log_monitor", "start_api_server"):
            stack.enter_context(patch.object(Node, unused))
        yield


def _begin(folder: Path, metrics_port: int, http: dict[str, Any], logging: dict[str, Any]) -> None:
    import ray
    from ray import serve as ray_serve
    from ray.serve.schema import LoggingConfig

    logging_levels.getLogger("ray.serve").setLevel(logging_levels.WARNING)
    try:
        os.environ.update(worker_variables(http["host"]))
        narrow_serve(http["host"])  # as each worker will, so that a Ray that differs fails here
        # Ray's workers would otherwise import packages of the user's working folder first.
        with _only_what_serves(), contextlib.chdir(folder):
            # Ray lets every user write here, so it lies in a private folder.
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging_levels.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
                _metrics_export_port=metrics_port,
                _temp_dir=str(folder / "ray"),
            )
        ray_serve.start(
            proxy_location="HeadOnly",
            http_options=http | {"host": LOOPBACK},
            logging_config=LoggingConfig(**logging),
        )
    except Exception as error:
        raise LocalRayError(f"Ray did not start; its logs are in {folder}") from error


def _stop() -> None:
    """Shut Ray down gracefully, then kill remaining processes; Ctrl-C cuts the first part short."""
    import ray
    from ray import serve as ray_serve

    ours = psutil.Process().children(recursive=True)
    # Ray's threads log errors about the stopped controller, which are expected.
    unread = io.StringIO()
    with contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
        with contextlib.suppress(Exception, KeyboardInterrupt):
            ray_serve.shutdown()
        with contextlib.suppress(Exception, KeyboardInterrupt):
            ray.shutdown()
    _, left = psutil.wait_procs(ours, timeout=STOP_WITHIN_S)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_WITHIN_S)
