"""BLIP (`BlipForConditionalGeneration`) as the modules of a captioner's graphs.

Its text decoder is a BERT that attends to the photo between self-attention and the feed-forward
layer, and normalises after each of the three (Li et al. 2022).
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import BlipForConditionalGeneration, BlipTextConfig, BlipVisionConfig
from transformers.models.blip.modeling_blip_text import (
    BlipTextAttention,
    BlipTextLayer,
    BlipTextLMHeadModel,
    BlipTextSelfAttention,
)

from training.export.captioner_modules import CaptionerModules, Heads

_CHANNELS = 3


def load_modules(folder: Path) -> CaptionerModules:
    """Load the checkpoint in `folder`."""
    model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    text = cast("BlipTextConfig", model.config.text_config)
    side = cast("int", cast("BlipVisionConfig", model.config.vision_config).image_size)
    return CaptionerModules(
        encoder=Encoder(model),
        decoder=Decoder(model.text_decoder),
        photo=(_CHANNELS, side, side),
        layers=text.num_hidden_layers,
        heads=Heads(text.num_attention_heads, text.hidden_size // text.num_attention_heads),
    )


class Encoder(nn.Module):
    """Photo to the cross-attention keys and values of every decoder layer."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        super().__init__()
        self.vision_model = model.vision_model
        self.attentions = nn.ModuleList(
            layer.crossattention for layer in _layers(model.text_decoder)
        )
        self.eval()

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Return key and value of layer 0, of layer 1, ..."""
        patches = self.vision_model(pixel_values=pixel_values).last_hidden_state
        photos, _, width = patches.shape
        rows = patches.reshape(-1, width)
        cross: list[Tensor] = []
        for module in self.attentions:
            attention = cast("BlipTextAttention", module).self
            cross += [
                _heads(attention).split(part(rows), groups=photos)
                for part in (attention.key, attention.value)
            ]
        return tuple(cross)


class Decoder(nn.Module):
    """One token for each row, with the cache as plain tensors."""

    def __init__(self, decoder: BlipTextLMHeadModel) -> None:
        super().__init__()
        self.decoder = decoder
        self.eval()

    def forward(
        self, input_ids: Tensor, parents: Tensor, past: list[Tensor], cross: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return the logits, then key and value of layer 0, of layer 1, ..."""
        embeddings = self.decoder.bert.embeddings
        length = past[0].shape[2]
        position = torch.arange(length, length + 1)
        hidden = embeddings.LayerNorm(
            embeddings.word_embeddings(input_ids[:, 0]) + embeddings.position_embeddings(position)
        )
        present: list[Tensor] = []
        for index, layer in enumerate(_layers(self.decoder)):
            place = slice(2 * index, 2 * index + 2)
            read = [old.index_select(0, parents) for old in past[place]]
            hidden, cache = _attend_to_past(layer.attention, hidden, read)
            hidden = _attend_to_photo(layer.crossattention, hidden, cross[place])
            hidden = layer.feed_forward_chunk(hidden)
            present += cache
        return (self.decoder.cls(hidden), *present)


def _layers(decoder: BlipTextLMHeadModel) -> list[BlipTextLayer]:
    return [cast("BlipTextLayer", layer) for layer in decoder.bert.encoder.layer]


def _attend_to_past(
    block: BlipTextAttention, hidden: Tensor, past: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    attention = block.self
    new = (attention.query(hidden), attention.key(hidden), attention.value(hidden))
    attended, cache = _heads(attention).attend_to_past(*new, past)
    return block.output(attended, hidden), cache


def _attend_to_photo(block: BlipTextAttention, hidden: Tensor, cross: list[Tensor]) -> Tensor:
    attention = block.self
    attended = _heads(attention).attend_to_photo(attention.query(hidden), cross)
    return cast("Tensor", block.output(attended, hidden))


def _heads(attention: BlipTextSelfAttention) -> Heads:
    return Heads(attention.num_attention_heads, attention.attention_head_size)
