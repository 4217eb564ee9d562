"""The demo tagger itself: its shape, what goes in, what comes out and how it is saved.

Sides must be multiples of 32 (three strides up to 32 are summed), and batch norms must be free,
which the configuration's default for pretrained backbones is not.
"""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import RTDetrResNetConfig, RTDetrV2Config, RTDetrV2ForObjectDetection

from models.pixels import PhotoFile
from models.tagging.boxes import boxes_of_sigmoid, without_duplicates
from training.dataset import Dataset
from training.scenes import HEIGHT, LABELS, WIDTH, Scene, tags
from training.tag_quality import Found, Quality, best

INPUT_HEIGHT, INPUT_WIDTH = 192, 256
_PHOTOS_AT_ONCE = 20
_LOWEST_SCORE = 0.05

Targets = dict[str, torch.Tensor]


def new_model() -> RTDetrV2ForObjectDetection:
    """Return a model with random weights: 2.4 million parameters."""
    backbone = RTDetrResNetConfig.from_dict(
        {
            "embedding_size": 32,
            "hidden_sizes": [32, 64, 128, 192],
            "depths": [1, 1, 2, 1],
            "layer_type": "basic",
            "out_features": ["stage2", "stage3", "stage4"],
        }
    )
    config = RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[64, 128, 192],
        encoder_hidden_dim=96,
        d_model=96,
        decoder_in_channels=[96, 96, 96],
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        decoder_layers=3,
        num_queries=30,
        num_denoising=20,
        hidden_expansion=0.5,
        freeze_backbone_batch_norms=False,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    return RTDetrV2ForObjectDetection(config)


def pixels(jpeg: bytes, flip: bool = False) -> torch.Tensor:
    """Return float32 (3, height, width) in 0..1, resized as by the exported image processor."""
    photo = PhotoFile(BytesIO(jpeg)).rgb()
    photo = photo.resize((INPUT_WIDTH, INPUT_HEIGHT), Image.Resampling.BILINEAR)
    if flip:
        photo = ImageOps.mirror(photo)
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255


def targets(scene: Scene) -> Targets:
    """Return labels int64 (n,) and boxes float32 (n, 4): relative centre and size."""
    truth = tags(scene)
    corners = torch.tensor([box for _, box in truth])
    corners = corners / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    middle, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    return {
        "class_labels": torch.tensor([LABELS.index(label) for label, _ in truth]),
        "boxes": torch.cat([middle, size], 1),
    }


@torch.no_grad()
def find(model: RTDetrV2ForObjectDetection, jpegs: list[bytes]) -> list[list[Found]]:
    """Return the tags of each photo, before any threshold."""
    model.train(mode=False)
    found: list[list[Found]] = []
    for start in range(0, len(jpegs), _PHOTOS_AT_ONCE):
        photos = torch.stack([pixels(jpeg) for jpeg in jpegs[start : start + _PHOTOS_AT_ONCE]])
        output = model(photos)
        found += map(_decoded, output.logits, output.pred_boxes)
    return found


def _decoded(logits: torch.Tensor, boxes: torch.Tensor) -> list[Found]:
    """Return tags as the app does, without duplicates, so that the threshold suits it."""
    found = boxes_of_sigmoid(
        logits.numpy(), boxes.numpy(), size=(HEIGHT, WIDTH), score_threshold=_LOWEST_SCORE
    )
    return [(LABELS[one.label], one.score, one.box) for one in without_duplicates(found)]


def evaluate(model: RTDetrV2ForObjectDetection, data: Dataset) -> Quality:
    """Return the quality at the score threshold that is best on these scenes."""
    scenes, jpegs = zip(*data, strict=True)
    return best(scenes, find(model, list(jpegs)))


def export(model: RTDetrV2ForObjectDetection, threshold: float, folder: Path) -> None:
    """Write the bundle's tagger folder: fp16 weights, float32 in the config to load as such."""
    halves = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=halves)
    (folder / "model.safetensors").chmod(0o644)
    preprocessor = {
        "image_processor_type": "RTDetrImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": INPUT_HEIGHT, "width": INPUT_WIDTH},
        "resample": int(Image.Resampling.BILINEAR),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": False,
        "do_pad": False,
        "score_threshold": threshold,
    }
    text = json.dumps(preprocessor, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
