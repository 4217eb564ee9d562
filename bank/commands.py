"""Build or look at a bank of solved examples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, track
from rich.table import Table

from bank.annotations import read_annotations
from bank.build import Solved, build
from bank.describing import BATCH, describe_photos, describers, load_describer
from bank.examples import BankError, Example, check
from bank.index import ExampleBank
from bank.photo_files import StoredPhoto, coco_names, find_photo, photo_file
from bank.release import clip_of
from bank.rows import Annotation, BadRow, clean_text
from models import clip
from models.bundle import Bundle, BundleError
from models.clip import ClipModel, Tower
from models.settings import EngineSettings

SHOWN = 20
"""Bad rows, or examples, that are printed one by one."""

app = typer.Typer(help=__doc__, no_args_is_help=True)

BundleOption = Annotated[Path, typer.Option(help="Bundle whose CLIP makes the vectors.")]
ThreadsOption = Annotated[int, typer.Option(min=1, max=256, help="CPU threads.")]
DEMO = Path("bundles/demo")


@app.command("build")
def build_command(
    file: Annotated[
        Path, typer.Argument(help="Solved questions: .jsonl, .csv, .json, .parquet or a folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the bank to.")],
    photos: Annotated[
        Path | None, typer.Option(help="Folder of the photos that rows name.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="VQA annotations (.json) of the questions.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="COCO captions (.json) of the photos.")
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            min=1,
            max=1024,
            help="Photos that captioner and tagger take at a time; a large tagger needs 2 GB each.",
        ),
    ] = BATCH,
    bundle: BundleOption = DEMO,
    threads: ThreadsOption = 1,
) -> None:
    """Build an example bank of solved questions: rows of your own, or a VQA data set.

    Fields of a row: caption, tags, question, answer, and perhaps id and photo (a file name).
    A bad row is reported with its line and left out. Where a row has a photo, and neither caption
    nor tags, the bundle's captioner and tagger make them; interrupted, the same command goes on.
    """
    console = Console(stderr=True)
    try:
        read = read_annotations(file, answers=answers, captions=captions)
        rows, bad = _solved(read.rows, photos)
        _report(sorted([*read.bad, *bad], key=lambda row: row.line), file, console)
        if photos is None and any(isinstance(row.photo, str | int) for row in read.rows):
            console.print("Rows name photos; without --photos only their text is used.")
        release, engine = Bundle.load(bundle), EngineSettings(threads=threads)
        journal = out.with_name(f"{out.name}.unfinished.jsonl")
        rows, unseen = _described(rows, release, engine, journal, batch, console)
        lines = {row.example.id: row.line for row in read.rows}
        _report([BadRow(lines[id_], reason) for id_, reason in unseen], file, console)
        left_out = len(read.bad) + len(bad) + len(unseen)
        console.print(f"{len(rows)} rows kept, {left_out} left out.")
        towers: tuple[Tower, ...] = (
            ("image", "text") if any(row.open_photo for row in rows) else ("text",)
        )
        model = _load_clip(release, threads, towers)
        with _bar("Embedding", console) as update:
            build(rows, model, out, made_by=clip_of(release), progress=update)
        journal.unlink(missing_ok=True)
    except (BankError, BundleError, OSError, ValueError) as error:
        _fail(error)
    console.print(f"Wrote {len(rows)} examples to {out}.")


@app.command("show")
def show_command(
    folder: Annotated[Path, typer.Argument(help="A bank's folder.")],
    search: Annotated[
        str | None, typer.Option(help="Show the examples most similar to this question.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=1000, help="Number of examples.")] = 8,
    bundle: BundleOption = DEMO,
    threads: ThreadsOption = 1,
) -> None:
    """Show what a bank holds, or its examples most similar to a question."""
    try:
        bank = ExampleBank.load(folder)
        found = bank.examples[:k] if search is None else _nearest(bank, search, k, bundle, threads)
    except (BankError, BundleError, OSError) as error:
        _fail(error)
    console = Console()
    console.print(
        f"{len(bank)} examples about {bank.photos} photos; vectors of length {bank.dimension} by"
        f" {bank.made_by.clip} at {bank.made_by.revision[:12]}"
    )
    console.print(_table(found, with_similarity=search is not None))


def _solved(rows: tuple[Annotation, ...], folder: Path | None) -> tuple[list[Solved], list[BadRow]]:
    """Return the rows whose photo, where one is there to be had, can be read; and the others."""
    good: list[Solved] = []
    bad: list[BadRow] = []
    names = {} if folder is None else coco_names(folder)
    opened: set[StoredPhoto] = set()
    has_photos = folder is not None or any(isinstance(row.photo, StoredPhoto) for row in rows)
    for row in track(rows, "Checking photos", disable=not has_photos, transient=True):
        try:
            photo = _photo(row.photo, folder, names)
            if photo is not None and photo not in opened:
                photo()
                opened.add(photo)
            check(row.example, described=photo is None)
        except ValueError as error:
            bad.append(BadRow(row.line, str(error)))
        else:
            good.append(Solved(row.example, photo))
    return good, bad


def _photo(
    named: str | int | StoredPhoto | None, folder: Path | None, names: Mapping[int, str]
) -> StoredPhoto | None:
    """Return a row's photo; rows that name one photo get the same."""
    if isinstance(named, StoredPhoto) or named is None:
        return named
    if folder is None:
        return None
    name = names.get(named, f"{named:012d}.jpg") if isinstance(named, int) else named
    return photo_file(find_photo(folder, name))


def _described(
    rows: list[Solved],
    bundle: Bundle,
    engine: EngineSettings,
    journal: Path,
    batch: int,
    console: Console,
) -> tuple[list[Solved], list[tuple[str, str]]]:
    """Return the rows with caption or tags, made where a row has neither, and others' ids.

    With each id comes the reason why the row is left out.
    """
    photos = [row.open_photo for row in rows if not (row.example.caption or row.example.tags)]
    if not photos:
        return rows, []
    with _bar("Captioning and tagging", console) as update:
        described = describe_photos(
            [photo for photo in dict.fromkeys(photos) if isinstance(photo, StoredPhoto)],
            lambda: load_describer(bundle, engine),
            journal,
            made_by=describers(bundle),
            batch=batch,
            progress=update,
        )
    good: list[Solved] = []
    bad: list[tuple[str, str]] = []
    for row in rows:
        example, photo = row.example, row.open_photo
        if isinstance(photo, StoredPhoto) and not (example.caption or example.tags):
            made = described[photo]
            example = replace(example, caption=clean_text(made.caption), tags=made.tags)
        try:
            check(example)
        except ValueError as error:
            bad.append((example.id, str(error)))
        else:
            good.append(Solved(example, photo))
    return good, bad


@contextmanager
def _bar(title: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yields what sets the number done and the total."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _report(bad: Sequence[BadRow], file: Path, console: Console) -> None:
    for row in islice(bad, SHOWN):
        console.print(f"{escape(str(file))}:{row.line}: {escape(row.reason)}", soft_wrap=True)
    if len(bad) > SHOWN:
        console.print(f"and {len(bad) - SHOWN} more bad rows")


def _nearest(
    bank: ExampleBank, text: str, k: int, bundle: Path, threads: int
) -> tuple[Example, ...]:
    release = Bundle.load(bundle)
    if bank.made_by.revision != clip_of(release).revision:
        raise BankError(f"the bank was built with another CLIP than that of {bundle}")
    (vector,) = _load_clip(release, threads, ("text",)).embed_texts([text])
    return bank.search(None, vector, k)


def _load_clip(bundle: Bundle, threads: int, towers: tuple[Tower, ...]) -> ClipModel:
    return clip.load(bundle.folder(bundle.clip), EngineSettings(threads=threads), towers=towers)


def _table(examples: tuple[Example, ...], *, with_similarity: bool) -> Table:
    columns: dict[str, Callable[[Example], str]] = {
        "id": lambda example: example.id,
        "question": lambda example: example.question,
        "answer": lambda example: example.answer,
        "caption": lambda example: example.caption,
        "tags": lambda example: ", ".join(example.tags),
    }
    if with_similarity:
        columns = {"similarity": lambda example: f"{example.similarity:.3f}", **columns}
    table = Table(*columns)
    for example in examples:
        table.add_row(*(escape(cell(example)) for cell in columns.values()))
    return table


def _fail(error: Exception) -> NoReturn:
    Console(stderr=True).print(f"error: {escape(str(error))}", soft_wrap=True)
    raise typer.Exit(1) from None
