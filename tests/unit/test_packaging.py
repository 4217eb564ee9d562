"""What is installed, and what lies in the images that serve."""

import ast
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any

from support.dockerfile import copied

import admirer_packages
from serve.cli import plugins

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {file.parent.name for file in ROOT.glob("*/__init__.py")}
"""Top-level ones of the checkout."""


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_images_that_serve_hold_all_that_their_files_import() -> None:
    there = PACKAGES & set(copied("sources"))
    assert there == {"bank", "deployments", "models", "serve"}
    files = [file for package in there for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 50
    missing = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imported(file)
        if name in PACKAGES - there
    }
    assert missing == set()


def test_the_images_that_serve_copy_nothing_else_of_the_checkout() -> None:
    for stage in ("cpu", "gpu", "system"):
        assert copied(stage) == []
    assert set(copied("sources")) - PACKAGES == {
        "LICENSE",
        "README.md",
        "admirer_packages.py",
        "pyproject.toml",
        "bundles",
    }


def test_dockerignore_lets_through_what_the_dockerfile_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    stages = ("sources", "installer", "cpu-environment", "load-test")
    needed = {name.partition("/")[0] for stage in stages for name in copied(stage)}
    assert {line[1:] for line in lines if line.startswith("!")} == needed


def test_import_contracts_know_every_package() -> None:
    assert {"benchmarks", "evaluation", "serve", "training"} <= PACKAGES
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES


def test_our_packages_are_found_before_those_of_others() -> None:
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert set(admirer_packages.NAMES) == {pattern.removesuffix("*") for pattern in patterns}


def test_mypy_knows_every_package() -> None:
    assert set(PROJECT["tool"]["mypy"]["files"]) >= PACKAGES | {"tests"}


def test_every_command_is_that_of_an_installed_package_of_the_checkout() -> None:
    points = metadata.entry_points(group=plugins.GROUP)
    assert {point.name: point.value for point in points} == (
        PROJECT["project"]["entry-points"][plugins.GROUP]
    )
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    for point in points:
        assert plugins.source(point) is not None, point
        assert any(fnmatchcase(point.module, pattern) for pattern in patterns)


def test_no_index_takes_the_project() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]
