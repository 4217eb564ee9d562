"""Trains the demo's answerer, a small Llama that reads the assembled few-shot prompt.

It learns to look back into its prompt by being shown where (`training.attention_targets`), first
on one scene with many questions, then on prompts as served.

    python -m training.answerer --out bundles/demo/answerer --minutes 60

Interrupted, the same command goes on from the last checkpoint.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import torch

from training.answer_model import (
    LENGTH_STEP,
    Batch,
    Reader,
    answer_tokenizer,
    new_model,
    padded,
    save_answerer,
)
from training.conversations import (
    Blemishes,
    Conversation,
    Pool,
    few_shot,
    many_questions,
    recalled,
)
from training.encoding import Encoded, encode
from training.progress import Learner, Run, Smoothed
from training.questions import KINDS
from training.scenes import sample_scene

PEAK_RATE = 1.5e-3
DECAY_FROM = 0.5
LOOK_WEIGHT = 0.5
ONE_SCENE_UNTIL, CLEAN_UNTIL = 0.15, 0.5
"""Shares of the run after which few-shot prompts begin, and blemishes."""
ONE_SCENE_SHARE = 0.3
"""Share of batches with one scene after that."""
RECALLED_SHARE = 0.4
"""Share of those that ask for owners and room, without a scene."""
QUESTIONS_A_SCENE = 13
HARD_KINDS = (*3 * ("side", "beside"), "shirt_colour", "who_wears", "count_wearing")
ONE_SCENE_KINDS = (*KINDS, *HARD_KINDS)
FEW_SHOT_KINDS = (*ONE_SCENE_KINDS, *4 * ("owner", "room"))
"""What is learnt slowly is asked more often."""
BLEMISHES = Blemishes(wrong=0.06, absent=0.02)
SHOTS = (4, 4, 4, 3, 2, 1, 1, 0)
TOKENS_A_STEP = 4096
PROMPTS_AT_ONCE = 48
"""Few-shot prompts that are drawn together and sorted into batches of like length."""
POOL_SCENES = 12000
REPORT_EVERY_S = 600.0
SEED = 20240607


class Training:
    """One run: its batches, its losses and its reports."""

    def __init__(self, run: Run, out: Path) -> None:
        torch.manual_seed(SEED)
        self.run, self.out = run, out
        self.tokenizer = answer_tokenizer()
        self.model = new_model(self.tokenizer)
        self.reader = Reader(self.model)
        self.learner = Learner(
            run,
            self.model,
            peak_rate=PEAK_RATE,
            warm_steps=100,
            decay_from=DECAY_FROM,
            average_decay=0.995,
        )
        self.random = Random(f"{SEED}:{self.learner.step}")
        self.pool = Pool.of(range(POOL_SCENES), "train", self.random)
        self.batches = self._batches()
        self.losses = Smoothed("answers", "looks", "right")
        self.prompts = validation_prompts(20)

    def step(self) -> None:
        """Train on one batch."""
        losses = self.reader.losses(next(self.batches))
        self.losses.note("answers", losses.answers)
        self.losses.note("looks", losses.looks)
        self.losses.note("right", torch.tensor(losses.right))
        self.learner.learn(losses.answers + LOOK_WEIGHT * losses.looks)

    def _batches(self) -> Iterator[Batch]:
        while True:
            yield from batches([self._encode(talk) for talk in self._lesson()], self.random)

    def _encode(self, talk: Conversation) -> Encoded:
        return encode(self.tokenizer.backend_tokenizer, talk)

    def _lesson(self) -> list[Conversation]:
        rng = self.random
        share = ONE_SCENE_SHARE if self.run.fraction > ONE_SCENE_UNTIL else 1
        if rng.random() < share:
            if rng.random() < RECALLED_SHARE:
                return [recalled(rng, QUESTIONS_A_SCENE) for _ in range(TOKENS_A_STEP // 256)]
            return [one_scene(rng) for _ in range(TOKENS_A_STEP // 256)]
        blemishes = BLEMISHES if self.run.fraction > CLEAN_UNTIL else None
        return [
            few_shot(self.pool, rng.choice(FEW_SHOT_KINDS), rng.choice(SHOTS), rng, blemishes)
            for _ in range(PROMPTS_AT_ONCE)
        ]

    def report(self) -> None:
        """Score the averaged weights on validation prompts, and save them as the bundle's."""
        with self.learner.average.inside(self.model):
            self.run.log(f"step {self.learner.step}, {self.losses}")
            for name, prompts in self.prompts.items():
                by_kind = self.exact_match(prompts)
                mean = sum(by_kind.values()) / len(by_kind)
                kinds = " ".join(f"{kind} {share:.2f}" for kind, share in by_kind.items())
                self.run.log(f"  {name}: {mean:.3f}, worst {min(by_kind.values()):.2f} | {kinds}")
            save_answerer(self.model, self.tokenizer, self.out)

    @torch.no_grad()
    def exact_match(self, prompts: Sequence[Conversation]) -> dict[str, float]:
        """Return the share of prompts whose last answer is exact in greedy decoding, by kind."""
        right: dict[str, list[bool]] = defaultdict(list)
        for start in range(0, len(prompts), 14):
            part = prompts[start : start + 14]
            only_last = [
                [*(replace(turn, weight=0.0) for turn in prompt[:-1]), prompt[-1]]
                for prompt in part
            ]
            hits = self.reader.hits(padded([self._encode(prompt) for prompt in only_last]))
            for prompt, hit in zip(part, hits, strict=True):
                right[prompt[-1].question.kind].append(hit)
        return {kind: sum(hits) / len(hits) for kind, hits in right.items()}


def one_scene(rng: Random) -> Conversation:
    """Return many questions about one scene, none of them with an example."""
    scene = sample_scene(rng.randrange(10**9), "train")
    return many_questions(scene, rng, ONE_SCENE_KINDS, QUESTIONS_A_SCENE)


def batches(encoded: list[Encoded], rng: Random) -> Iterator[Batch]:
    """Yield batches of like length and at most `TOKENS_A_STEP` tokens, in random order."""
    groups: list[list[Encoded]] = [[]]
    for one in sorted(encoded, key=lambda one: len(one.ids)):
        width = -(-len(one.ids) // LENGTH_STEP) * LENGTH_STEP
        if groups[-1] and width * (len(groups[-1]) + 1) > TOKENS_A_STEP:
            groups.append([])
        groups[-1].append(one)
    rng.shuffle(groups)
    return map(padded, groups)


def validation_prompts(per_kind: int) -> dict[str, list[Conversation]]:
    """Return prompts with true contexts at 4 and 0 shots, and the questions alone."""
    rng = Random(SEED)
    pool = Pool.of(range(3000), "validation", rng)

    def prompts(shots: int) -> list[Conversation]:
        return [few_shot(pool, kind, shots, rng) for kind in KINDS for _ in range(per_kind)]

    alone: list[Conversation] = [
        [replace(prompt[-1], caption="", tags=())] for prompt in prompts(0)
    ]
    return {"4 shots": prompts(4), "0 shots": prompts(0), "question only": alone}


def train(out: Path, runs: Path, minutes: float, threads: int) -> None:
    """Train for `minutes` of wall time, those of earlier calls included."""
    torch.set_num_threads(threads)
    run = Run(runs, minutes)
    training = Training(run, out)
    run.repeat(
        training.step,
        save=training.learner.save,
        report=training.report,
        report_every_s=REPORT_EVERY_S,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the demo answerer.")
    parser.add_argument("--out", type=Path, default=Path("bundles/demo/answerer"))
    parser.add_argument("--runs", type=Path, default=Path("training/runs/answerer"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    train(options.out, options.runs, options.minutes, options.threads)


if __name__ == "__main__":
    main()
