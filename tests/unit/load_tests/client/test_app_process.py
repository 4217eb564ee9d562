"""Starting and stopping an app, with a small program in its place."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from load_tests.client import app_process
from load_tests.client.app_process import (
    MARK,
    AppProcessError,
    config_of,
    merged,
    processes_of,
    running_app,
)

APP = """
import http.server, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

assert sys.argv[1:3] == ["serve", "--config"], sys.argv
port = int(sys.argv[sys.argv.index("--port") + 1])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
print("Metrics: http://127.0.0.1:1/metrics", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.fixture
def port() -> Iterator[int]:
    # Bound without being listened on, it is nobody else's until the app takes it over.
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(autouse=True)
def own_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run beside this one start apps too."""
    monkeypatch.setattr(app_process, "MARK", f"{MARK}_{os.getpid()}")


def program(folder: Path, text: str) -> list[str]:
    file = folder / "app.py"
    file.write_text(text)
    return [sys.executable, str(file)]


def test_an_app_is_ready_when_the_block_begins_and_gone_when_it_ends(
    tmp_path: Path, port: int
) -> None:
    command = program(tmp_path, APP)
    with running_app(command, tmp_path / "config.yaml", port) as app:
        processes = app.processes()
        assert len(processes) == 2, "the app, and what it left its session for"
        assert app.metrics_url() == "http://127.0.0.1:1/metrics"
        assert app.ready_s > 0
        with (
            pytest.raises(AppProcessError, match="runs already"),
            running_app(command, tmp_path / "config.yaml", port),
        ):
            pass
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert app.lines[-1] == "stopped", "by SIGINT, as Ctrl-C does"


def test_an_app_that_fails_to_start_is_one_sentence_with_its_last_line(
    tmp_path: Path, port: int
) -> None:
    command = program(tmp_path, "print('Starting'); raise SystemExit('error: no such bundle')")
    with (
        pytest.raises(AppProcessError, match=r"ended by itself: error: no such bundle\.$"),
        running_app(command, tmp_path / "config.yaml", port),
    ):
        pass


def test_a_command_that_is_not_there_is_one_sentence(tmp_path: Path, port: int) -> None:
    with (
        pytest.raises(AppProcessError, match="does not start"),
        running_app(["/no/such/admirer"], tmp_path / "config.yaml", port),
    ):
        pass


def test_sigterm_stops_the_app_as_well(tmp_path: Path, port: int) -> None:
    processes = []

    def end_while_it_runs() -> None:
        with running_app(program(tmp_path, APP), tmp_path / "config.yaml", port) as app:
            processes.extend(app.processes())
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        end_while_it_runs()
    assert len(processes) == 2
    assert psutil.wait_procs(processes, timeout=10)[1] == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(sys.platform != "linux", reason="only there a shell's child has no environment")
def test_processes_that_clear_their_environment_are_their_parents() -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", "env -i sh -c 'echo ready; read line'; true"],
        env={**os.environ, app_process.MARK: "of-a-test"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        found = processes_of("of-a-test")
        assert parent.pid in {each.pid for each in found}
        assert len(found) == 2
        assert processes_of("of-another") == []
        parent.communicate(b"\n", timeout=5)


def test_changes_reach_into_a_config_file(tmp_path: Path) -> None:
    base = tmp_path / "config.yaml"
    base.write_text(yaml.safe_dump({"applications": [{"args": {"a": {"b": 1, "c": 2}}}]}))
    (application,) = config_of(base, {"a": {"b": 3}})["applications"]
    assert application["args"] == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize("text", ["", "applications: []", "applications: [{}, {}]", "{"])
def test_what_is_no_config_file_is_refused(tmp_path: Path, text: str) -> None:
    base = tmp_path / "config.yaml"
    base.write_text(text)
    with pytest.raises(AppProcessError, match="not a Serve config file with one application"):
        config_of(base, {})


def test_merging_changes_neither_tree() -> None:
    under, over = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}
    assert merged(under, over) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert under == {"a": {"b": 1, "c": 2}}
