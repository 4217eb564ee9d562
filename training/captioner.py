"""Trains the demo captioner: first to see (dense truth per patch), then to say it.

    python -m training.captioner --out bundles/demo/captioner --minutes 40

Interrupted, the same command goes on from the last checkpoint. One thread: on a small shared
machine two trainings with a thread each finish sooner than two that fight over both cores.
"""

import argparse
from pathlib import Path
from random import Random

import torch

from training.caption_model import (
    SIZE,
    Lesson,
    Teacher,
    caption_tokenizer,
    dense_truth,
    save_captioner,
    write_captions,
)
from training.caption_quality import attribute_scores
from training.dataset import Dataset
from training.photos import epochs, normalised, resized
from training.progress import Learner, Run, Smoothed
from training.scenes import Scene, canonical_caption

BATCH = 32
PEAK_RATE = 8e-4
DECAY_FROM = 0.5
DENSE_SHARE = 0.16
"""How much of the run trains the encoder alone."""
DENSE_WEIGHT = 0.5
LOOK_WEIGHT = 0.2
REPORT_EVERY_S = 300.0


class Training:
    """One run: its batches, its losses and its reports."""

    def __init__(self, run: Run, data: Dataset, validation: Dataset, out: Path) -> None:
        torch.manual_seed(1)
        self.run, self.out, self.validation = run, out, validation
        self.teacher = Teacher(caption_tokenizer())
        self.learner = Learner(
            run,
            self.teacher,
            peak_rate=PEAK_RATE,
            warm_steps=300,
            decay_from=DECAY_FROM,
            average_decay=0.998,
        )
        self.batches = epochs(data, SIZE, BATCH, Random(self.learner.step))
        self.losses = Smoothed("dense", "words", "looks")

    def step(self) -> None:
        """Train on one batch: dense truth alone at first, then captions too."""
        self.learner.learn(self._loss(*next(self.batches)))

    def _loss(self, scenes: list[Scene], photos: torch.Tensor) -> torch.Tensor:
        targets, covers = dense_truth(scenes)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.teacher.encode(photos)
            dense = self.teacher.dense_loss(hidden[:, 1:], targets)
            self.losses.note("dense", dense)
            if self.run.fraction < DENSE_SHARE:
                return dense
            lesson = Lesson(scenes, covers, self.teacher.tokenizer)
            words, looks = self.teacher.caption_losses(hidden, lesson)
        self.losses.note("words", words)
        self.losses.note("looks", looks)
        return words + LOOK_WEIGHT * looks + DENSE_WEIGHT * dense

    def report(self) -> None:
        """Score the averaged weights on validation photos, and save them as the bundle's."""
        with self.learner.average.inside(self.teacher):
            self.run.log(f"{self.learner.step * BATCH} photos, {self.losses}")
            self.run.log(self._dense_line())
            if self.run.fraction >= DENSE_SHARE:
                self.run.log(self._caption_line())
            save_captioner(self.teacher, self.out)

    @torch.no_grad()
    def _dense_line(self) -> str:
        scenes, jpegs = zip(*(self.validation[index] for index in range(100)), strict=True)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.teacher.encode(normalised([resized(jpeg, SIZE) for jpeg in jpegs]))
            found = self.teacher.dense_accuracy(hidden[:, 1:], dense_truth(scenes)[0])
        return "  patches: " + " ".join(f"{name} {share:.3f}" for name, share in found.items())

    def _caption_line(self) -> str:
        pairs: list[tuple[str, str]] = []
        for start in range(0, len(self.validation), 50):
            rows = [self.validation[i] for i in range(start, start + 50)]
            photos = normalised([resized(jpeg, SIZE) for _, jpeg in rows])
            said = write_captions(self.teacher, photos)
            true = (canonical_caption(scene) for scene, _ in rows)
            pairs += zip(said, true, strict=True)
        whole = sum(said == true for said, true in pairs) / len(pairs)
        scores = attribute_scores(pairs).items()
        line = " ".join(f"{name} {s.precision:.3f}/{s.recall:.3f}" for name, s in scores)
        return f"  captions (precision/recall): {line}; whole captions {whole:.3f}"


def train(out: Path, runs: Path, minutes: float, scenes: int) -> None:
    """Train for `minutes` of wall time on the first `scenes` of the training split."""
    torch.set_num_threads(1)
    run = Run(runs, minutes)
    training = Training(run, Dataset("train", 0, scenes), Dataset("validation", 0, 300), out)
    run.repeat(
        training.step,
        save=training.learner.save,
        report=training.report,
        report_every_s=REPORT_EVERY_S,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the demo captioner.")
    parser.add_argument("--out", type=Path, default=Path("bundles/demo/captioner"))
    parser.add_argument("--runs", type=Path, default=Path("training/runs/captioner"))
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--scenes", type=int, default=40_000)
    options = parser.parse_args()
    train(options.out, options.runs, options.minutes, options.scenes)


if __name__ == "__main__":
    main()
