import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from serve.cli.ray_environment import Transport, environment

CHECKOUT = Path(__file__).parents[2]


def answer(
    transport: Transport, logs: Path, stderr: IO[str] | int
) -> subprocess.CompletedProcess[str]:
    paths = f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'tests'}"
    return subprocess.run(
        [sys.executable, CHECKOUT / "tests" / "support" / "full_log_disk.py", logs],
        cwd=CHECKOUT,
        env=os.environ | environment(transport) | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=120,  # where Ray sends what is printed to the log alone, it would never end
    )


@pytest.mark.parametrize("transport", ["default", "haproxy"])
def test_a_full_log_disk_fails_no_answer_and_errors_are_still_told(
    transport: Transport, tmp_path: Path
) -> None:
    done = answer(transport, tmp_path, subprocess.PIPE)
    assert json.loads(done.stdout) == [200, 500, 200], done.stderr
    assert "No space left on device" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_nor_does_it_where_nothing_can_be_printed_either(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = answer("haproxy", tmp_path, full)
    assert json.loads(done.stdout) == [200, 500, 200]
