"""The demo captioner: its shape, its losses beyond words, and how it is saved.

ViT + GPT-2 as in `nlpconnect/vit-gpt2-image-captioning`, at 1/50 of the size. ReLU instead of GELU
and eager attention each give about a third more photos a second in bf16 on a CPU. The dense heads
exist only in training; what is saved is a plain `VisionEncoderDecoderModel`.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import (
    GenerationConfig,
    GPT2Config,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

from training.patches import IGNORED, TARGETS, patch_truth, spoken_of
from training.photos import Size, processor_config
from training.scenes import Scene, canonical_caption, sample_scene
from training.tokenizer import BOS_ID, EOS_ID, PAD_ID, save_tokenizer, train_tokenizer

SIZE: Size = (144, 192)
PATCH = 16
ROWS, COLUMNS = SIZE[0] // PATCH, SIZE[1] // PATCH
WIDTH = 192
LONGEST_CAPTION = 110
GUIDED_HEAD = 0
"""In every decoder layer but the first, this cross-attention head is shown where to look."""


def caption_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the words that captions use."""
    texts = (canonical_caption(sample_scene(seed, "train")) for seed in range(2000))
    return train_tokenizer(texts, model_max_length=LONGEST_CAPTION)


def new_captioner(vocabulary: int) -> VisionEncoderDecoderModel:
    """Return a captioner with random weights, for photos of `SIZE`."""
    encoder = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=6,
        num_attention_heads=3,
        intermediate_size=4 * WIDTH,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        image_size=SIZE,
        patch_size=PATCH,
    )
    decoder = GPT2Config(
        vocab_size=vocabulary,
        n_positions=LONGEST_CAPTION + 2,
        n_embd=WIDTH,
        n_layer=3,
        n_head=3,
        n_inner=512,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        add_cross_attention=True,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id = BOS_ID
    config.eos_token_id, config.pad_token_id = EOS_ID, PAD_ID
    model = VisionEncoderDecoderModel(config=config)
    model.encoder.set_attn_implementation("eager")
    model.decoder.set_attn_implementation("eager")
    model.generation_config = GenerationConfig(
        decoder_start_token_id=BOS_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        num_beams=1,
        do_sample=False,
        max_new_tokens=LONGEST_CAPTION,
    )
    return model


class Teacher(nn.Module):
    """The captioner together with what is only needed to train it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.model = new_captioner(len(tokenizer))
        self.heads = nn.Linear(WIDTH, sum(TARGETS.values()))

    def dense_loss(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of all dense targets; `hidden` (batch, patches, WIDTH)."""
        total = torch.zeros(())
        logits = self.heads(hidden).float().flatten(0, 1).split(list(TARGETS.values()), -1)
        for column, (name, classes) in enumerate(TARGETS.items()):
            truth = targets[..., column].flatten()
            weight = torch.ones(classes)
            if name == "shown":
                weight[0] = 0.3
            loss = functional.cross_entropy(
                logits[column], truth, weight, ignore_index=IGNORED, reduction="sum"
            )
            told = weight[truth[truth != IGNORED]].sum()
            total = total + loss / told.clamp_min(1)
        return total / len(TARGETS)

    def dense_accuracy(self, hidden: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        """Return the share of patches whose class is predicted right, by dense target."""
        logits = self.heads(hidden).split(list(TARGETS.values()), -1)
        found = {}
        for column, name in enumerate(TARGETS):
            told = targets[..., column] != IGNORED
            right = logits[column].argmax(-1) == targets[..., column]
            found[name] = float(right[told].float().mean())
        return found

    def encode(self, photos: torch.Tensor) -> torch.Tensor:
        """Return the hidden states, (batch, 1 + patches, WIDTH)."""
        hidden: torch.Tensor = self.model.encoder(pixel_values=photos).last_hidden_state
        return hidden

    def caption_losses(
        self, hidden: torch.Tensor, lesson: "Lesson"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (loss of the words, loss of the guided attention heads), both means over words."""
        out = self.model.decoder(
            input_ids=lesson.inputs,
            encoder_hidden_states=hidden,
            output_attentions=True,
            use_cache=False,
        )
        words = functional.cross_entropy(
            out.logits.float().flatten(0, 1), lesson.labels.flatten(), ignore_index=IGNORED
        )
        looks = torch.zeros(())
        for attention in out.cross_attentions[1:]:
            seen = attention[:, GUIDED_HEAD, :, 1:].float()
            on_subject = (seen * lesson.looked_at).sum(-1)[lesson.guided]
            looks = looks - on_subject.clamp_min(1e-4).log().mean()
        return words, looks / (len(out.cross_attentions) - 1)


class Lesson:
    """A batch of captions as the decoder reads them, and where it should look for each word.

    `inputs`, `labels`: (batch, words) int64. `looked_at`: (batch, words, patches) 0 or 1;
    `guided`: (batch, words) bool, where that is known.
    """

    def __init__(
        self, scenes: Sequence[Scene], covers: np.ndarray, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        captions = [canonical_caption(scene) for scene in scenes]
        ids = [[*row, EOS_ID] for row in tokenizer(captions)["input_ids"]]
        longest = max(map(len, ids))
        self.inputs = torch.full((len(ids), longest), PAD_ID)
        self.labels = torch.full((len(ids), longest), IGNORED)
        looked_at = np.zeros((len(ids), longest, covers.shape[-1]), dtype=np.float32)
        for place, row in enumerate(ids):
            self.inputs[place, : len(row)] = torch.tensor([BOS_ID, *row[:-1]])
            self.labels[place, : len(row)] = torch.tensor(row)
            entities = spoken_of(tokenizer.convert_ids_to_tokens(row))
            for word, entity in enumerate(entities):
                if entity >= 0:
                    looked_at[place, word] = covers[place, entity]
        self.looked_at = torch.from_numpy(looked_at)
        self.guided = self.looked_at.any(-1)


def dense_truth(scenes: Sequence[Scene]) -> tuple[torch.Tensor, np.ndarray]:
    """Return targets (batch, patches, 9) int64 and covers (batch, 9, patches) bool."""
    truths = [patch_truth(scene, ROWS, COLUMNS) for scene in scenes]
    targets = torch.from_numpy(np.stack([truth.targets for truth in truths]))
    return targets, np.stack([truth.covers for truth in truths])


@torch.no_grad()
def write_captions(teacher: Teacher, photos: torch.Tensor) -> list[str]:
    """Return captions, decoded greedily under bf16 autocast."""
    model: Any = teacher.model
    with torch.autocast("cpu", torch.bfloat16):
        ids = model.generate(pixel_values=photos)
    return [text.strip() for text in teacher.tokenizer.batch_decode(ids, skip_special_tokens=True)]


def save_captioner(teacher: Teacher, folder: Path) -> None:
    """Write the bundle's captioner folder, weights in fp16."""
    model: Any = copy.deepcopy(teacher.model)
    model.half().save_pretrained(folder)
    # It is written for its owner alone, and an image may serve it as another user.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(teacher.tokenizer, folder)
    config = processor_config("ViTImageProcessor", SIZE)
    text = json.dumps(config, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
