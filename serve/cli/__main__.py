"""The command line: `admirer`.

Each command imports what it needs when it runs: `admirer --help` must not wait for Ray. The
commands of other packages are found by `serve.cli.plugins`.
"""

import logging
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serve.cli.failure import fail
from serve.cli.plugins import add_commands

app = typer.Typer(
    help="Ask questions about photos, here or over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BundleOption = Annotated[
    str | None,
    typer.Option(
        help="Bundle: folder, or file that names every model.", show_default="bundles/demo"
    ),
]


def _version(*, wanted: bool) -> None:
    if wanted:
        Console().print(f"admirer {metadata.version('admirer')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _version(wanted=wanted),
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Ask questions about photos, here or over HTTP."""
    del version


@app.command()
def ask(
    photo: Annotated[Path, typer.Argument(help="JPEG, PNG, WebP, GIF or BMP.")],
    question: Annotated[str, typer.Argument(help='For example "how many people are there?"')],
    *,
    url: Annotated[
        str | None,
        typer.Option(help="URL of a running server; without it, the bundle is loaded here."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show caption, tags, examples, prompt and timings.")
    ] = False,
    bundle: BundleOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON.")
    ] = False,
) -> None:
    """Ask a question about a photo."""
    from serve.cli.ask import AskError, ask_in_process, ask_server, print_answer

    # The error is one line; requests within this process need no log.
    logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
    try:
        if url is not None:
            body = ask_server(url, photo, question, explain=explain)
        else:
            from serve.local_settings import settings_of

            body = ask_in_process(settings_of({}, bundle), photo, question, explain=explain)
    except (AskError, ValueError) as error:
        fail(error)
    console = Console()
    if as_json:
        console.print_json(data=body)
    else:
        print_answer(body, console, explain=explain)


@app.command()
def serve(
    bundle: BundleOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="8000")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Serve config file.", show_default="serve/config/demo.yaml")
    ] = None,
) -> None:
    """Start the app on this machine; Ctrl-C stops it."""
    from serve.cli.launcher import Options, StartError, launch

    options = Options(config, bundle, host, port)
    try:
        launch(options, Console(highlight=False, markup=False, soft_wrap=True))
    except StartError as error:
        fail(error, error.exit_status)


add_commands(app)


def main() -> None:
    """Run the command line."""
    app(prog_name="admirer")


if __name__ == "__main__":
    main()
