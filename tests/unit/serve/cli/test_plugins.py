import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve.cli import plugins
from serve.cli.__main__ import app

HEAVY = {"bank", "capacity", "evaluation", "faiss", "numpy", "onnxruntime", "ray", "torch"}


def named(name: str, value: str) -> metadata.EntryPoint:
    return metadata.EntryPoint(name, value, plugins.GROUP)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a package on the path, whose command says how it was called."""
    (tmp_path / "a_room").mkdir()
    (tmp_path / "a_room" / "__init__.py").write_text('raise ImportError("too early")\n')
    (tmp_path / "a_room" / "command.py").write_text('"""Do it well.\n\nAnd more.\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "a_room"
    for name in ("a_room", "a_room.command"):
        sys.modules.pop(name, None)


@pytest.fixture
def with_points(monkeypatch: pytest.MonkeyPatch, package: Path) -> typer.Typer:
    """Return a command line with two commands: the package of the second is not there."""
    del package
    points = (named("do", "a_room.command:app"), named("fly", "no_room.command:app"))
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda *, group: points)  # type: ignore[attr-defined]
    command_line = typer.Typer()
    command_line.command()(lambda: None)
    plugins.add_commands(command_line)
    return command_line


def test_the_commands_of_other_packages_are_listed_with_their_summary() -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["--help"]).stdout
    points = metadata.entry_points(group=plugins.GROUP)
    assert {"bank", "capacity", "evaluate"} <= points.names
    for point in points:
        file = plugins.source(point)
        if file is not None:
            assert plugins.summary(file) in shown
            assert f" {point.name} " in shown


@pytest.mark.parametrize(("name", "part"), [("bank", "build"), ("evaluate", "--scenes")])
def test_a_command_of_another_package_answers_with_its_own_help(name: str, part: str) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"admirer {name} " in result.stdout
    assert part in result.stdout


def test_help_imports_no_package_of_another_command_and_nothing_heavy() -> None:
    program = (
        "import sys; from serve.cli.__main__ import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print(*{name.partition('.')[0] for name in sys.modules})"
    )
    words = [sys.executable, "-c", program]
    shown = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "Ask a question about a photo." in shown.stdout
    imported = set(shown.stdout.splitlines()[-1].split())
    assert "typer" in imported
    assert imported & HEAVY == set()


def test_a_command_is_listed_without_importing_its_package(with_points: typer.Typer) -> None:
    shown = CliRunner().invoke(with_points, ["--help"])
    assert shown.exit_code == 0, shown.output
    assert "Do it well." in shown.stdout
    assert "And more." not in shown.stdout


def test_a_command_gets_all_that_follows_its_name(with_points: typer.Typer, package: Path) -> None:
    (package / "__init__.py").write_text("")
    (package / "command.py").write_text(
        "import typer\napp = typer.Typer()\n"
        "@app.command()\ndef do(what: str, times: int = 1): print(what * times)\n"
    )
    result = CliRunner().invoke(with_points, ["do", "ha", "--times", "3"])
    assert result.stdout == "hahaha\n"


def test_a_command_whose_package_is_missing_is_not_listed_and_says_where_it_is(
    with_points: typer.Typer,
) -> None:
    runner = CliRunner()
    assert "fly" not in runner.invoke(with_points, ["--help"]).stdout
    for arguments in (["fly"], ["fly", "--help"], ["fly", "high"]):
        result = runner.invoke(with_points, arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert "`admirer fly` is not installed here" in result.stderr
        assert "checkout" in result.stderr


def test_a_folder_that_is_no_package_is_no_room_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.source(named("fly", "some_folder.command:app")) is None
    assert plugins.source(named("fly", "serve.no_such_module:app")) is None


def test_every_installed_command_has_a_summary_of_one_line() -> None:
    found = map(plugins.source, metadata.entry_points(group=plugins.GROUP))
    installed = [file for file in found if file is not None]
    assert len(installed) >= 2
    for file in installed:
        text = plugins.summary(file)
        assert text.endswith(".")
        assert "`" not in text
        assert len(text) < 80
