"""Print what Ray Serve logs to files, line by line: `follow_logs.py FOLDER`, the folder of Ray.

Ray writes JSON to files only, one for each process. They come and go with the processes, and a
full one is renamed to `.1`; `tail -F` of a pattern would miss the new ones. Only the standard
library, and no file is held open.
"""

import signal
import sys
from pathlib import Path
from typing import BinaryIO

FILES = "session_[0-9]*/logs/serve/*.log"
EVERY_S = 0.5
MAX_LINE = 1 << 20
"""Bytes; a longer line is printed in pieces."""

STOPS = {signal.SIGTERM, signal.SIGINT}

Seen = dict[Path, tuple[int, int]]
"""Of each file, which it is (its inode), and how many of its bytes have been printed."""


def main(folder: str) -> int:
    """Print until SIGTERM; what was there before this began is not printed again."""
    # Blocked, a signal waits until it is asked for: never in the middle of a line.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    seen = {path: (inode, size) for path, inode, size in found(Path(folder))}
    while signal.sigtimedwait(STOPS, EVERY_S) is None:
        print_new(Path(folder), seen, sys.stdout.buffer)
    print_new(Path(folder), seen, sys.stdout.buffer)
    return 0


def print_new(folder: Path, seen: Seen, out: BinaryIO) -> None:
    """Print the whole lines that are new, and remember them as seen."""
    for path, inode, size in found(folder):
        old, offset = seen.get(path, (inode, 0))
        try:
            if old != inode:
                full = path.with_name(f"{path.name}.1")
                if full.exists() and full.stat().st_ino == old:
                    copied(full, offset, out)
                offset = 0
            seen[path] = (inode, copied(path, offset, out) if size > offset else offset)
        except FileNotFoundError:
            continue
    out.flush()


def found(folder: Path) -> list[tuple[Path, int, int]]:
    """Return each file with its inode and its size."""
    files = []
    for path in sorted(folder.glob(FILES)):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        files.append((path, stat.st_ino, stat.st_size))
    return files


def copied(path: Path, offset: int, out: BinaryIO) -> int:
    """Copy the whole lines from `offset` on, and return where they end."""
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(MAX_LINE):
            size = chunk.rfind(b"\n") + 1 or (MAX_LINE if len(chunk) == MAX_LINE else 0)
            if not size:
                break
            out.write(chunk[:size])
            offset += size
            file.seek(offset)
    return offset


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
