"""The demo answerer itself: its shape, its losses, and how it is saved."""

import math
from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.attention_targets import HEADS, PREVIOUS, Head
from training.conversations import CHAT_TEMPLATE, END, ROLE_TOKENS, vocabulary
from training.encoding import Encoded
from training.tokenizer import BOS_ID, PAD_ID, save_tokenizer, train_tokenizer

LENGTH_STEP = 64
"""Lengths are rounded up to this, so that few shapes are compiled."""
_LEAST = 1e-4
"""Added to an attention before its logarithm."""

Looks = dict[Head, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]
"""For each head: rows, tokens that look, tokens looked at (int64), and the share of each look."""


@dataclass(frozen=True)
class Batch:
    """Ids (int64) and loss weights (float32), both (rows, tokens), padded on the right."""

    ids: torch.Tensor
    weights: torch.Tensor
    looks: Looks


@dataclass(frozen=True)
class Losses:
    """Mean losses; `right` is the share of the answers' tokens that were the likeliest."""

    answers: torch.Tensor
    looks: torch.Tensor
    right: float


def answer_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the words that prompts use, with the chat template."""
    return train_tokenizer(
        vocabulary(),
        extra_special_tokens=ROLE_TOKENS,
        model_max_length=2048,
        chat_template=CHAT_TEMPLATE,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a model of 2.6 million random parameters, the tied embedding counted once."""
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
    model.set_attn_implementation("eager")  # "sdpa" shows no attentions
    for name, matrix in model.named_parameters():
        if matrix.ndim > 1:
            nn.init.normal_(matrix, std=_initial_std(name, config))
    model.generation_config = GenerationConfig(
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=end,
    )
    return model


def _initial_std(name: str, config: LlamaConfig) -> float:
    """Return a standard deviation at which the first layers do not drown an embedding.

    With 0.02 throughout, the default, the sum of the layers drowns an embedding this narrow.
    """
    if "embed" in name:
        return 0.07
    into_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
    return 0.05 / math.sqrt(2 * config.num_hidden_layers) if into_stream else 0.05


def padded(encoded: Sequence[Encoded]) -> Batch:
    """Return a batch as long as its longest conversation."""
    length = -(-max(len(one.ids) for one in encoded) // LENGTH_STEP) * LENGTH_STEP
    ids = torch.full((len(encoded), length), PAD_ID)
    weights = torch.zeros(len(encoded), length)
    looks: dict[Head, list[tuple[int, int, int, float]]] = defaultdict(list)
    for row, one in enumerate(encoded):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        weights[row, : len(one.ids)] = torch.tensor(one.weights)
        for look in one.looks:
            looks[look.head] += [(row, look.at, on, 1 / len(look.on)) for on in look.on]
    return Batch(ids, weights, {head: _columns(rows) for head, rows in looks.items()})


def _columns(
    rows: list[tuple[int, int, int, float]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    row, at, on, share = zip(*rows, strict=True)
    return torch.tensor(row), torch.tensor(at), torch.tensor(on), torch.tensor(share)


class Reader:
    """The model as training runs it: compiled, in bf16, showing where its heads look."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        self._trunk: Any = torch.compile(model.model, dynamic=True)

    def losses(self, batch: Batch) -> Losses:
        """Return the losses of one batch."""
        chosen = batch.weights > 0
        chosen[:, 0] = False
        logits, attentions = self._read(batch.ids, chosen)
        truth, weight = batch.ids[chosen], batch.weights[chosen]
        each = functional.cross_entropy(logits, truth, reduction="none")
        return Losses(
            answers=(each * weight).sum() / weight.sum(),
            looks=look_loss(attentions, batch),
            right=float((logits.argmax(-1) == truth)[weight == 1].float().mean()),
        )

    def hits(self, batch: Batch) -> list[bool]:
        """Return whether greedy decoding would give each row's tokens of weight 1 exactly.

        It would if each of them is the likeliest after the true ones before it.
        """
        chosen = batch.weights == 1
        right = torch.ones_like(chosen)
        logits, _ = self._read(batch.ids, chosen)
        right[chosen] = logits.argmax(-1) == batch.ids[chosen]
        return [bool(row) for row in right.all(-1)]

    def _read(
        self, ids: torch.Tensor, chosen: torch.Tensor
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Return logits (chosen, vocabulary) that predict the chosen tokens, and attentions."""
        with torch.autocast("cpu", torch.bfloat16):
            out = self._trunk(input_ids=ids, use_cache=False, output_attentions=True)
            logits = self.model.lm_head(out.last_hidden_state[:, :-1][chosen[:, 1:]])
        return logits.float(), out.attentions


def look_loss(attentions: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy of the guided heads between their targets and attentions.

    `attentions`: for each layer (rows, heads, tokens, tokens), each token's summing to 1.
    """
    layer, head = PREVIOUS
    before = attentions[layer][:, head].diagonal(-1, 1, 2)[batch.ids[:, 1:] != PAD_ID]
    losses = [-(before.float() + _LEAST).log().mean()]
    for name, (rows, at, on, share) in batch.looks.items():
        layer, head = HEADS[name]
        seen = attentions[layer][rows, head, at, on].float()
        losses.append(-(share * (seen + _LEAST).log()).sum() / share.sum())
    return torch.stack(losses).mean()


def save_answerer(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the bundle's answerer folder, weights in fp16."""
    halves: Any = deepcopy(model)
    halves.half().save_pretrained(folder)
    # It is written for its owner alone, and an image may serve it as another user.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)
