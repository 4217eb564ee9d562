"""`python -m dashboards` writes what is generated here; with --check it only compares."""

import argparse
import sys

from dashboards.rendered import drifted, rendered, write


def main() -> int:
    """Return 0, or 1 where --check finds a file that is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; name what differs")
    if parser.parse_args().check:
        return _check()
    write()
    for path, text in rendered().items():
        print(f"{len(text) / 1024:5.1f} KiB  {path}")  # noqa: T201
    return 0


def _check() -> int:
    lines = drifted()
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201
    if lines:
        print("Run make dashboards.", file=sys.stderr)  # noqa: T201
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
