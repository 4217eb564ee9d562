"""Exports a chat model to `model.onnx`, one graph for prompts and single tokens.

Prompts of different lengths are batched by padding on the left: the mask is built inside
the graph from the same attention_mask that transformers takes.
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer

from models.chat.families import read_family
from training.export.graphs import cache_axes, write_graph


def export_answerer(folder: Path) -> None:
    """Write `model.onnx` beside the checkpoint in `folder`.

    input_ids and position_ids (rows, tokens) int64; attention_mask (rows, length + tokens) int64,
    0 at padding; past_key_i and past_value_i (rows, key heads, length, head size) of any length
    from 0 -> logits of the last token (rows, vocabulary), present_key_i and present_value_i.

    Raises:
        ValueError: The family of the checkpoint is unknown.
    """
    read_family(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    config = model.config
    heads = config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = config.num_hidden_layers
    rows, tokens, length = 2, 3, 4
    dynamic = {0: "rows", 1: "tokens"}
    write_graph(
        ChatDecoder(model),
        [
            torch.zeros(rows, tokens, dtype=torch.int64),
            torch.ones(rows, length + tokens, dtype=torch.int64),
            torch.arange(length, length + tokens).expand(rows, tokens),
            [torch.randn(rows, heads, length, size) for _ in range(2 * layers)],
        ],
        folder / "model.onnx",
        inputs={
            "input_ids": dynamic,
            "attention_mask": {0: "rows", 1: "length_and_tokens"},
            "position_ids": dynamic,
        }
        | cache_axes("past", layers, {0: "rows", 2: "length"}),
        outputs={"logits": {0: "rows"}}
        | cache_axes("present", layers, {0: "rows", 2: "length_and_tokens"}),
    )


class ChatDecoder(nn.Module):
    """A causal language model with the cache as plain tensors."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model.model
        self.lm_head = model.lm_head
        self.eval()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        past: list[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return the last token's logits, then key and value of layer 0, of layer 1, ..."""
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        hidden = self.model(
            input_ids=input_ids,
            attention_mask=_additive_mask(attention_mask, input_ids.shape[1]),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        present = [
            part
            for layer in cast("list[DynamicLayer]", cache.layers)
            for part in (layer.keys, layer.values)
        ]
        return (self.lm_head(hidden[:, -1]), *present)


def _additive_mask(attention_mask: Tensor, tokens: int) -> Tensor:
    """Return 0 to attend, else the least float: (rows, 1, tokens, length + tokens)."""
    total = attention_mask.shape[1]
    keys = torch.arange(total)
    queries = torch.arange(total - tokens, total)
    may_look = (keys[None, :] <= queries[:, None])[None, None] & attention_mask.bool()[
        :, None, None
    ]
    return torch.where(may_look, 0.0, torch.finfo(torch.float32).min)
