"""Rules about the repository that would otherwise drift."""

import re
import sys
import tomllib
from pathlib import Path

import typer
from setuptools import find_packages

from serve.cli.__main__ import app as admirer
from tools import settings_table

ROOT = Path(__file__).parents[2]


def test_the_page_of_settings_is_what_the_settings_say() -> None:
    assert settings_table.page() == settings_table.PAGE.read_text(), "run make docs"


def test_the_page_of_settings_lists_shared_classes_once_and_entries_of_a_mapping() -> None:
    names = [name for name, _, _ in settings_table.rows()]
    assert len(names) > 60
    assert len(set(names)) == len(names)
    assert "<stage>.batch.max_size" in names
    assert "answerer.prices.<name>.prompt_dollars_per_million" in names


def test_every_requirement_is_pinned_with_hashes_and_no_index_is_named() -> None:
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert {file.stem for file in files} == {"cpu", "dev", "gpu", "load-test", "uv"}
    for file in files:
        text = file.read_text()
        pins = re.findall(r"^[a-z0-9][^\s=]*==", text, flags=re.MULTILINE | re.IGNORECASE)
        assert pins, file
        assert text.count("--hash=sha256:") >= len(pins)
        assert "://" not in text


def test_the_cpu_set_has_no_torch() -> None:
    assert not re.search(r"^torch==", (ROOT / "requirements/cpu.txt").read_text(), re.MULTILINE)


def test_the_load_test_set_has_what_load_tests_import_and_nothing_of_the_app() -> None:
    pins = (ROOT / "requirements/load-test.txt").read_text()
    pinned = {name.replace("-", "_") for name in re.findall(r"^([\w-]+)==", pins, re.MULTILINE)}
    left_out = (ROOT / ".dockerignore").read_text().split()
    sources = sorted((ROOT / "load_tests").rglob("*.py"))
    files = [each for each in sources if str(each.relative_to(ROOT)) not in left_out]
    assert ROOT / "load_tests/client/traffic.py" in files
    names = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
    imported = {name for file in files for name in names.findall(file.read_text())}
    others = imported - sys.stdlib_module_names - {"load_tests"}
    assert others >= {"locust", "matplotlib", "prometheus_client"}
    assert others <= pinned
    assert not pinned & {"ray", "onnxruntime", "torch", "fastapi", "openai"}


def test_every_command_that_a_page_names_exists() -> None:
    folders = [ROOT, *(ROOT / name for name in ("docs", "charts/admirer", "bundles/demo", "k8s"))]
    folders += [ROOT / "load_tests", ROOT / "benchmarks", ROOT / "dashboards"]
    pages = [page for folder in folders for page in folder.glob("*.md")]
    pages.remove(ROOT / "CHANGELOG.md")  # it may name what is gone
    text = "\n".join(page.read_text() for page in pages)
    makes = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE))
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    admirers = set(re.findall(r"(?:`|/bin/)admirer ([a-z]+)", text))
    assert {"run", "test", "image"} <= makes
    assert {"ask", "serve", "bank"} <= admirers
    assert makes - set(targets) == set()
    assert admirers - set(typer.main.get_command(admirer).commands) == set()  # type: ignore[attr-defined]


def test_every_package_with_modules_is_installed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    include = setuptools["packages"]["find"]["include"]
    rooms = {each.removesuffix("*") for each in include}
    assert rooms >= {"bank", "deployments", "evaluation", "models", "serve"}
    listed = set(find_packages(str(ROOT), include=include))
    found = {
        ".".join(folder.relative_to(ROOT).parts)
        for room in rooms
        for folder in [ROOT / room, *(ROOT / room).rglob("*")]
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert found
    assert found == listed
