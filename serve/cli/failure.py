"""How a command fails: one line on stderr and an exit status, no traceback."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

FAILED, UNUSABLE = 1, 2


def fail(reason: object, status: int = FAILED) -> NoReturn:
    """Print `error: ` and the reason as one line, and exit with the status.

    Raises:
        typer.Exit: Always.
    """
    line = " ".join(str(reason).split())
    Console(stderr=True, soft_wrap=True).print(f"error: {escape(line)}", highlight=False)
    raise typer.Exit(status) from None
