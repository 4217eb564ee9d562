"""RT-DETR v1 and v2: taggers by boxes.

Fresh weights give each place of a photo, each query and each label nearly the same score, so that
rounding would choose the queries. Here convolutions and batch normalisation keep what differs
between places, and the heads are drawn again, larger and without what all places share.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from training.checkpoints.files import write_json
from training.checkpoints.photos import coloured_rectangles
from training.checkpoints.weights import spread_batch_normalisation

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import (
        PreTrainedModel,
        RTDetrForObjectDetection,
        RTDetrV2ForObjectDetection,
    )

_MEAN_LOGIT = -10.5
"""Of a label that a query does not show; a few of the 24,000 scores are above an even chance."""


def make_rt_detr(folder: Path, *, side: int) -> None:
    """Write the layout of PekingU/rtdetr_r18vd (20 million weights).

    Photos become squares of `side` pixels, a multiple of 32; its own side is 640, and a smaller
    one saves minutes and changes nothing else.
    """
    import torch
    from transformers import RTDetrConfig, RTDetrForObjectDetection

    torch.manual_seed(2)
    config = RTDetrConfig(**_R18)  # type: ignore[arg-type]
    _write(folder, RTDetrForObjectDetection(config), side)


def make_rt_detr_v2(folder: Path, *, side: int) -> None:
    """Write the layout of PekingU/rtdetr_v2_r18vd; see `make_rt_detr`."""
    import torch
    from transformers import RTDetrV2Config, RTDetrV2ForObjectDetection

    torch.manual_seed(3)
    config = RTDetrV2Config(**_R18)  # type: ignore[arg-type]
    _write(folder, RTDetrV2ForObjectDetection(config), side)


def _write(
    folder: Path, model: "RTDetrForObjectDetection | RTDetrV2ForObjectDetection", side: int
) -> None:
    spread_batch_normalisation(model)
    model.train(mode=False)
    _tell_places_apart(model, side)
    model.save_pretrained(folder)
    size = {"height": side, "width": side}
    write_json(folder / "preprocessor_config.json", _PREPROCESSOR | {"size": size})


def _tell_places_apart(
    model: "RTDetrForObjectDetection | RTDetrV2ForObjectDetection", side: int
) -> None:
    """Draw the heads of encoder and decoder by what the states of one photo's places have apart."""
    import torch

    (photo,) = coloured_rectangles((side, side))
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    inner = model.model
    boxes = [cast("Linear", head.layers[-1]) for head in inner.decoder.bbox_embed]
    scores = cast("Linear", inner.decoder.class_embed[-1])
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
            elif isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        for head, spread, mean in [
            (inner.enc_score_head, 3.0, 0.0),
            (cast("Linear", inner.enc_bbox_head.layers[-1]), 0.5, 0.0),
            *((head, 0.5, 0.0) for head in boxes),
            (scores, 3.0, _MEAN_LOGIT),
        ]:
            states = _input_of(head, model, pixels)
            apart = (states - states.mean(0)).norm(dim=1).mean()
            head.weight.normal_(0, spread).div_(apart)
            head.bias.copy_(mean - head.weight @ states.mean(0))


def _input_of(layer: "Linear", model: "PreTrainedModel", pixels: "Tensor") -> "Tensor":
    """Return what the layer reads of one photo: (places or queries, width)."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0][0]))
    model(pixel_values=pixels)
    hook.remove()
    return seen[0]


_BACKBONE = {
    "depths": [2, 2, 2, 2],
    "downsample_in_bottleneck": False,
    "downsample_in_first_stage": False,
    "embedding_size": 64,
    "hidden_act": "relu",
    "hidden_sizes": [64, 128, 256, 512],
    "layer_type": "basic",
    "model_type": "rt_detr_resnet",
    "num_channels": 3,
    "out_features": ["stage2", "stage3", "stage4"],
    "out_indices": [2, 3, 4],
}
_R18: dict[str, object] = {
    "backbone_config": _BACKBONE,
    "decoder_layers": 3,
    "encoder_in_channels": [128, 256, 512],
    "hidden_expansion": 0.5,
    "id2label": {number: f"label {number}" for number in range(80)},
    "label2id": {f"label {number}": number for number in range(80)},
}
_PREPROCESSOR = {
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
    "rescale_factor": 1 / 255,
}
