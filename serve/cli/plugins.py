"""Commands of other packages, named by the entry points `admirer.commands` of `pyproject.toml`.

The module of such a command is imported when the command runs: `admirer --help` reads its summary
from the first line of the file's docstring, and waits neither for torch nor for Ray. A command
whose package is not installed, as in the serving images, is not listed.
"""

import ast
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path

import typer

from serve.cli.failure import UNUSABLE, fail

GROUP = "admirer.commands"
_ALL_OPTIONS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""The command itself reads its options, --help included."""


def add_commands(app: typer.Typer) -> None:
    """Add every command that an entry point names; its object is a `typer.Typer`."""
    for point in sorted(metadata.entry_points(group=GROUP)):
        file = source(point)
        app.command(
            point.name,
            help=None if file is None else summary(file),
            hidden=file is None,
            context_settings=_ALL_OPTIONS,
        )(_runner(point, is_installed=file is not None))


def source(point: metadata.EntryPoint) -> Path | None:
    """Return the file of the command's module without importing it; None where there is none."""
    package, *modules = point.module.split(".")
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent.joinpath(*modules).with_suffix(".py")
    return file if file.is_file() else None


def summary(file: Path) -> str:
    """Return the first line of the docstring of a Python file."""
    documentation = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    return (documentation or "").partition("\n")[0]


def _runner(point: metadata.EntryPoint, *, is_installed: bool) -> Callable[[typer.Context], None]:
    name = f"admirer {point.name}"

    def run(context: typer.Context) -> None:
        if not is_installed:
            fail(
                f"`{name}` is not installed here, where the app is only served;"
                " a checkout of the repository has it.",
                UNUSABLE,
            )
        command: typer.Typer = point.load()
        command(context.args, prog_name=name)

    return run
