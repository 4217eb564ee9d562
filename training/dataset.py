"""Rendered scenes as JPEG, cached in packed shards that every trainer shares.

    for scene, jpeg in Dataset("train", 0, 40_000): ...

holds the encoded photos in memory (about 34 kB each) and decodes nothing: decoding costs 1 ms,
while decoded arrays would push each other out of the page cache. Training photos are 320x240
(the cheap path); validation and test photos are 640x480 webcam JPEGs as a user would send them.
Trainers resize either with PIL's bilinear filter to their model's input. `scene` boxes are always
in 640x480 pixels.

`python -m training.dataset train 40000` renders with two processes, shows progress and goes on
where it stopped; a `Dataset` renders by itself what is missing. `rendered_count("train")` says how
many are ready, so that a trainer can start with the first of them and construct a larger
`Dataset` later.
"""

import argparse
import os
import struct
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from time import monotonic
from typing import get_args

from training.drawing import FULL_SIZE, RENDERING, TRAINING_SIZE, draw_jpeg
from training.scenes import Scene, Split, sample_scene

FOLDER = Path("training/runs") / f"scenes-{RENDERING}"
SHARD_SCENES = 500


class Dataset:
    """Scenes `start` to `start + count` of a split with their photos, by position from 0."""

    def __init__(self, split: Split, start: int, count: int) -> None:
        self._split: Split = split
        self._start, self._count = start, count
        self._shards: dict[int, list[bytes]] = {}
        for shard in range(start // SHARD_SCENES, -(-(start + count) // SHARD_SCENES)):
            _render_shard((split, shard))
            self._shards[shard] = _read_shard(_shard_path(split, shard))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Scene, bytes]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        seed = self._start + index
        shard, place = divmod(seed, SHARD_SCENES)
        return sample_scene(seed, self._split), self._shards[shard][place]

    def __iter__(self) -> Iterator[tuple[Scene, bytes]]:
        return (self[index] for index in range(self._count))


def rendered_count(split: Split) -> int:
    """Return how many scenes, counted from seed 0, are in the cache without a gap."""
    shard = 0
    while _shard_path(split, shard).exists():
        shard += 1
    return shard * SHARD_SCENES


def render(split: Split, count: int, processes: int) -> None:
    """Render the missing shards of the first `count` scenes, printing progress."""
    jobs = [(split, shard) for shard in range(-(-count // SHARD_SCENES))]
    jobs = [job for job in jobs if not _shard_path(*job).exists()]
    started = monotonic()
    with Pool(processes) as pool:
        for done, _ in enumerate(pool.imap(_render_shard, jobs), start=1):
            rate = done * SHARD_SCENES / (monotonic() - started)
            print(f"{split}: {done}/{len(jobs)} shards, {rate:.0f} scenes/s", flush=True)


def _shard_path(split: Split, shard: int) -> Path:
    return FOLDER / f"{split}-{shard:04d}.bin"


def _render_shard(job: tuple[Split, int]) -> None:
    split, shard = job
    path = _shard_path(split, shard)
    if path.exists():
        return
    size = TRAINING_SIZE if split == "train" else FULL_SIZE
    first = shard * SHARD_SCENES
    photos = [
        draw_jpeg(sample_scene(seed, split), size) for seed in range(first, first + SHARD_SCENES)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    lengths = struct.pack(f"<{SHARD_SCENES}I", *map(len, photos))
    unfinished.write_bytes(lengths + b"".join(photos))
    unfinished.replace(path)


def _read_shard(path: Path) -> list[bytes]:
    packed = path.read_bytes()
    lengths = struct.unpack_from(f"<{SHARD_SCENES}I", packed)
    photos, place = [], 4 * SHARD_SCENES
    for length in lengths:
        photos.append(packed[place : place + length])
        place += length
    return photos


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Render scenes into training/runs.")
    parser.add_argument("split", choices=get_args(Split))
    parser.add_argument("count", type=int)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    render(options.split, options.count, options.processes)


if __name__ == "__main__":
    main()
