"""Run the first benchmarks one after the other: half an hour on two cores."""

import subprocess
import sys

PROGRAMS = (
    ("efficiency",),
    ("efficiency", "--production-shaped", "--concurrency", "8", "--answers", "16"),
    ("floor",),
    ("open_load",),
    ("profile",),
)


def main() -> None:
    """Run every program in a process of its own, also where one before it failed."""
    failed = []
    for module, *arguments in PROGRAMS:
        print(f"== {' '.join((module, *arguments))}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own programs
            failed.append(module)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
