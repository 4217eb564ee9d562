"""Our preprocessing against transformers' own image processors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import (
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    DetrImageProcessorPil,
    RTDetrImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)

from models.preprocessing import Preprocessor
from training.checkpoints.photos import coloured_rectangles

SIZES = [(480, 640), (333, 250), (64, 500)]
CASES: dict[str, tuple[Any, dict[str, object]]] = {
    "ViT of nlpconnect/vit-gpt2-image-captioning": (
        ViTImageProcessorPil,
        {
            "feature_extractor_type": "ViTFeatureExtractor",
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "size": 224,
        },
    ),
    "ViT of another aspect ratio": (
        ViTImageProcessorPil,
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 144, "width": 192}},
    ),
    "BLIP of Salesforce/blip-image-captioning-base": (
        BlipImageProcessorPil,
        {
            "do_normalize": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "BlipImageProcessor",
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "processor_class": "BlipProcessor",
            "size": {"height": 384, "width": 384},
        },
    ),
    "BLIP with one number as its size": (
        BlipImageProcessorPil,
        {"image_processor_type": "BlipImageProcessor", "size": 96},
    ),
    "DETR of facebook/detr-resnet-50-panoptic": (
        DetrImageProcessorPil,
        {"feature_extractor_type": "DetrFeatureExtractor", "size": 800, "max_size": 1333},
    ),
    "DETR with the edges named": (
        DetrImageProcessorPil,
        {
            "image_processor_type": "DetrImageProcessor",
            "size": {"shortest_edge": 300, "longest_edge": 500},
        },
    ),
    "RT-DETR": (
        RTDetrImageProcessorPil,
        {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 192, "width": 256}},
    ),
    "RT-DETR of PekingU/rtdetr_r18vd": (
        RTDetrImageProcessorPil,
        {
            "_valid_processor_keys": ["images", "annotations", "do_resize", "size", "resample"],
            "do_convert_annotations": True,
            "do_normalize": False,
            "do_pad": False,
            "do_rescale": True,
            "do_resize": True,
            "format": "coco_detection",
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "RTDetrImageProcessor",
            "image_std": [0.229, 0.224, 0.225],
            "pad_size": None,
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 640, "width": 640},
        },
    ),
    "CLIP of openai/clip-vit-base-patch16": (
        CLIPImageProcessorPil,
        {"feature_extractor_type": "CLIPFeatureExtractor", "resample": 3, "size": 224},
    ),
    "CLIP without a crop": (
        CLIPImageProcessorPil,
        {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"height": 160, "width": 160},
            "do_center_crop": False,
        },
    ),
    "SigLIP of google/siglip2-base-patch16-224": (
        SiglipImageProcessorPil,
        {
            "do_convert_rgb": None,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "SiglipImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224},
        },
    ),
    "SigLIP that says nothing": (
        SiglipImageProcessorPil,
        {"image_processor_type": "SiglipImageProcessor"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_pixels_equal_those_of_transformers(tmp_path: Path, case: str) -> None:
    processor, config = CASES[case]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    reference = processor.from_pretrained(tmp_path)
    ours = Preprocessor.from_folder(tmp_path)
    for photo in coloured_rectangles(*SIZES):
        expected = reference(images=Image.fromarray(photo), return_tensors="np").pixel_values
        np.testing.assert_allclose(ours([photo]), expected, atol=1e-5)
