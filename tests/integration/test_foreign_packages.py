"""Folders of somebody else, with packages that are called like ours."""

import os
import subprocess
from pathlib import Path

import pytest
from support.started_app import COMMAND, DEMO, started_app

import admirer_packages

PHOTO = DEMO / "photos" / "photo-01.jpg"


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """Where each foreign package leaves its name when it is imported."""
    folder = tmp_path / "imported"
    folder.mkdir()
    return folder


def foreign_folder(folder: Path, imported: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        code = f"import pathlib; pathlib.Path({str(imported)!r}, {name!r}).touch()\n"
        (folder / name / "__init__.py").write_text(code)
    return folder


@pytest.fixture
def working_folder(tmp_path: Path, imported: Path) -> Path:
    # Not even what we take from others is taken from the folder where somebody stands.
    return foreign_folder(
        tmp_path / "working", imported, *admirer_packages.NAMES, "onnxruntime", "faiss"
    )


@pytest.fixture
def first_on_the_path(tmp_path: Path, imported: Path) -> Path:
    return foreign_folder(tmp_path / "path", imported, *admirer_packages.NAMES)


def test_the_app_starts_from_any_folder_and_runs_nobody_elses_code(
    tmp_path: Path, imported: Path, working_folder: Path, first_on_the_path: Path
) -> None:
    variables = {"PYTHONPATH": str(first_on_the_path)}
    with started_app(tmp_path, cwd=working_folder, environment=variables) as app:
        assert any(line.startswith("First answer after") for line in app.printed())
    assert list(imported.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["ask", str(PHOTO), "how many people are there?", "--bundle", str(DEMO)],
        ["evaluate", "--help"],
        ["bank", "show", "--help"],
        ["capacity", "--help"],
    ],
)
def test_every_command_runs_our_code(
    words: list[str], imported: Path, working_folder: Path, first_on_the_path: Path
) -> None:
    variables = os.environ | {"PYTHONPATH": str(first_on_the_path)}
    subprocess.run([COMMAND, *words], cwd=working_folder, env=variables, check=True, timeout=120)
    assert list(imported.iterdir()) == []
