"""What a build will fetch, and whether there is room for it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from packing.contents import architecture, check_chat_template, needed
from packing.errors import PackingError
from packing.hub import HubFile, Repository, fetch, is_cached, look_up
from packing.source import Source

_CODE_NAMING = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True, slots=True)
class Part:
    """One checkpoint: its repository at a commit, and the files to fetch."""

    repository: Repository
    files: tuple[HubFile, ...]
    architecture: str

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Return the bytes of the files that the cache does not have."""
        return sum(file.size for file in self.files if not is_cached(self.repository, file))


def look_up_all(source: Source) -> dict[str, Repository]:
    """Ask the hub for the commit and the files of every checkpoint.

    Raises:
        PackingError: One cannot be had.
    """
    return {name: look_up(name, checkpoint) for name, checkpoint in source.checkpoints().items()}


def plan(repositories: dict[str, Repository]) -> list[Part]:
    """Choose the files, and fetch and check the configurations, which are small.

    Raises:
        PackingError: A part lacks a file, or is of an architecture that it cannot be.
    """
    chosen = [(each, needed(each)) for each in repositories.values()]
    return [_part(repository, files) for repository, files in chosen]


def check_room(parts: list[Part], out: Path) -> tuple[int, int]:
    """Return the bytes to download and the bytes that the bundle will have.

    Raises:
        PackingError: The disk has no room for them.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    download = sum(part.missing for part in parts)
    # The weights, and while they are exported the graphs' own copy of the largest.
    size = sum(part.size for part in parts) + max((part.size for part in parts), default=0)
    places = {_existing(cache): download}
    places[_existing(out)] = places.get(_existing(out), 0) + size
    by_device: dict[int, tuple[Path, int]] = {}
    for place, wanted in places.items():
        device = place.stat().st_dev
        by_device[device] = (place, by_device.get(device, (place, 0))[1] + wanted)
    for place, wanted in by_device.values():
        free = shutil.disk_usage(place).free
        if free < wanted:
            raise PackingError(
                f"the disk of {place} has {megabytes(free)} free, and {megabytes(wanted)} are"
                " needed; free some, or choose another --out or HF_HOME"
            )
    return download, size


def megabytes(size: int) -> str:
    """Return a size in words."""
    return f"{size / 1e6:,.1f} MB"


def _part(repository: Repository, files: list[HubFile]) -> Part:
    by_name = {file.name: file for file in files}
    names = ["config.json", *(name for name in _CODE_NAMING if name in by_name)]
    configs = [fetch(repository, by_name[name]) for name in names]
    name = architecture(repository, configs)
    if repository.part == "answerer":
        check_chat_template(repository, files, configs[1])
    return Part(repository, tuple(files), name)


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
