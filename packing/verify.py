"""Compares a bundle's files with its manifest."""

from pathlib import Path

from models.manifest import MANIFEST, Manifest
from packing.hub import digest_like


def verify(folder: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong: a file that is missing, other than listed, or not listed."""
    wrong = []
    for entry in manifest.files:
        file = folder / entry.path
        if not file.is_file():
            wrong.append(f"{entry.path} is missing")
        elif digest_like(file, entry.sha256) != entry.sha256:
            wrong.append(f"{entry.path} is not what was built")
    listed = {entry.path for entry in manifest.files} | {MANIFEST}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        if file.is_file() and path not in listed:
            wrong.append(f"{path} is not in the manifest")
    return wrong
