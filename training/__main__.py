"""`python -m training`: make the demo bundle from nothing.

Every step is a command of its own that goes on where it stopped, so running this again after an
interruption costs only what was not done. Two models train at a time, each on one thread: on two
cores that ends sooner than one model on both.

    python -m training --out bundles/demo
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Command = Sequence[str]

BUNDLE_FILE = Path("bundles/demo/bundle.yaml")
SCENES = 40_000


def trainings(out: Path, runs: Path, scenes: int, share: float) -> list[Command]:
    """Return the commands that train the models, longest first, in `share` of the usual time."""
    seen = ("--scenes", str(scenes))
    minutes = {"captioner": 40, "answerer": 60, "clip": 12}
    timed = {
        name: [
            f"training.{name}",
            *("--out", str(out / name), "--runs", str(runs / name)),
            *("--minutes", str(full * share)),
        ]
        for name, full in minutes.items()
    }
    tagger = [
        "training.tagger",
        *("--out", str(out / "tagger"), "--runs", str(runs / "tagger")),
        *("--images", str(round(80_000 * share))),
    ]
    return [
        timed["answerer"],
        [*tagger, *seen],
        [*timed["captioner"], *seen],
        [*timed["clip"], *seen],
    ]


def afterwards(out: Path, work: Path, examples: int) -> list[Command]:
    """Return the commands that need trained models; the bank's vectors need the graphs."""
    return [
        ["training.export", "--bundle", str(out)],
        [
            "training.bank",
            *("--out", str(work), "--photos", str(out / "photos")),
            *("--examples", str(examples)),
        ],
        [
            *("serve", "bank", "build", str(work / "annotations.jsonl")),
            *("--photos", str(work / "photos"), "--bundle", str(out), "--out", str(out / "bank")),
        ],
    ]


def run(command: Command) -> None:
    """Run one step; its lines appear with its name before them.

    Raises:
        subprocess.CalledProcessError: It failed; the others go on, and running again resumes.
    """
    name = command[0]
    with subprocess.Popen(  # noqa: S603 (our own modules)
        [sys.executable, "-u", "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(f"{name:18} {line}", end="", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))


def main() -> int:
    """Make the bundle; 1 where a step failed."""
    parser = argparse.ArgumentParser(description="Make the demo bundle from nothing.")
    parser.add_argument("--out", type=Path, default=BUNDLE_FILE.parent)
    parser.add_argument("--runs", type=Path, default=Path("training/runs"))
    parser.add_argument("--at-once", type=int, default=2, help="models that train at a time")
    parser.add_argument("--scenes", type=int, default=SCENES, help="distinct training scenes")
    parser.add_argument("--examples", type=int, default=4000, help="solved questions in the bank")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual training time")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.out != BUNDLE_FILE.parent:
        shutil.copy(BUNDLE_FILE, options.out)
    try:
        run(["training.dataset", "train", str(options.scenes)])
        steps = trainings(options.out, options.runs, options.scenes, options.share)
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(run, steps))
        for command in afterwards(options.out, options.runs / "bank", options.examples):
            run(command)
    except subprocess.CalledProcessError as error:
        print(f"error: {error.cmd[0]} ended with {error.returncode}", file=sys.stderr)
        return 1
    print(f"Wrote {options.out}. Measure it: python -m evaluation --bundle {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
