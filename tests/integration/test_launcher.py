import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.started_app import CHECKOUT, COMMAND, DEMO, started_app

from serve.cli import launcher
from serve.cli.launcher import Options, PortInUseError, StartError, launch
from serve.cli.ray_environment import free_port


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    parts = "".join(
        f"{part}: {{path: x}}\n" for part in ("captioner", "tagger", "clip", "answerer")
    )
    (tmp_path / "bundle.yaml").write_text(f"name: test\nversion: '7'\n{parts}")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model.onnx").touch()
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_one_line(
    taken: int, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "prepare", lambda: None)
    monkeypatch.setattr(launcher, "_is_ours", lambda url: False)
    with pytest.raises(PortInUseError, match=f"127.0.0.1:{taken}.*--port") as caught:
        launch(Options(bundle=str(bundle), port=taken), Any)  # type: ignore[arg-type]
    assert caught.value.exit_status == 2
    monkeypatch.setattr(launcher, "_is_ours", lambda url: True)
    with pytest.raises(PortInUseError, match="admirer runs on"):
        launch(Options(bundle=str(bundle), port=taken), Any)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["applications: 3", "unknown_key: 1", "[", "applications: []"])
def test_a_config_file_that_cannot_be_used_is_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "prepare", lambda: None)
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(StartError):
        launch(Options(config=config), Any)  # type: ignore[arg-type]


def test_a_stage_that_cannot_load_its_model_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "demo"
    shutil.copytree(DEMO, broken)
    graph = broken / "tagger" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    ended = subprocess.run(
        [COMMAND, "serve", "--bundle", broken, "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: the tagger did not start: InvalidProtobuf: ")
    assert str(graph) in line


def test_gpus_that_are_not_there_are_one_line_and_not_minutes_of_waiting() -> None:
    config = CHECKOUT / "serve" / "config" / "demo-gpu.yaml"
    words = ["serve", "--config", str(config), "--bundle", str(DEMO), "--port", str(free_port())]
    ended = subprocess.run(
        [COMMAND, *words],
        cwd=CHECKOUT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},  # so it sees none where there is one
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.splitlines() == [
        "error: the stages reserve 0.8 GPUs and Ray sees 0 here; lower their num_gpus or choose"
        " another --config"
    ]


def test_what_waits_for_a_signal_stops_though_it_was_started_in_the_background() -> None:
    # Where a script starts a program with "&", the program ignores SIGINT.
    words = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable]
    program = "from serve.cli.launcher import wait_for_signal; wait_for_signal()"
    process = subprocess.Popen([*words, program], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)  # again and again: it may not wait yet
    process.kill()
    assert process.communicate()[1].endswith("KeyboardInterrupt\n")


def _as_a_terminal_does(process: int) -> None:
    """Interrupt the whole group, Ray's processes included."""
    os.killpg(process, signal.SIGINT)


def _as_kill_does(process: int) -> None:
    os.kill(process, signal.SIGTERM)


def _in_another_thread(process: int) -> None:
    """Terminate as Linux may: by any thread of the process that does not block the signal."""
    for folder in Path(f"/proc/{process}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        is_blocked = int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1
        if int(folder.name) != process and not is_blocked:
            assert ctypes.CDLL(None).tgkill(process, int(folder.name), signal.SIGTERM) == 0
            return
    raise AssertionError("every other thread blocks the signal")


@pytest.mark.parametrize("stop", [_as_a_terminal_does, _as_kill_does, _in_another_thread])
def test_the_app_starts_answers_and_leaves_nothing_behind(
    stop: Callable[[int], None], tmp_path: Path
) -> None:
    with started_app(tmp_path) as app:
        assert any(line.startswith("First answer after") for line in app.printed())
        command = next(line for line in app.printed() if line.startswith("Ask:"))
        shown = subprocess.run(
            shlex.split(command.removeprefix("Ask:")),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert '"answer":"' in shown.stdout
        assert httpx.get(f"{app.url}/health/ready", trust_env=False).is_success
        ours = app.processes()[1:]
        assert ours
        folder = app.folder
        assert folder.is_dir()
        stop(app.process.pid)
        assert app.process.wait(60) == 0, app.printed()
        assert [each for each in ours if each.is_running()] == []
        assert not folder.exists()
        assert app.printed()[-1] == "Stopped."
