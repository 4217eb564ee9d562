"""Builds a bundle beside its final place, and moves it there when it is whole."""

import os
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import cast

import yaml

from models.bundle import Bundle
from models.manifest import MANIFEST, FileEntry, Manifest, PartEntry
from packing.errors import PackingError
from packing.hub import digest_like, fetch, is_cached, is_commit
from packing.parity import measure
from packing.plan import Part, check_room, look_up_all, megabytes, plan
from packing.source import Source, read_source
from packing.weights import WEIGHTS, check_complete, to_safetensors
from packing.workshop import is_full, put, workshop

_TOOLS = ("huggingface-hub", "onnx", "onnxruntime", "safetensors", "torch", "transformers")
_WORTH_A_LINE = 1_000_000
_OF_BUNDLE = ("bundle.yaml", "bank/")
Say = Callable[[str], None]


def build(
    source_file: Path, out: Path, *, threads: int = 1, replace: bool = False, say: Say
) -> Manifest:
    """Build the bundle that a source describes; where it is there already, do nothing.

    Args:
        source_file: The source.
        out: The bundle's folder; its parent is made.
        threads: CPU threads of the ONNX engine while it is compared, and of the example bank.
        replace: Replace another bundle that is there, when the new one is whole.
        say: Takes a line about what is being done.

    Raises:
        PackingError: It cannot be built; what was under `out` is still there.
    """
    source = read_source(source_file)
    inputs = _inputs(source, source_file.parent)
    found = _standing(out)
    if found and _is_same(found, source, inputs, out) and _is_pinned(source):
        return _unchanged(found, out, say)
    repositories = look_up_all(source)
    commits = {name: each.commit for name, each in repositories.items()}
    is_same = found is not None and _is_same(found, source, inputs, out)
    if found and is_same and commits == {name: part.commit for name, part in found.parts.items()}:
        return _unchanged(found, out, say)
    if found and not replace:
        raise PackingError(
            f"{out} holds {found.name} {found.version}, built otherwise or changed since; add"
            " --replace, or choose another --out"
        )
    parts = plan(repositories)
    for part in parts:
        say(_announced(part))
    download, size = check_room(parts, out)
    say(f"To download: {megabytes(download)}. Disk while building: {megabytes(size)}.")
    with workshop(out) as folder:
        for part in parts:
            _fetch(part, folder, say)
        _quieten()
        entries = {part.repository.part: _make(part, folder, threads, say) for part in parts}
        _write_description(folder, source)
        if source.bank is not None:
            _build_bank(folder, source_file.parent, source, threads)
        manifest = Manifest(
            name=source.name,
            version=source.version,
            source=source.model_dump(mode="json"),
            inputs=inputs,
            parts=entries,
            tools={name: metadata.version(name) for name in _TOOLS},
            files=tuple(_describe(folder, parts)),
        )
        text = manifest.model_dump_json(indent=2) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        Bundle.load(folder)
        put(folder, out)
    return manifest


def _quieten() -> None:
    """Keep what transformers and torch say of their own work from between our lines."""
    import warnings

    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _standing(out: Path) -> Manifest | None:
    """Return what is under the final name, which must be a bundle of ours or nothing."""
    if not out.exists():
        return None
    try:
        manifest = Manifest.load(out)
    except ValueError:
        manifest = None
    if manifest is None:
        raise PackingError(f"{out} is there and has no {MANIFEST}; choose another --out")
    return manifest


def _is_same(found: Manifest, source: Source, inputs: dict[str, str], out: Path) -> bool:
    return (
        found.source == source.model_dump(mode="json")
        and found.inputs == inputs
        and found.misfit(out) is None
    )


def _is_pinned(source: Source) -> bool:
    return all(is_commit(each.revision) for each in source.checkpoints().values())


def _unchanged(found: Manifest, out: Path, say: Say) -> Manifest:
    say(f"{out} is up to date.")
    return found


def _inputs(source: Source, home: Path) -> dict[str, str]:
    """Return the hash of each local file that goes into the bundle."""
    if source.bank is None:
        return {}
    files = [home / source.bank.annotations]
    if source.bank.photos is not None:
        files += sorted(each for each in (home / source.bank.photos).rglob("*") if each.is_file())
    try:
        return {
            Path(os.path.relpath(file, home)).as_posix(): digest_like(file, "0" * 64)
            for file in files
        }
    except OSError as error:
        raise PackingError(f"bank: {error.filename}: {error.strerror}") from None


def _announced(part: Part) -> str:
    repository = part.repository
    return (
        f"{repository.part}: {repository.repo} at {repository.commit[:12]}"
        f" ({repository.revision}), {part.architecture}, licence"
        f" {repository.licence or 'not named'}, {megabytes(part.size)}"
    )


def _fetch(part: Part, folder: Path, say: Say) -> None:
    """Put the part's files into a folder of its name."""
    name, repository = part.repository.part, part.repository
    (folder / name).mkdir()
    for file in part.files:
        if file.size >= _WORTH_A_LINE and not is_cached(repository, file):
            say(f"{name}: fetching {file.name}, {megabytes(file.size)}")
        shutil.copyfile(fetch(repository, file), folder / name / file.name)


def _make(part: Part, folder: Path, threads: int, say: Say) -> PartEntry:
    """Convert, export and compare one part."""
    name, repository = part.repository.part, part.repository
    try:
        parity = _converted(name, part.architecture, folder / name, threads, say)
    except PackingError:
        raise
    except Exception as error:  # a checkpoint can fail anywhere in transformers
        if is_full(error):
            raise
        raise PackingError(
            f"{name} ({repository.repo}) cannot be exported: {type(error).__name__}: {error}"
        ) from error
    say(f"{name}: " + ", ".join(f"{kind} {value:.2g}" for kind, value in parity.items()))
    return PartEntry(
        repo=repository.repo,
        revision=repository.revision,
        commit=repository.commit,
        licence=repository.licence,
        architecture=part.architecture,
        parity=parity,
    )


def _converted(
    name: str, architecture: str, place: Path, threads: int, say: Say
) -> dict[str, float]:
    from training.export.parts import PartName, export_part

    if to_safetensors(place, name):
        say(f"{name}: wrote {WEIGHTS}")
    check_complete(place, architecture, name)
    say(f"{name}: exporting to ONNX")
    export_part(cast("PartName", name), place)
    say(f"{name}: comparing with transformers")
    return measure(name, place, threads=threads)


def _write_description(folder: Path, source: Source) -> None:
    """Write bundle.yaml, as what serves reads it."""
    content: dict[str, object] = {"name": source.name, "version": source.version}
    content |= {name: {"path": name} for name in ("captioner", "tagger", "clip", "answerer")}
    if "answerer" not in source.checkpoints():
        content["answerer"] = source.answerer.model_dump(mode="json")
    if source.bank is not None:
        content["bank"] = "bank"
    text = yaml.safe_dump(content, sort_keys=False)
    (folder / "bundle.yaml").write_text(text, encoding="utf-8")


def _build_bank(folder: Path, home: Path, source: Source, threads: int) -> None:
    from bank.commands import build_command

    if source.bank is None:
        return
    photos = source.bank.photos
    build_command(
        home / source.bank.annotations,
        folder / "bank",
        photos=None if photos is None else home / photos,
        bundle=folder,
        threads=threads,
    )


def _describe(folder: Path, parts: list[Part]) -> Iterator[FileEntry]:
    downloaded = {f"{part.repository.part}/{file.name}" for part in parts for file in part.files}
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        path = file.relative_to(folder).as_posix()
        if path.startswith(_OF_BUNDLE):
            origin = "written"
        elif path in downloaded:
            origin = "downloaded"
        else:
            origin = "converted" if file.name == WEIGHTS else "exported"
        yield FileEntry.model_validate(
            {
                "path": path,
                "size": file.stat().st_size,
                "sha256": digest_like(file, "0" * 64),
                "origin": origin,
            }
        )
