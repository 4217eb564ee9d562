"""Checkpoints with random weights for tests, in the files and configurations of public ones.

Random weights as transformers draws them score every class and every pixel alike, and then any
rounding decides; the heads are drawn again, larger, so that every decision is clear.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    DetrConfig,
    DetrForObjectDetection,
    DetrForSegmentation,
    PreTrainedModel,
    ResNetConfig,
)

from models.photos import Rgb

START, END = "<|startoftext|>", "<|endoftext|>"
TEXTS = [
    "a photo of a cat",
    "What is   on the Table?",
    "naïve café №5, it's 12 o'clock!",
    " ".join(["two red clocks and a mug"] * 20),
    "",
]


def photos(*sizes: tuple[int, int]) -> list[Rgb]:
    """Photos of the given heights and widths: coloured rectangles on a noisy gradient."""
    random = np.random.default_rng(7)
    made = []
    for height, width in sizes:
        photo = np.linspace(0, 255, width)[None, :, None] * random.random(3)
        photo = photo + random.integers(0, 40, (height, width, 3))
        for _ in range(6):
            top, left = random.integers(0, height - 8), random.integers(0, width - 8)
            bottom, right = random.integers(top + 4, height), random.integers(left + 4, width)
            photo[top:bottom, left:right] = random.integers(0, 256, 3)
        made.append(np.clip(photo, 0, 255).astype(np.uint8))
    return made


def make_detr_panoptic(folder: Path, *, shortest_edge: int) -> None:
    """The configuration of facebook/detr-resnet-50-panoptic (43 million weights).

    Its own shortest edge is 800; a smaller one saves minutes and changes nothing else.
    """
    torch.manual_seed(0)
    labels = {number: f"label {number}" for number in range(250)}
    backbone: dict[str, Any] = {
        "use_timm_backbone": True,
        "backbone": "resnet50",
        "use_pretrained_backbone": False,
    }
    config = DetrConfig(
        **backbone,
        num_queries=100,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    model = DetrForSegmentation(config)
    _spread_batch_normalisation(model)
    with torch.no_grad():
        _tell_queries_apart(model, model.detr.class_labels_classifier, model.bbox_attention.q_proj)
        for value in model.mask_head.parameters():
            if value.ndim == 4 and value.shape[1] == 256 + 8:
                value[:, 256:] *= 1000  # where a query looks, against what is there
        # Masks that are sure, and small enough that several fit beside each other.
        output = model.mask_head.output_conv
        assert output.bias is not None
        output.weight.mul_(12)
        output.bias.sub_(10)
    model.save_pretrained(folder)
    _write_legacy_detr_preprocessor(folder, shortest_edge, "coco_panoptic")


def make_small_detr(folder: Path) -> None:
    """The layout of facebook/detr-resnet-50, with a transformers backbone and few weights."""
    torch.manual_seed(1)
    labels = {number: f"label {number}" for number in range(9)}
    read: dict[str, Any] = {"out_features": ["stage4"]}
    resnet = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        **read,
    )
    backbone: dict[str, Any] = {"backbone_config": resnet, "use_timm_backbone": False}
    config = DetrConfig(
        **backbone,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=20,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    model = DetrForObjectDetection(config)
    _spread_batch_normalisation(model)
    with torch.no_grad():
        boxes = model.bbox_predictor.layers
        first, *others = [layer for layer in boxes if isinstance(layer, torch.nn.Linear)]
        _tell_queries_apart(model, model.class_labels_classifier, first)
        for layer in others:
            layer.weight.normal_(0, 0.1)
    model.save_pretrained(folder)
    _write_legacy_detr_preprocessor(folder, 96, "coco_detection")


def make_clip_base_patch16(folder: Path) -> None:
    """The configuration and files of openai/clip-vit-base-patch16 (150 million weights).

    `eos_token_id` 2 is what that repository says, and means that the text tower is read at the
    largest token id.
    """
    torch.manual_seed(2)
    config = CLIPConfig(
        text_config={"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1},
        vision_config={"patch_size": 16},
        projection_dim=512,
    )
    model = CLIPModel(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1 and name.endswith("bias"):
                value.normal_(0, 0.1)
    model.save_pretrained(folder)
    _write(
        folder / "preprocessor_config.json",
        {
            "crop_size": 224,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "size": 224,
        },
    )
    write_clip_words(folder, vocabulary_size=49408)


def write_clip_words(folder: Path, *, vocabulary_size: int) -> None:
    """Write vocab.json and merges.txt with few merges; start and end are the last two ids."""
    letters = list(_byte_letters())
    merges = [("c", "a"), ("ca", "t</w>"), ("r", "e"), ("re", "d</w>"), ("a", "n")]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    words += [f"unused{number}" for number in range(vocabulary_size - len(words) - 2)]
    words += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "vocab.json", {word: number for number, word in enumerate(words)})
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77},
    )


def _byte_letters() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _spread_batch_normalisation(model: PreTrainedModel) -> None:
    """Give batch normalisation statistics that a trained model might have."""
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)


def _tell_queries_apart(model: PreTrainedModel, *heads: torch.nn.Linear) -> None:
    """Let places of a photo differ, each query look at its own, and heads see the difference.

    Fresh weights give all places and all queries nearly the same state. Here what is shared is
    taken away, as measured on one photo, and what is left made large.
    """
    detr = model.detr.model if isinstance(model, DetrForSegmentation) else model.model
    (photo,) = photos((128, 160))
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None] / 127.5 - 1
    detr.eval()
    seen: list[torch.Tensor] = []
    hook = detr.input_projection.register_forward_hook(lambda _m, _i, out: seen.append(out))
    detr(pixel_values=pixels)
    hook.remove()
    spread = seen[0].std(dim=(2, 3), keepdim=True)[0]
    mean = seen[0].mean(dim=(0, 2, 3))
    detr.input_projection.weight.div_(spread[..., None])
    detr.input_projection.bias.sub_(mean).div_(spread.flatten())
    detr.query_position_embeddings.weight.normal_(0, 1)
    for name, value in detr.decoder.named_parameters():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value.mul_(4)
    states = detr(pixel_values=pixels).last_hidden_state[0]
    apart = (states - states.mean(0)).norm(dim=1).mean()
    for head in heads:
        head.weight.normal_(0, 4).div_(apart)
        head.bias.copy_(-head.weight @ states.mean(0))


def _write_legacy_detr_preprocessor(folder: Path, shortest_edge: int, form: str) -> None:
    _write(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "DetrFeatureExtractor",
            "format": form,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "max_size": shortest_edge * 5 // 3,
            "size": shortest_edge,
        },
    )


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
