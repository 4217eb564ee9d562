"""Build bundles of public checkpoints, and look at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.bundle import Bundle, BundleError, LocalPart
from models.manifest import MANIFEST, Manifest
from packing.errors import PackingError
from packing.plan import megabytes
from packing.verify import verify

app = typer.Typer(help=__doc__, no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="A bundle's folder.")]


@app.command("build")
def build_command(
    source: Annotated[Path, typer.Argument(help="YAML file that names checkpoints.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads.")] = 1,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another bundle in that folder.")
    ] = False,
) -> None:
    """Download, convert, export and compare what a source names.

    Where the folder holds that bundle already, nothing is done. HF_TOKEN, HF_HOME, HF_ENDPOINT and
    HF_HUB_OFFLINE are obeyed.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with _one_line():
        from packing.build import build

        manifest = build(source, out, threads=threads, replace=replace, say=console.print)
    size = sum(file.size for file in manifest.files)
    console.print(f"{out}: {manifest.name} {manifest.version}, {megabytes(size)}.")


@app.command("show")
def show_command(folder: FolderArgument) -> None:
    """Show what a bundle is made of: repositories, commits, licences, sizes."""
    with _one_line():
        bundle, manifest = Bundle.load(folder), _manifest(folder)
        console = Console(soft_wrap=True)
        console.print(f"{bundle.name} {bundle.version}", highlight=False)
        table = Table("part", "from", "commit", "licence", "MB")
        for name, revision in bundle.revisions().items():
            entry = manifest.parts.get(name) if manifest else None
            row = (
                (revision, "", "")
                if entry is None
                else (entry.repo, entry.commit[:12], entry.licence or "not named")
            )
            table.add_row(name, *map(escape, row), _size(bundle, name, folder))
        if bundle.bank is not None:
            table.add_row("bank", escape(bundle.bank), "", "", _size(bundle, "bank", folder))
        console.print(table)
        if manifest is None:
            console.print(f"It has no {MANIFEST}.")
            return
        for name, entry in manifest.parts.items():
            measured = ", ".join(f"{kind} {value:.2g}" for kind, value in entry.parity.items())
            console.print(f"{name}: {entry.architecture}; {measured}", highlight=False)
        tools = ", ".join(f"{name} {version}" for name, version in manifest.tools.items())
        console.print(f"Made with {tools}.", highlight=False)


@app.command("verify")
def verify_command(folder: FolderArgument) -> None:
    """Compare every file with the manifest, and name those that differ."""
    with _one_line():
        manifest = _manifest(folder)
        if manifest is None:
            raise PackingError(f"{folder} has no {MANIFEST}; `admirer bundle build` writes one")
        wrong = verify(folder, manifest)
        if wrong:
            raise PackingError(f"{'; '.join(wrong)}; build the bundle again, or copy it again")
    Console(soft_wrap=True, highlight=False).print(
        f"{folder}: {len(manifest.files)} files are as the manifest says."
    )


@app.command("list")
def list_command(
    folder: Annotated[Path, typer.Argument(help="Folder that holds bundles.")],
) -> None:
    """List the bundles in a folder."""
    table = Table("folder", "name", "version", "MB", "")
    with _one_line():
        if not folder.is_dir():
            raise PackingError(f"{folder}: no such folder")
        for file in sorted(folder.glob("*/bundle.yaml")):
            if file.parent.name.startswith("."):
                continue
            try:
                bundle, manifest = Bundle.load(file), _manifest(file.parent)
            except BundleError as error:
                table.add_row(escape(file.parent.name), "", "", "", escape(str(error)))
                continue
            note = "" if manifest else f"no {MANIFEST}"
            size = _megabytes(file.parent)
            table.add_row(escape(file.parent.name), bundle.name, bundle.version, size, note)
        if not table.rows:
            raise PackingError(f"{folder} holds no bundles")
    Console().print(table)


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.load(folder)
    except ValueError as error:
        raise PackingError(f"{folder / MANIFEST} is not a manifest: {error}") from None


def _size(bundle: Bundle, part: str, folder: Path) -> str:
    entry = LocalPart(path=bundle.bank or "") if part == "bank" else getattr(bundle, part)
    return _megabytes(folder / entry.path) if isinstance(entry, LocalPart) else ""


def _megabytes(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:,.1f}"


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what went wrong into one line and exit status 1."""
    try:
        yield
    except (PackingError, BundleError, OSError) as error:
        line = " ".join(str(error).split())
        Console(stderr=True, soft_wrap=True).print(f"error: {escape(line)}", highlight=False)
        raise typer.Exit(1) from None
