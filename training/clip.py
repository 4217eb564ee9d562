"""Trains the demo CLIP, whose vectors choose the solved examples.

    python -m training.clip --out bundles/demo/clip --minutes 12

Interrupted, the same command goes on from the last checkpoint. Recall counts ties against the
model: with ties counted as hits, a broken text tower that embeds all captions alike looks good.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch

from training.clip_model import (
    COLUMNS,
    ROWS,
    SIZE,
    Teacher,
    clip_tokenizer,
    equal_key_loss,
    question_key,
    sample_caption,
    save_clip,
)
from training.dataset import Dataset
from training.patches import patch_truth
from training.photos import epochs, normalised, resized
from training.progress import Learner, Run, Smoothed
from training.questions import KINDS, Question, as_typed, ask, questions
from training.scenes import Scene, canonical_caption

BATCH = 128
PEAK_RATE = 1e-3
DECAY_FROM = 0.4
WEIGHTS = {"caption": 1.0, "room": 0.5, "question": 0.5, "dense": 0.5}
REPORT_EVERY_S = 240.0


class Training:
    """One run: its batches, its losses and its reports."""

    def __init__(self, run: Run, data: Dataset, out: Path) -> None:
        torch.manual_seed(2)
        self.run, self.out = run, out
        self.teacher = Teacher(clip_tokenizer())
        assert_every_word_counts(self.teacher)
        self.learner = Learner(
            run,
            self.teacher,
            peak_rate=PEAK_RATE,
            warm_steps=60,
            decay_from=DECAY_FROM,
            average_decay=0.99,
        )
        self.random = Random(self.learner.step)
        self.batches = epochs(data, SIZE, BATCH, self.random)
        self.losses = Smoothed(*WEIGHTS, share=0.05)

    def step(self) -> None:
        """Train on one batch, with all four losses."""
        losses = self._losses(*next(self.batches))
        for name, loss in losses.items():
            self.losses.note(name, loss)
        self.learner.learn(torch.stack([WEIGHTS[name] * losses[name] for name in WEIGHTS]).sum())

    def _losses(self, scenes: Sequence[Scene], pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        captions = [sample_caption(scene, self.random) for scene in scenes]
        asked = [pair for scene in scenes for pair in ask_twice(scene, self.random)]
        targets = np.stack([patch_truth(scene, ROWS, COLUMNS).targets for scene in scenes])
        with torch.autocast("cpu", torch.bfloat16):
            photos, patches = self.teacher.photos(pixels)
            caption_vectors = self.teacher.texts(captions)
            typed = [as_typed(question.question, self.random) for question in asked]
            question_vectors = self.teacher.texts(typed)
            dense = self.teacher.dense_loss(patches, torch.from_numpy(targets))
        return {
            "caption": self.teacher.caption_loss(photos, caption_vectors),
            "room": equal_key_loss(photos, [scene.room for scene in scenes]),
            "question": equal_key_loss(question_vectors, [question_key(q) for q in asked]),
            "dense": dense,
        }

    def report(self, validation: Dataset, bank: Dataset) -> None:
        """Score the averaged weights on validation photos, and save them as the bundle's."""
        with self.learner.average.inside(self.teacher):
            self.run.log(f"{self.learner.step * BATCH} photos, {self.losses}")
            self.run.log("  " + scores(self.teacher, validation, bank))
            save_clip(self.teacher, self.out)


def ask_twice(scene: Scene, random: Random) -> list[Question]:
    """Return a question about the scene, and a paraphrase if a few tries find one."""
    kinds = list(KINDS)
    found: Question | None = None
    while found is None:
        found = ask(random.choice(kinds), scene, random)
    for _ in range(6):
        again = ask(found.kind, scene, random)
        if again is not None and question_key(again) == question_key(found):
            return [found, again]
    return [found]


@torch.no_grad()
def assert_every_word_counts(teacher: Teacher) -> None:
    """Assert that captions with different last words have different vectors."""
    one, other = teacher.texts(["there is a red mug", "there is a red cat"])
    if torch.allclose(one, other, atol=1e-4):
        raise RuntimeError("The text tower does not pool at end-of-text.")


@torch.no_grad()
def scores(teacher: Teacher, validation: Dataset, bank: Dataset) -> str:
    """Return the recall of captions by photos, and what the nearest neighbours in a bank share."""
    scenes, photos = embedded(teacher, validation)
    captions = teacher.texts([canonical_caption(scene) for scene in scenes])
    at_1, at_16 = (recall(photos @ captions.T, k) for k in (1, 16))
    bank_scenes, bank_photos = embedded(teacher, bank)
    near = (photos @ bank_photos.T).argmax(-1).tolist()
    room = sum(s.room == bank_scenes[i].room for s, i in zip(scenes, near, strict=True))
    random = Random(3)
    asked = [q for scene in scenes[:100] for q in questions(scene, random)]
    solved = [q for scene in bank_scenes for q in questions(scene, random)]
    likeness = (
        teacher.texts([q.question for q in asked]) @ teacher.texts([q.question for q in solved]).T
    )
    pairs = list(zip(asked, likeness.argmax(-1).tolist(), strict=True))
    kind = sum(q.kind == solved[i].kind for q, i in pairs) / len(pairs)
    same = sum(question_key(q) == question_key(solved[i]) for q, i in pairs) / len(pairs)
    return (
        f"recall@1 {at_1:.3f} @16 {at_16:.3f} of {len(scenes)} captions; nearest of "
        f"{len(bank_scenes)} photos in the same room {room / len(scenes):.3f}; nearest question "
        f"of the same kind {kind:.3f}, kind and subject {same:.3f}"
    )


def recall(similarities: torch.Tensor, k: int) -> float:
    """Return the share of rows whose own column is among the `k` best; ties count as misses."""
    own = similarities.diagonal()[:, None]
    ahead = (similarities >= own).sum(-1) - 1
    return float((ahead < k).float().mean())


def embedded(teacher: Teacher, data: Dataset) -> tuple[list[Scene], torch.Tensor]:
    """Return all scenes of `data` and the unit vectors of their photos, (scenes, 128) float32."""
    scenes, vectors = [], []
    for start in range(0, len(data), 50):
        rows = [data[index] for index in range(start, min(start + 50, len(data)))]
        scenes += [scene for scene, _ in rows]
        pixels = normalised([resized(jpeg, SIZE) for _, jpeg in rows])
        vectors.append(teacher.photos(pixels)[0])
    return scenes, torch.cat(vectors)


def train(out: Path, runs: Path, minutes: float, scenes: int) -> None:
    """Train for `minutes` of wall time on the first `scenes` of the training split."""
    torch.set_num_threads(1)
    run = Run(runs, minutes)
    training = Training(run, Dataset("train", 0, scenes), out)
    validation, bank = Dataset("validation", 0, 500), Dataset("train", 0, 500)
    run.repeat(
        training.step,
        save=training.learner.save,
        report=lambda: training.report(validation, bank),
        report_every_s=REPORT_EVERY_S,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the demo CLIP.")
    parser.add_argument("--out", type=Path, default=Path("bundles/demo/clip"))
    parser.add_argument("--runs", type=Path, default=Path("training/runs/clip"))
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--scenes", type=int, default=40_000)
    options = parser.parse_args()
    train(options.out, options.runs, options.minutes, options.scenes)


if __name__ == "__main__":
    main()
