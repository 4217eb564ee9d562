"""Exports a ViT + GPT-2 captioner to `encoder.onnx` and `decoder.onnx`.

The encoder graph ends in the decoder's cross-attention keys and values, computed once for each
photo. The decoder graph puts the beams of one photo beside each other in one attention product,
so that those keys and values are never repeated for beams.
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, VisionEncoderDecoderModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention, GPT2Block
from transformers.pytorch_utils import Conv1D

from training.export.graphs import cache_axes, write_graph


def export_captioner(folder: Path) -> None:
    """Write `encoder.onnx` and `decoder.onnx` beside the checkpoint in `folder`.

    encoder: pixel_values (photos, channels, height, width) float32 -> cross_key_i and
    cross_value_i for each decoder layer i, (photos, heads, patches, head size).

    decoder: input_ids (rows, 1) int64; parents (rows,) int64, the row of the past that each row
    goes on from; past_key_i and past_value_i (past rows, heads, length, head size) of any length
    from 0; cross_key_i and cross_value_i -> logits (rows, vocabulary) and present_key_i and
    present_value_i. Rows of one photo are neighbours, and each photo has equally many.

    Raises:
        ValueError: The decoder is no GPT-2.
    """
    model = VisionEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32)
    decoder = model.decoder
    if not isinstance(decoder, GPT2LMHeadModel):
        raise ValueError(f"{folder}: only GPT-2 decoders are exported")  # noqa: TRY004
    _export_encoder(Encoder(model, decoder), folder / "encoder.onnx")
    _export_decoder(Decoder(decoder), folder / "decoder.onnx")


class Encoder(nn.Module):
    """Photo to the cross-attention keys and values of every decoder layer."""

    def __init__(self, model: VisionEncoderDecoderModel, decoder: GPT2LMHeadModel) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.projection = getattr(model, "enc_to_dec_proj", nn.Identity())
        self.attentions = nn.ModuleList(block.crossattention for block in _blocks(decoder))
        self.eval()

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Return key and value of layer 0, of layer 1, ..."""
        patches = self.projection(self.encoder(pixel_values=pixel_values).last_hidden_state)
        photos, _, width = patches.shape
        cross: list[Tensor] = []
        for module in self.attentions:
            attention = cast("GPT2Attention", module)
            both = _linear(attention.c_attn, patches.reshape(-1, width))
            cross += [_split_heads(attention, part, photos) for part in both.chunk(2, dim=1)]
        return tuple(cross)


class Decoder(nn.Module):
    """One token for each row, with the cache as plain tensors."""

    def __init__(self, decoder: GPT2LMHeadModel) -> None:
        super().__init__()
        self.decoder = decoder
        self.eval()

    def forward(
        self, input_ids: Tensor, parents: Tensor, past: list[Tensor], cross: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return the logits, then key and value of layer 0, of layer 1, ..."""
        transformer = self.decoder.transformer
        length = past[0].shape[2]
        position = torch.arange(length, length + 1)
        hidden = transformer.wte(input_ids[:, 0]) + transformer.wpe(position)
        present: list[Tensor] = []
        for index, block in enumerate(_blocks(self.decoder)):
            layer = slice(2 * index, 2 * index + 2)
            attended, cache = _attend_to_past(
                block, hidden, [old.index_select(0, parents) for old in past[layer]]
            )
            hidden = hidden + attended
            hidden = hidden + _attend_to_photo(block, hidden, cross[layer])
            inner = block.mlp.act(_linear(block.mlp.c_fc, block.ln_2(hidden)))
            hidden = hidden + _linear(block.mlp.c_proj, inner)
            present += cache
        return (self.decoder.lm_head(transformer.ln_f(hidden)), *present)


def _blocks(decoder: GPT2LMHeadModel) -> list[GPT2Block]:
    return [cast("GPT2Block", block) for block in decoder.transformer.h]


def _attend_to_past(
    block: GPT2Block, hidden: Tensor, past: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    attention = block.attn
    query, key, value = (
        part.view(-1, attention.num_heads, 1, attention.head_dim)
        for part in _linear(attention.c_attn, block.ln_1(hidden)).chunk(3, dim=1)
    )
    cache = [torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)]
    return _attend(attention, query, *cache), cache


def _attend_to_photo(block: GPT2Block, hidden: Tensor, cross: list[Tensor]) -> Tensor:
    """Attend with the rows of a photo as positions of one query: (photos, heads, beams, size)."""
    attention = block.crossattention
    query = _linear(attention.q_attn, block.ln_cross_attn(hidden))
    return _attend(attention, _split_heads(attention, query, cross[0].shape[0]), *cross)


def _attend(attention: GPT2Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = torch.matmul(query * attention.scaling, key.transpose(-1, -2)).softmax(dim=-1)
    attended = torch.matmul(weights, value).transpose(1, 2)
    return _linear(attention.c_proj, attended.reshape(-1, attention.embed_dim))


def _linear(layer: Conv1D, rows: Tensor) -> Tensor:
    """Apply a Conv1D as one Gemm; its own forward adds a dozen shape nodes."""
    return torch.addmm(layer.bias, rows, layer.weight)


def _split_heads(attention: GPT2Attention, states: Tensor, groups: int) -> Tensor:
    """Reshape (groups * positions, width) to (groups, heads, positions, head size)."""
    return states.view(groups, -1, attention.num_heads, attention.head_dim).transpose(1, 2)


def _export_encoder(encoder: Encoder, path: Path) -> None:
    sizes = encoder.encoder.config
    height, width = (
        (sizes.image_size, sizes.image_size)
        if isinstance(sizes.image_size, int)
        else sizes.image_size
    )
    write_graph(
        encoder,
        [torch.randn(2, sizes.num_channels, height, width)],
        path,
        inputs={"pixel_values": {0: "photos"}},
        outputs=cache_axes("cross", len(encoder.attentions), {0: "photos"}),
    )


def _export_decoder(decoder: Decoder, path: Path) -> None:
    config = decoder.decoder.config
    layers, heads, size = config.n_layer, config.n_head, config.n_embd // config.n_head
    rows = {0: "rows"}
    write_graph(
        decoder,
        [
            torch.zeros(6, 1, dtype=torch.int64),
            torch.arange(6),
            [torch.randn(6, heads, 4, size) for _ in range(2 * layers)],
            [torch.randn(2, heads, 5, size) for _ in range(2 * layers)],
        ],
        path,
        inputs={"input_ids": rows, "parents": rows}
        | cache_axes("past", layers, {0: "past_rows", 2: "length"})
        | cache_axes("cross", layers, {0: "photos", 2: "patches"}),
        outputs={"logits": rows} | cache_axes("present", layers, {0: "rows", 2: "length_and_one"}),
    )
