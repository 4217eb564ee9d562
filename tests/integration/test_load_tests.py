"""Locust as a process of its own, against the real API over HTTP with stages that need no model."""

import asyncio
import csv
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from support.fake_stages import FakeStages

from deployments.errors import ModelNotReady
from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.cli.ray_environment import free_port
from serve.settings import AppSettings

CHECKOUT = Path(__file__).parents[2]
STAGES = {"captioner", "tagger", "retriever", "assembler", "answerer"}


@dataclass
class Server:
    url: str
    stages: FakeStages = field(default_factory=FakeStages)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(AppSettings()) as running:
        yield running


@contextmanager
def serving(settings: AppSettings) -> Iterator[Server]:
    port = free_port()
    ours = Server(f"http://127.0.0.1:{port}")
    api = create_api(ours.stages.pipeline(), settings, Bundle.load(CHECKOUT / "bundles/demo"))
    config = uvicorn.Config(api, port=port, log_level="error", ws="none", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.05)
        yield ours
    finally:
        running.should_exit = True
        thread.join(30)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """What the fake answerer says is the known answer."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (64, 48), "red").save(folder / name)
        rows += [{"photo": name, "question": f"how many {w}?", "answer": "two"} for w in "xy"]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def load_test(
    url: str, photos: Path, out: Path, *options: str, seconds: int = 8
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "load_tests/locustfile.py", "--headless"]
    command += ["--host", url, "--users", "11", "--spawn-rate", "11", "--run-time", f"{seconds}s"]
    command += ["--photos", str(photos), "--think-time-s", "0.1", "--only-summary"]
    command += ["--csv", str(out / "locust"), "--report-dir", str(out), *options]
    return run(command)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def rows(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "locust_stats.csv").open() as file:
        return {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}


def test_a_good_server_keeps_all_limits_and_every_stage_has_a_row(
    server: Server, photos: Path, tmp_path: Path
) -> None:
    test = load_test(server.url, photos, tmp_path, "--shape", "soak", "--html", str(tmp_path / "h"))
    assert test.returncode == 0, test.stderr
    assert "All limits were kept." in test.stderr
    found = rows(tmp_path)
    for route in ("answers", "answers (same frame)", "answers (bad)", "captions", "tags"):
        row = found["POST", f"/v1/{route}"]
        assert int(row["Request Count"]) > 0
        assert row["Failure Count"] == "0"
    assert int(found["POST", "/v1/embeddings"]["Request Count"]) > 0
    assert {name for kind, name in found if kind == "STAGE"} >= STAGES
    asked = sum(int(row["Request Count"]) for (kind, _), row in found.items() if kind == "POST")
    assert int(found["", "Aggregated"]["Request Count"]) == asked
    with (tmp_path / "samples.csv").open() as file:
        samples = list(csv.DictReader(file))
    assert max(float(sample["answers_per_s"]) for sample in samples) > 0
    assert {sample["users"] for sample in samples} >= {"11"}
    assert int(samples[-1]["memory_bytes"]) > 10_000_000
    with Image.open(tmp_path / "load-test.png") as plot:
        assert plot.width > 500
    assert (tmp_path / "h").read_text().lstrip().startswith("<!DOCTYPE html>")


def test_wrong_answers_break_a_limit_though_all_have_status_200(
    server: Server, photos: Path, tmp_path: Path
) -> None:
    text = (photos / "questions.jsonl").read_text().replace('"two"', '"three"')
    (photos / "questions.jsonl").write_text(text)
    test = load_test(server.url, photos, tmp_path, seconds=4)
    assert test.returncode == 1, test.stderr
    assert "Limit broken: failures" in test.stderr
    assert "'two', but 'three' is known" in test.stdout + test.stderr


def test_answers_without_tags_break_a_limit_unless_told_otherwise(
    server: Server, photos: Path, tmp_path: Path
) -> None:
    stages = server.stages

    async def fail_at_work() -> None:
        # Not where it is only asked whether it is ready.
        if stages.started["tagger"] > stages.finished["tagger"]:
            raise ModelNotReady("No.")

    stages.instead["tagger"] = fail_at_work
    only = ("Visitor",)
    test = load_test(server.url, photos, tmp_path, *only, seconds=4)
    assert (test.returncode, "degraded: without tagger" in test.stderr + test.stdout) == (1, True)
    test = load_test(server.url, photos, tmp_path, "--allow-degraded", *only, seconds=4)
    assert test.returncode == 0, test.stderr


def test_refusals_have_a_row_and_a_limit_of_their_own_and_are_no_failures(
    photos: Path, tmp_path: Path
) -> None:
    settings = AppSettings.model_validate({"limits": {"max_concurrent_requests": 1}})
    with serving(settings) as server:
        server.stages.instead["answerer"] = lambda: asyncio.sleep(0.3)
        test = load_test(server.url, photos, tmp_path, "--max-refused-ratio", "0.1")
    assert test.returncode == 1, test.stderr
    assert test.stderr.count("Limit broken") == 1, test.stderr
    assert "Limit broken: refused" in test.stderr
    refused = rows(tmp_path)["REFUSED", "/v1/answers"]
    assert int(refused["Request Count"]) > 0
    assert refused["Failure Count"] == "0"
    # Who is told to wait a second sends no more than one request a second.
    assert int(refused["Request Count"]) <= 11 * 9


def test_slow_answers_break_a_limit(server: Server, photos: Path, tmp_path: Path) -> None:
    test = load_test(server.url, photos, tmp_path, "--max-p95-ms", "0.5", seconds=4)
    assert test.returncode == 1, test.stderr
    assert test.stderr.count("Limit broken: p95") == 1


def test_a_server_that_is_down_is_one_sentence_before_anything_starts(
    photos: Path, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    test = load_test(url, photos, tmp_path)
    assert test.returncode == 1
    assert test.stderr.splitlines()[-1].startswith(f"The server at {url} cannot be reached")
    assert "Traceback" not in test.stderr
    assert not list(tmp_path.glob("*.png"))


def test_workers_do_the_asking_while_the_master_judges_and_tells_prometheus(
    server: Server, photos: Path, tmp_path: Path
) -> None:
    port = free_port()
    users: list[str] = []

    def scrape() -> None:
        until = time.monotonic() + 25
        while time.monotonic() < until and "admirer_load_test_users 11.0" not in users:
            time.sleep(0.3)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
                    users.extend(reply.read().decode().splitlines())
            except OSError:
                continue

    scraping = threading.Thread(target=scrape)
    scraping.start()
    more = ["--processes", "2", "--metrics-port", str(port), "--shape", "soak"]
    master = str(free_port())
    more += ["--master-bind-port", master, "--master-port", master]
    test = load_test(server.url, photos, tmp_path, *more)
    scraping.join()
    assert test.returncode == 0, test.stderr
    assert "admirer_load_test_users 11.0" in users
    assert {name for kind, name in rows(tmp_path) if kind == "STAGE"} >= STAGES


@pytest.mark.parametrize("what", ["nowhere", "empty"])
def test_photos_that_cannot_be_used_are_one_sentence(
    server: Server, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    test = load_test(server.url, folder, tmp_path)
    assert test.returncode == 1
    assert str(folder) in test.stderr.splitlines()[-1]
    assert "Traceback" not in test.stderr


def test_the_page_shows_our_options_and_a_run_on_it_is_judged_too(
    server: Server, photos: Path, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "locust", "-f", "load_tests/locustfile.py", "--autostart"]
    command += ["--web-host", "127.0.0.1", "--web-port", str(port), "--host", server.url]
    command += ["--users", "4", "--spawn-rate", "4", "--run-time", "4s", "--autoquit", "1"]
    command += ["--photos", str(photos), "--think-time-s", "0.1", "--report-dir", str(tmp_path)]
    test = run(command)
    assert test.returncode == 0, test.stderr
    assert "All limits were kept." in test.stderr
    assert (tmp_path / "load-test.png").exists()
