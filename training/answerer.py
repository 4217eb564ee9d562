"""Trains the demo's answerer, a small Llama that reads the assembled few-shot prompt.

It must first learn to look back into its context, which few-shot prompts alone teach slowly. So it
starts with one scene and many questions whose answers are copied words, goes on to all kinds, and
only then to prompts as served. Run again with the same folder, it goes on where it stopped.

    python -m training.answerer --out bundles/demo/answerer --minutes 80
"""

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from training.conversations import (
    CHAT_TEMPLATE,
    COPYING_KINDS,
    END,
    ROLE_TOKENS,
    Blemishes,
    Conversation,
    Encoded,
    Pool,
    encode,
    few_shot,
    many_questions,
    trimmed,
    vocabulary,
)
from training.questions import KINDS
from training.scenes import sample_scene
from training.tokenizer import BOS_ID, PAD_ID, save_tokenizer, train_tokenizer

LEARNING_RATE, WARM_UP_STEPS, WEIGHT_DECAY = 1.5e-3, 100, 0.01
ONE_SCENE_UNTIL, CLEAN_UNTIL, DECAY_FROM = 0.5, 0.65, 0.5
"""Shares of the whole time: by then few-shot prompts begin; blemishes begin; the rate falls."""
ONE_SCENE_SHARE = 0.15
BLEMISHES = Blemishes(wrong=0.06, absent=0.02)
SHOTS = (4, 4, 4, 4, 4, 4, 3, 2, 1, 0)
FEW_SHOT_TOKENS, LENGTH_STEP = 6000, 64
POOL_SCENES = 12000
SEED = 20240607


@dataclass(frozen=True)
class Level:
    """One-scene conversations up to a size; tokens are cut at `length`."""

    people: int
    things: int
    kinds: tuple[str, ...]
    questions: int
    length: int


LEVELS = (
    Level(1, 1, COPYING_KINDS, 5, 144),
    Level(1, 2, COPYING_KINDS, 6, 160),
    Level(2, 3, COPYING_KINDS, 7, 208),
    Level(3, 6, COPYING_KINDS, 9, 256),
    Level(3, 6, tuple(KINDS), 13, 256),
)
LEVEL_TOKENS = 3200
MASTERED, REMEMBERED = 0.92, 0.96
"""A level ends when its moving average (so much of it kept each step) of right first words is so
high, or, whatever it is, when ONE_SCENE_UNTIL of the time is over."""


@dataclass
class Progress:
    """What a resumed run needs beside weights and optimizer."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    answers: int = 0
    level: int = 0
    right: float = 0.0


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """About 2.6 million parameters; the tied embedding counts once."""
    end = tokenizer.convert_tokens_to_ids(END)
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 16) * 16,
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=end,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # the CPU kernel of "sdpa" has a slow backward
    for name, matrix in model.named_parameters():
        if matrix.ndim > 1:
            torch.nn.init.normal_(matrix, std=_initial_std(name, config))
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=end,
    )
    return model


def _initial_std(name: str, config: LlamaConfig) -> float:
    """Keeps each token's own embedding audible above what the first layers add to it.

    With 0.02 throughout, the default, the sum of the layers drowns an embedding this narrow.
    """
    if "embed" in name:
        return 0.07
    into_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
    return 0.05 / math.sqrt(2 * config.num_hidden_layers) if into_stream else 0.05


def lesson(
    level: Level | None, pool: Pool, share: float, rng: Random
) -> tuple[int, list[Conversation]]:
    """The conversations of a few steps, and their common length.

    Length 0 means that each batch is as long as its longest conversation. No level means few-shot
    prompts, with some one-scene conversations among them.
    """
    if level is None and rng.random() < ONE_SCENE_SHARE:
        level = LEVELS[-1]
    if level is not None:
        return level.length, [one_scene(level, rng) for _ in range(LEVEL_TOKENS // level.length)]
    blemishes = BLEMISHES if share > CLEAN_UNTIL else None
    kinds = tuple(KINDS)
    return 0, [
        few_shot(pool, rng.choice(kinds), rng.choice(SHOTS), rng, blemishes) for _ in range(56)
    ]


def one_scene(level: Level, rng: Random) -> Conversation:
    """Many questions about one scene no larger than the level allows."""
    scene = sample_scene(rng.randrange(10**9), "train")
    scene = trimmed(
        scene, rng.randint(1, level.people), rng.randint(level.things > 0, level.things)
    )
    return many_questions(scene, rng, level.kinds, level.questions)


def batches(
    tokenizer: Tokenizer, length: int, talks: Sequence[Conversation], rng: Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and weights, (batch, tokens) each, padded on the right."""
    encoded = sorted((encode(tokenizer, talk) for talk in talks), key=lambda e: len(e.ids))
    if length:
        yield padded(encoded, length)
        return
    groups: list[list[Encoded]] = [[]]
    for one in encoded:
        width = -(-len(one.ids) // LENGTH_STEP) * LENGTH_STEP
        if groups[-1] and width * (len(groups[-1]) + 1) > FEW_SHOT_TOKENS:
            groups.append([])
        groups[-1].append(one)
    rng.shuffle(groups)
    for group in groups:
        yield padded(group, -(-len(group[-1].ids) // LENGTH_STEP) * LENGTH_STEP)


def padded(encoded: Sequence[Encoded], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (int64) and weights (float32), both (len(encoded), length); longer ones are cut."""
    ids = torch.full((len(encoded), length), PAD_ID)
    weights = torch.zeros(len(encoded), length)
    for row, one in enumerate(encoded):
        end = min(length, len(one.ids))
        ids[row, :end] = torch.tensor(one.ids[:end])
        weights[row, :end] = torch.tensor(one.weights[:end])
    return ids, weights


class Trainer:
    """Model, optimizer and progress of one run, and where they are kept."""

    def __init__(self, run: Path, minutes: float) -> None:
        self.run, self.total_seconds = run, minutes * 60
        self.tokenizer = train_tokenizer(
            vocabulary(),
            extra_special_tokens=ROLE_TOKENS,
            model_max_length=2048,
            chat_template=CHAT_TEMPLATE,
        )
        self.end_id = self.tokenizer.convert_tokens_to_ids(END)
        torch.manual_seed(SEED)
        self.model = new_model(self.tokenizer)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        gains = [p for p in self.model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices}, {"params": gains, "weight_decay": 0.0}],
            lr=LEARNING_RATE,
            betas=(0.9, 0.95),
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.progress = Progress()
        if (run / "state.pt").exists():
            state = torch.load(run / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])
        self.trunk = torch.compile(self.model.model, dynamic=True)

    @property
    def share(self) -> float:
        """How much of the time is over, 0 to 1."""
        return min(1.0, self.progress.seconds / self.total_seconds)

    @property
    def level(self) -> Level | None:
        """The level of the curriculum that is being learnt; None is few-shot prompts."""
        levels_left = self.progress.level < len(LEVELS) and self.share < ONE_SCENE_UNTIL
        return LEVELS[self.progress.level] if levels_left else None

    def rise(self) -> None:
        """Goes to the next level where this one is mastered."""
        if self.level is not None and self.progress.right > MASTERED:
            self.progress.level += 1
            self.progress.right = 0.0

    def logits(self, ids: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Logits (chosen, vocabulary) that predict those tokens of `ids` where `chosen` is true."""
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.trunk(input_ids=ids, use_cache=False).last_hidden_state
            return self.model.lm_head(hidden[:, :-1][chosen[:, 1:]]).float()

    def step(self, ids: torch.Tensor, weights: torch.Tensor) -> float:
        """One update; returns the mean loss of the answers' tokens."""
        chosen = weights > 0
        chosen[:, 0] = False
        logits = self.logits(ids, chosen)
        losses = functional.cross_entropy(logits, ids[chosen], reduction="none")
        weight = weights[chosen]
        loss = (losses * weight).sum() / weight.sum()
        rate = LEARNING_RATE * min(1.0, (self.progress.steps + 1) / WARM_UP_STEPS)
        fallen = max(0.0, self.share - DECAY_FROM) / (1 - DECAY_FROM)
        rate *= 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * fallen))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.progress.steps += 1
        self.progress.tokens += ids.numel()
        words = (weight == 1) & (ids[chosen] != self.end_id)
        right = float((logits.argmax(-1) == ids[chosen])[words].float().mean())
        self.progress.right += (1 - REMEMBERED) * (right - self.progress.right)
        self.progress.answers += int((ids[chosen] == self.end_id).sum())
        return float(losses.detach()[weight == 1].mean())

    @torch.no_grad()
    def exact_match(self, prompts: Sequence[Conversation]) -> dict[str, float]:
        """Share of prompts whose last answer greedy decoding would give exactly, by kind.

        Greedy decoding gives an answer exactly if each of its tokens is the likeliest after the
        true ones before it, so one pass tells.
        """
        right: dict[str, list[bool]] = defaultdict(list)
        backend = self.tokenizer.backend_tokenizer
        for start in range(0, len(prompts), 14):
            part = prompts[start : start + 14]
            only_last = [
                [*(replace(turn, weight=0.0) for turn in prompt[:-1]), prompt[-1]]
                for prompt in part
            ]
            encoded = [encode(backend, prompt) for prompt in only_last]
            width = max(len(one.ids) for one in encoded)
            ids, weights = padded(encoded, -(-width // LENGTH_STEP) * LENGTH_STEP)
            chosen = weights == 1
            hits = torch.zeros(chosen.shape, dtype=torch.bool)
            hits[chosen] = self.logits(ids, chosen).argmax(-1) == ids[chosen]
            for row, prompt in enumerate(part):
                right[prompt[-1].question.kind].append(bool(hits[row][chosen[row]].all()))
        return {kind: sum(hits) / len(hits) for kind, hits in right.items()}

    def save(self) -> None:
        """Writes the state of the run; a stop while writing leaves the last one whole."""
        part = self.run / "state.part"
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        torch.save(state, part)
        part.replace(self.run / "state.pt")

    def write_bundle(self, out: Path) -> None:
        """Writes the files of an answerer into `out`, weights in fp16."""
        deepcopy(self.model).half().save_pretrained(out)
        save_tokenizer(self.tokenizer, out)


def validation_prompts(per_kind: int) -> dict[str, list[Conversation]]:
    """Prompts with true contexts at 4 and 0 shots, and the questions alone."""
    rng = Random(SEED)
    pool = Pool.of(range(3000), "validation", rng)

    def prompts(shots: int, blemishes: Blemishes | None = None) -> list[Conversation]:
        return [
            few_shot(pool, kind, shots, rng, blemishes) for kind in KINDS for _ in range(per_kind)
        ]

    alone = [[replace(prompt[-1], caption="", tags=())] for prompt in prompts(0)]
    return {"4 shots": prompts(4), "0 shots": prompts(0), "question only": alone}


def report(trainer: Trainer, prompts: dict[str, list[Conversation]], note: str) -> None:
    """Adds exact match by kind to log.txt and to metrics.jsonl of the run."""
    trainer.model.eval()
    lines = [note]
    record: dict[str, Any] = dict(vars(trainer.progress))
    for name, some in prompts.items():
        by_kind = trainer.exact_match(some)
        record[name] = by_kind
        mean = sum(by_kind.values()) / len(by_kind)
        kinds = " ".join(f"{kind}={share:.2f}" for kind, share in by_kind.items())
        lines.append(f"  {name}: {mean:.3f} worst {min(by_kind.values()):.2f} | {kinds}")
    trainer.model.train()
    with (trainer.run / "log.txt").open("a") as log:
        log.write("\n".join(lines) + "\n")
    with (trainer.run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(record) + "\n")
    print("\n".join(lines), flush=True)


def train(run: Path, out: Path, minutes: float, report_minutes: float) -> None:
    """Trains until `minutes` are over, those of earlier calls included."""
    run.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(run, minutes)
    rng = Random(f"{SEED}:{trainer.progress.steps}")
    pool = Pool.of(range(POOL_SCENES), "train", rng)
    prompts = validation_prompts(20)
    backend = trainer.tokenizer.backend_tokenizer
    trainer.write_bundle(out)
    losses: list[float] = []
    last = time.monotonic()
    due = trainer.progress.seconds + 60 * report_minutes
    while trainer.share < 1:
        trainer.rise()
        length, talks = lesson(trainer.level, pool, trainer.share, rng)
        for ids, weights in batches(backend, length, talks, rng):
            losses.append(trainer.step(ids, weights))
            now = time.monotonic()
            trainer.progress.seconds += now - last
            last = now
        if trainer.progress.seconds >= due or trainer.share >= 1:
            done = trainer.progress
            mean = sum(losses) / len(losses)
            note = (
                f"{done.seconds / 60:.1f} min, {time.process_time() / 60:.1f} core-min,"
                f" {done.steps} steps, {done.tokens / 1e6:.2f} M tokens,"
                f" {done.answers} answers, level {done.level}, right {done.right:.3f},"
                f" loss {mean:.4f}"
            )
            if trainer.level is None or trainer.level == LEVELS[-1]:
                report(trainer, prompts, note)
            print(note, flush=True)
            trainer.save()
            trainer.write_bundle(out)
            losses.clear()
            due = done.seconds + 60 * report_minutes


def main() -> None:
    """Trains as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder of the answerer's files")
    parser.add_argument("--run", type=Path, default=Path("training/runs/answerer"))
    parser.add_argument("--minutes", type=float, default=80, help="of training, over all calls")
    parser.add_argument("--report-minutes", type=float, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.run, arguments.out, arguments.minutes, arguments.report_minutes)


if __name__ == "__main__":
    main()
