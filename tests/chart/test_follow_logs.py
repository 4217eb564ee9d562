"""The container that prints Ray's log files, as the process that it is."""

import logging
import logging.handlers
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chart_rendering import CHART

SCRIPT = CHART / "files" / "follow_logs.py"
PATIENCE_S = 20


class Follower:
    """The running script, and its lines as they come."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", SCRIPT, folder], stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def lines(self, count: int) -> list[str]:
        return [self._lines.get(timeout=PATIENCE_S) for _ in range(count)]

    def has_begun(self, folder: Path) -> None:
        """Wait until it looks at what is new: only then is the line of a new file printed."""
        for number in range(PATIENCE_S):
            (folder / f"begun_{number}.log").write_text("begun\n")
            time.sleep(1)
            if not self._lines.empty():
                break
        assert set(self.lines(self._lines.qsize())) == {"begun"}

    def stop(self) -> list[str]:
        """What still came before the process ended by itself."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        self._reading.join()
        assert self.process.stdout
        self.process.stdout.close()
        return [self._lines.get() for _ in range(self._lines.qsize())]


@pytest.fixture
def serve_logs(tmp_path: Path) -> Path:
    folder = tmp_path / "session_2026-01-01" / "logs" / "serve"
    folder.mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_2026-01-01")
    return folder


@pytest.fixture
def follower(serve_logs: Path, tmp_path: Path) -> Iterator[Follower]:
    (serve_logs / "old.log").write_text("was there before\n")
    made = Follower(tmp_path)
    made.has_begun(serve_logs)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.stop()


def test_new_files_are_followed_and_each_line_comes_once(
    follower: Follower, serve_logs: Path
) -> None:
    (serve_logs / "replica_a.log").write_text('{"a": 1}\n')
    assert follower.lines(1) == ['{"a": 1}']
    with (serve_logs / "replica_a.log").open("a") as file:
        file.write('{"a": 2}\n{"half')
        file.flush()
        assert follower.lines(1) == ['{"a": 2}']
        file.write('": 3}\n')
    assert follower.lines(1) == ['{"half": 3}']
    (serve_logs / "replica_b.log").write_text("another\n")
    with (serve_logs / "old.log").open("a") as file:
        file.write("of an old file\n")
    assert sorted(follower.lines(2)) == ["another", "of an old file"]
    assert follower.stop() == []


def test_no_line_is_lost_when_python_rotates_its_files(
    follower: Follower, serve_logs: Path
) -> None:
    handler = logging.handlers.RotatingFileHandler(
        serve_logs / "replica_a.log", maxBytes=5000, backupCount=3
    )
    written = [f"line {number} {'x' * 90}" for number in range(400)]
    for number, line in enumerate(written):
        handler.emit(logging.LogRecord("", 20, "", 0, line, None, None))
        if number % 25 == 0:
            time.sleep(0.6)  # at most one rotation between two looks, as with Ray's large files
    handler.close()
    assert len(list(serve_logs.glob("replica_a.log*"))) == 4
    assert follower.lines(len(written)) == written
    assert follower.stop() == []


def test_what_was_written_last_is_printed_before_the_end(
    follower: Follower, serve_logs: Path
) -> None:
    (serve_logs / "replica_a.log").write_text("last words\n")
    assert follower.stop() == ["last words"]


def test_a_line_without_an_end_is_printed_in_pieces(follower: Follower, serve_logs: Path) -> None:
    (serve_logs / "replica_a.log").write_text("x" * (3 << 20))
    with (serve_logs / "replica_a.log").open("a") as file:
        file.write("\n")
    assert [len(line) for line in follower.lines(1)] == [3 << 20]
    assert follower.stop() == []


def test_a_session_that_begins_later_is_followed(follower: Follower, tmp_path: Path) -> None:
    folder = tmp_path / "session_2026-01-02" / "logs" / "serve"
    folder.mkdir(parents=True)
    (folder / "proxy_1.log").write_text("second session\n")
    assert follower.lines(1) == ["second session"]
    assert follower.stop() == []


def test_files_that_vanish_do_no_harm(follower: Follower, serve_logs: Path) -> None:
    (serve_logs / "replica_a.log").write_text("one\n")
    assert follower.lines(1) == ["one"]
    (serve_logs / "replica_a.log").unlink()
    (serve_logs / "replica_b.log").write_text("two\n")
    assert follower.lines(1) == ["two"]
    assert follower.stop() == []
