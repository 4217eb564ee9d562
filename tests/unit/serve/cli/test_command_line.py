import json
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from support.fake_stages import CAPTION, FakeStages, failing
from typer.testing import CliRunner

from deployments.errors import AnswererFailed, StageFailed
from models.bundle import Bundle, SampleQuestion
from serve.api.fastapi_app import create_api
from serve.cli import sample_question
from serve.cli.__main__ import app
from serve.settings import AppSettings

QUESTION = "what colour is the mug?"


@pytest.fixture
def run() -> Any:
    runner = CliRunner(env={"COLUMNS": "100"})
    return lambda *arguments: runner.invoke(app, [str(each) for each in arguments])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = BytesIO()
    Image.new("RGB", (64, 48), "orange").save(file, "JPEG")
    place = tmp_path / "room.jpg"
    place.write_bytes(file.getvalue())
    return place


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    parts = "".join(
        f"{part}: {{path: x}}\n" for part in ("captioner", "tagger", "clip", "answerer")
    )
    (tmp_path / "bundle.yaml").write_text(f"name: test\nversion: '7'\n{parts}")
    return tmp_path


@pytest.fixture
def stages(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    """Stages behind a server that every address leads to."""
    stages = FakeStages()
    api = create_api(stages.pipeline(), AppSettings(), Bundle.load(bundle))
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda: httpx.ASGITransport(api))
    return stages


def is_one_line_error(result: Any) -> bool:
    return bool(
        result.exit_code != 0
        and result.stdout == ""
        and result.stderr.startswith("error: ")
        and result.stderr.count("\n") == 1
    )


def test_the_answer_of_a_server_is_printed(run: Any, photo: Path, stages: FakeStages) -> None:
    result = run("ask", photo, QUESTION, "--url", "http://server")
    assert result.exit_code == 0, result.output
    assert result.stdout == "two\n"
    assert stages.calls["retriever"][0][1] == QUESTION


def test_explain_prints_what_led_to_the_answer(run: Any, photo: Path, stages: FakeStages) -> None:
    del stages
    shown = run("ask", photo, QUESTION, "--url", "http://server", "--explain").stdout
    for part in (CAPTION, "mug 0.90", "how many people? one", f"Question: {QUESTION}", "test@7"):
        assert part in shown


def test_json_is_the_whole_answer(run: Any, photo: Path, stages: FakeStages) -> None:
    del stages
    body = json.loads(run("ask", photo, QUESTION, "--url", "http://server", "--json").stdout)
    assert body["answer"] == "two"
    assert "prompt" not in body


def test_a_degraded_answer_says_so_on_stderr(run: Any, photo: Path, stages: FakeStages) -> None:
    stages.instead = {"tagger": failing(StageFailed("down"))}
    result = run("ask", photo, QUESTION, "--url", "http://server")
    assert result.stdout == "two\n"
    assert "tagger" in result.stderr


def test_errors_of_asking_are_one_line(
    run: Any, photo: Path, tmp_path: Path, stages: FakeStages
) -> None:
    assert is_one_line_error(run("ask", tmp_path / "none.jpg", QUESTION, "--url", "http://server"))
    assert is_one_line_error(run("ask", tmp_path, QUESTION, "--url", "http://server"))
    assert is_one_line_error(run("ask", photo, " ", "--url", "http://server"))
    assert is_one_line_error(run("ask", photo, QUESTION, "--bundle", tmp_path / "none"))
    stages.instead = {"answerer": failing(AnswererFailed("The language model refused."))}
    result = run("ask", photo, QUESTION, "--url", "http://server")
    assert is_one_line_error(result)
    assert "The language model refused." in result.stderr


def test_a_server_that_is_not_there_is_one_line(run: Any, photo: Path) -> None:
    result = run("ask", photo, QUESTION, "--url", "http://127.0.0.1:1")
    assert is_one_line_error(result)


def test_the_version_and_help_of_every_command_are_printed(run: Any) -> None:
    assert run("--version").stdout.startswith("admirer ")
    for command in ("ask", "serve"):
        assert "--bundle" in run(command, "--help").stdout


def test_the_first_question_is_shown_as_a_command_line(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    assert sample_question.curl(SampleQuestion(photo, "what's it?"), "http://127.0.0.1:8000") == (
        "curl -F image=@room.jpg -F 'question=what'\"'\"'s it?' http://127.0.0.1:8000/v1/answers"
    )
