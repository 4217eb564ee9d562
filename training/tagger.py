"""Trains the demo tagger: RT-DETRv2 from scratch on generated scenes.

RT-DETRv2 is loaded by `AutoModelForObjectDetection`, the class of loader that also loads
`facebook/detr-resnet-50-panoptic`. It gives boxes and not panoptic masks because the prompt needs
labels and places only, and because a DETR of this size learns far too slowly from scratch: after
four minutes on one core RT-DETRv2 had F1 0.52 where plain DETR had 0.16, masks not yet begun.

    python -m training.tagger --out bundles/demo/tagger

Interrupted, the same command goes on from the last checkpoint; after the last photo it only
measures and writes the bundle's folder again.

One thread, bf16 autocast, convolutions channels-last and attention eager (29 photos a second on an
AMX core where the defaults give 23). What is kept is a moving average of the weights, written at
every evaluation with the score threshold that suits it.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from math import cos, pi
from pathlib import Path
from random import Random
from time import monotonic

import torch

from training.dataset import Dataset, rendered_count
from training.scenes import mirrored
from training.tagger_model import Targets, evaluate, export, new_model, pixels, targets

BATCH = 16
LEARNING_RATE = 8e-4
WARM_UP_STEPS = 200
EMA_DECAY = 0.998
VALIDATION_SCENES = 300
FINAL_SCENES = 1000


def batches(data: Dataset, random: Random) -> Iterator[tuple[torch.Tensor, list[Targets]]]:
    """Yield one epoch in random order, half of it mirrored, without an incomplete last batch."""
    order = list(range(len(data)))
    random.shuffle(order)
    for start in range(0, len(order) - BATCH + 1, BATCH):
        photos, truths = [], []
        for index in order[start : start + BATCH]:
            scene, jpeg = data[index]
            flip = random.randrange(2) == 0
            photos.append(pixels(jpeg, flip))
            truths.append(targets(mirrored(scene) if flip else scene))
        yield torch.stack(photos).contiguous(memory_format=torch.channels_last), truths


class Trainer:
    """Model, average, optimiser and progress, all of it in one checkpoint file."""

    def __init__(self, total_images: int, out: Path, runs: Path) -> None:
        torch.manual_seed(1)
        self.model = new_model()
        torch.nn.Module.to(self.model, memory_format=torch.channels_last)
        self.model.set_attn_implementation("eager")
        self.average = deepcopy(self.model).requires_grad_(requires_grad=False)
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": plain, "weight_decay": 0}]
        self.optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)
        self.total_images = total_images
        self.out, self._runs = out, runs
        self.images, self.epoch, self.seconds = 0, 0, 0.0
        if (self._runs / "checkpoint.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self._runs / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        # The interrupted pass is not finished but followed by a new order of all scenes.
        self.epoch = state["epoch"] + 1
        self.images, self.seconds = state["images"], state["seconds"]

    def save(self) -> None:
        """Replace the checkpoint atomically, so that an interruption leaves the last one."""
        self._runs.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "images": self.images,
            "epoch": self.epoch,
            "seconds": self.seconds,
        }
        torch.save(state, self._runs / "checkpoint.part")
        (self._runs / "checkpoint.part").replace(self._runs / "checkpoint.pt")

    def step(self, photos: torch.Tensor, truths: list[Targets]) -> float:
        """Update the weights and their average; return the loss."""
        started = monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.model(photos, labels=truths).loss
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._average()
        self.images += len(photos)
        self.seconds += monotonic() - started
        return float(loss.detach())

    def _learning_rate(self) -> float:
        """Return the learning rate: linear warm-up, then cosine decay to a hundredth."""
        done = min(1.0, self.images / self.total_images)
        decayed = LEARNING_RATE * (0.01 + 0.99 * (1 + cos(pi * done)) / 2)
        return decayed * min(1.0, (self.images / BATCH + 1) / WARM_UP_STEPS)

    def _average(self) -> None:
        steps = self.images / BATCH
        decay = min(EMA_DECAY, (1 + steps) / (10 + steps))
        values = self.model.state_dict()
        for name, average in self.average.state_dict().items():
            if average.is_floating_point():
                average.lerp_(values[name], 1 - decay)
            else:
                average.copy_(values[name])


def train(trainer: Trainer, scenes: int, evaluate_every_s: float) -> None:
    """Train; each epoch takes the scenes rendered by then, so that rendering may run meanwhile."""
    validation = Dataset("validation", 0, VALIDATION_SCENES)
    evaluated = monotonic()
    losses: list[float] = []
    while trainer.images < trainer.total_images:
        data = Dataset("train", 0, min(scenes, rendered_count("train")) or scenes)
        print(f"epoch {trainer.epoch}: {len(data)} scenes", flush=True)
        for photos, truths in batches(data, Random(trainer.epoch)):
            losses.append(trainer.step(photos, truths))
            if monotonic() - evaluated > evaluate_every_s:
                report(trainer, validation, losses)
                losses.clear()
                evaluated = monotonic()
            if trainer.images >= trainer.total_images:
                break
        trainer.epoch += 1
    report(trainer, Dataset("validation", 0, FINAL_SCENES), losses)


def report(trainer: Trainer, validation: Dataset, losses: list[float]) -> None:
    """Save, evaluate the averaged weights and export them."""
    trainer.save()
    quality = evaluate(trainer.average, validation)
    export(trainer.average, quality.threshold, trainer.out)
    loss = sum(losses) / max(len(losses), 1)
    minutes = trainer.seconds / 60
    print(f"{minutes:6.1f} min {trainer.images:7d} photos loss {loss:.3f} {quality}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the demo tagger.")
    parser.add_argument("--out", type=Path, default=Path("bundles/demo/tagger"))
    parser.add_argument("--runs", type=Path, default=Path("training/runs/tagger"))
    parser.add_argument("--images", type=int, default=80_000, help="photos to see in all")
    parser.add_argument("--scenes", type=int, default=40_000, help="distinct scenes")
    parser.add_argument("--evaluate-every-s", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(1)
    trainer = Trainer(options.images, options.out, options.runs)
    train(trainer, options.scenes, options.evaluate_every_s)


if __name__ == "__main__":
    main()
