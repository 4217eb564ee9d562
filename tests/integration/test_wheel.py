"""The project is released as images and a chart; a wheel is what `uv pip install .` makes of it."""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.dockerfile import copied

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "uv" / "bin" / "uv"
SERVING = ROOT / ".venv" / "bin" / "python"
DEMO = ROOT / "bundles" / "demo"
PHOTO = DEMO / "photos" / "photo-01.jpg"

Run = Callable[..., subprocess.CompletedProcess[str]]


def output(*words: object) -> str:
    """Return what a command prints; it has a minute."""
    line = [str(word) for word in words]
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wheel_of(source: Path, out: Path) -> Path:
    """Return the wheel of a source folder, built without network and without isolation."""
    options = ("--wheel", "--no-build-isolation", "--offline", "--python", SERVING)
    output(UV, "build", *options, "--out-dir", out, source)
    (wheel,) = out.glob("admirer-*.whl")
    return wheel


def environment(wheel: Path, folder: Path) -> Run:
    """Return what runs a program of a new environment, in an empty folder.

    It has the wheel, and from the environment that serves the dependencies: a path that a `.pth`
    file names is searched, but its own `.pth` files, such as the checkout's, are not read.
    """
    output(SERVING, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    places = ("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    (Path(output(python, *places)) / "serving.pth").write_text(output(SERVING, *places) + "\n")
    output(UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel)
    empty = folder.parent / "empty"
    empty.mkdir()
    variables = {"PATH": os.environ["PATH"], "HOME": str(empty), "COLUMNS": "200"}

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(folder / "bin" / program), *(str(each) for each in arguments)],
            cwd=empty,
            env=variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of a copy of the checkout, since setuptools writes into what it builds."""
    source = tmp_path_factory.mktemp("checkout") / "source"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "bundles", "runs")
    shutil.copytree(ROOT, source, ignore=left_out)
    return wheel_of(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return environment(wheel, tmp_path_factory.mktemp("clean") / "environment")


def test_a_wheel_has_all_of_its_packages_and_no_tests(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tops = {name.partition("/")[0] for name in names}
    assert tops >= {"bank", "deployments", "evaluation", "models", "serve"}
    assert tops & {"benchmarks", "charts", "dashboards", "docs", "k8s", "tests", "tools"} == set()
    for top in tops:
        files = {
            str(file.relative_to(ROOT))
            for file in (ROOT / top, *(ROOT / top).rglob("*"))
            if file.is_file() and file.suffix not in {".md", ".pyc"} and "runs" not in file.parts
        }
        assert files
        assert files <= names


def test_a_wheel_in_a_clean_environment_answers(run: Run) -> None:
    found = run("python", "-c", "import serve; print(serve.__file__)")
    assert "/environment/" in found.stdout
    answer = run("admirer", "ask", PHOTO, "how many people are there?", "--bundle", DEMO)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_a_wheel_without_a_bundle_says_so_in_one_line(run: Run) -> None:
    answer = run("admirer", "ask", PHOTO, "how many people are there?")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ")
    assert "no such bundle" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_wheel_has_the_config_that_it_serves_by_default(run: Run) -> None:
    shown = run("admirer", "serve", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "--config" in shown.stdout
    started = run("admirer", "serve", "--bundle", "nowhere")
    assert started.returncode == 1
    assert "no such bundle" in started.stderr


def test_a_wheel_lists_the_commands_of_all_its_packages(run: Run) -> None:
    shown = run("admirer", "--help").stdout
    for name in ("ask", "serve", "bank", "capacity", "evaluate"):
        assert f" {name} " in shown


def test_what_the_images_that_serve_hold_answers_and_says_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in copied("sources"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source)
    run = environment(wheel_of(source, tmp_path / "wheel"), tmp_path / "environment")
    answer = run("admirer", "ask", PHOTO, "how many people are there?", "--bundle", DEMO)
    assert answer.returncode == 0, answer.stderr
    shown = run("admirer", "--help").stdout
    assert " bank " in shown
    for name in ("capacity", "evaluate"):
        assert f" {name} " not in shown
        refused = run("admirer", name)
        assert refused.returncode == 2
        assert f"`admirer {name}` is not installed here" in refused.stderr
        assert refused.stderr.count("\n") == 1
