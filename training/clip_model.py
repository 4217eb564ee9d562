"""The demo CLIP: its shape, its losses, and how it is saved.

Besides CLIP's own loss between photos and captions, two losses serve the example bank: photos of
one room attract each other, and so do questions of one kind about one subject. The sum of both
cosines then finds "the same question, asked in the same room".
"""

import copy
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from training.patches import IGNORED, TARGETS
from training.photos import Size, processor_config
from training.questions import OWNER_NAMES, Question, article, vocabulary
from training.scenes import ROOMS, Scene, caption_variants, sample_scene
from training.tokenizer import BOS_ID, EOS_ID, PAD_ID, save_tokenizer, train_tokenizer

SIZE: Size = (128, 128)
PATCH = 16
ROWS = COLUMNS = 128 // PATCH
VISION_WIDTH, TEXT_WIDTH, PROJECTION = 192, 128, 128
LONGEST_TEXT = 112
SAME_TEMPERATURE = 0.1


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the words that captions and questions use."""
    texts = [*vocabulary(), *map(article, ROOMS), " ".join(OWNER_NAMES)]
    for seed in range(2000):
        texts += caption_variants(sample_scene(seed, "train"))
    return train_tokenizer(texts, wrap=True, model_max_length=LONGEST_TEXT)


def new_clip(vocabulary_size: int) -> CLIPModel:
    """Return a CLIP with random weights, for photos of `SIZE`."""
    ids = {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}
    text = {
        "vocab_size": vocabulary_size,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": LONGEST_TEXT,
        "hidden_act": "relu",
        **ids,
    }
    vision = {
        "hidden_size": VISION_WIDTH,
        "intermediate_size": 4 * VISION_WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "image_size": SIZE[0],
        "patch_size": PATCH,
        "hidden_act": "relu",
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION)
    config._attn_implementation = "eager"
    model = CLIPModel(config)
    model.set_attn_implementation("eager")
    return model


def sample_caption(scene: Scene, random: Random) -> str:
    """Return one of the scene's captions; those that mention a room name it."""
    text = random.choice(caption_variants(scene))
    return text.replace("a room", article(scene.room))


def question_key(question: Question) -> Hashable:
    """Return a key that is equal for questions with the same meaning for a scene."""
    directed = question.kind in ("beside", "side") and "right" in question.question
    return (question.kind, question.subject, directed)


class Teacher(nn.Module):
    """CLIP together with the dense head that only training needs."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.model = new_clip(len(tokenizer))
        self.head = nn.Linear(VISION_WIDTH, sum(TARGETS.values()))

    def photos(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return unit vectors (batch, PROJECTION) and patches (batch, ROWS * COLUMNS, width)."""
        out = self.model.vision_model(pixel_values=pixels)
        vectors = self.model.visual_projection(out.pooler_output).float()
        return functional.normalize(vectors, dim=-1), out.last_hidden_state[:, 1:]

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors (batch, PROJECTION)."""
        batch = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        out = self.model.text_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        )
        return functional.normalize(self.model.text_projection(out.pooler_output).float(), dim=-1)

    def caption_loss(self, photos: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        """Return CLIP's symmetric contrastive loss between photos and captions of the batch."""
        logits = self.model.logit_scale.exp().clamp(max=100) * photos @ captions.T
        own = torch.arange(len(logits))
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2

    def dense_loss(self, patches: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of `training.patches.TARGETS`."""
        sizes = list(TARGETS.values())
        logits = self.head(patches).float().flatten(0, 1).split(sizes, -1)
        losses = [
            functional.cross_entropy(logits[i], targets[..., i].flatten(), ignore_index=IGNORED)
            for i in range(len(sizes))
            if bool((targets[..., i] != IGNORED).any())
        ]
        return torch.stack(losses).mean()


def equal_key_loss(vectors: torch.Tensor, keys: Sequence[Hashable]) -> torch.Tensor:
    """Return the supervised contrastive loss over equal keys (Khosla et al. 2020)."""
    number: dict[Hashable, int] = {}
    ids = torch.tensor([number.setdefault(key, len(number)) for key in keys])
    itself = torch.eye(len(ids), dtype=torch.bool)
    alike = (ids[:, None] == ids[None, :]) & ~itself
    logits = (vectors @ vectors.T / SAME_TEMPERATURE).masked_fill(itself, -1e4)
    share = logits.log_softmax(-1)
    paired = alike.any(-1)
    means = (share * alike).sum(-1)[paired] / alike.sum(-1)[paired]
    return -means.mean() if bool(paired.any()) else torch.zeros(())


def save_clip(teacher: Teacher, folder: Path) -> None:
    """Write the bundle's CLIP folder, weights in fp16."""
    model: Any = copy.deepcopy(teacher.model)
    model.half().save_pretrained(folder)
    # It is written for its owner alone, and an image may serve it as another user.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(teacher.tokenizer, folder)
    text = json.dumps(processor_config("CLIPImageProcessor", SIZE), indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
