"""Imports our packages before anybody else's of the same name, wherever it is started.

Others too have a `models` or a `serve`: in their working folder or on PYTHONPATH, both of which
Python searches first, and Ray's workers as well. Nobody else has a module of this name.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

NAMES = (
    "bank", "capacity", "deployments", "evaluation", "load_tests", "models", "packing", "serve",
    "training",
)  # fmt: skip

_ROOT = str(Path(__file__).parent)


class _OurPackages:
    """Finds them beside this file, and nothing else."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        return PathFinder.find_spec(name, [_ROOT]) if name in NAMES else None


sys.meta_path.insert(0, _OurPackages)


def main() -> None:
    """Run the command `admirer`."""
    from serve.cli.__main__ import main as command

    command()


def prepare_worker() -> None:
    """Do first, in each worker of a local Ray, what keeps its ports from others."""
    from serve.cli.loopback import HOST, narrow_serve

    narrow_serve(os.environ[HOST])


if __name__ == "__main__":
    main()
