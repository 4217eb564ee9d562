"""ViT and GPT-2 (`VisionEncoderDecoderModel`) as the modules of a captioner's graphs."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, VisionEncoderDecoderModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention, GPT2Block
from transformers.pytorch_utils import Conv1D

from training.export.captioner_modules import CaptionerModules, Heads


def load_modules(folder: Path) -> CaptionerModules:
    """Load the checkpoint in `folder`.

    Raises:
        ValueError: The decoder is no GPT-2.
    """
    model = VisionEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32)
    decoder = model.decoder
    if not isinstance(decoder, GPT2LMHeadModel):
        raise ValueError(f"{folder}: only GPT-2 decoders are exported")  # noqa: TRY004
    photo, text = model.encoder.config, decoder.config
    sides = photo.image_size
    return CaptionerModules(
        encoder=Encoder(model, decoder),
        decoder=Decoder(decoder),
        photo=(photo.num_channels, *((sides, sides) if isinstance(sides, int) else sides)),
        layers=text.n_layer,
        heads=Heads(text.n_head, text.n_embd // text.n_head),
    )


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
            heads = Heads(attention.num_heads, attention.head_dim)
            cross += [heads.split(part, groups=photos) for part in both.chunk(2, dim=1)]
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
            read = [old.index_select(0, parents) for old in past[layer]]
            attended, cache = _attend_to_past(block, hidden, read)
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
    query, key, value = _linear(attention.c_attn, block.ln_1(hidden)).chunk(3, dim=1)
    heads = Heads(attention.num_heads, attention.head_dim)
    attended, cache = heads.attend_to_past(query, key, value, past)
    return _linear(attention.c_proj, attended), cache


def _attend_to_photo(block: GPT2Block, hidden: Tensor, cross: list[Tensor]) -> Tensor:
    attention = block.crossattention
    query = _linear(attention.q_attn, block.ln_cross_attn(hidden))
    attended = Heads(attention.num_heads, attention.head_dim).attend_to_photo(query, cross)
    return _linear(attention.c_proj, attended)


def _linear(layer: Conv1D, rows: Tensor) -> Tensor:
    """Apply a Conv1D as one Gemm; its own forward adds a dozen shape nodes."""
    return torch.addmm(layer.bias, rows, layer.weight)
