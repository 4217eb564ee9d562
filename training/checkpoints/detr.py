"""DETR: taggers, panoptic and by boxes.

Fresh weights score every class and every pixel alike; the heads are drawn again, larger.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from training.checkpoints.files import write_json
from training.checkpoints.photos import coloured_rectangles
from training.checkpoints.weights import spread_batch_normalisation

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import DetrForObjectDetection, DetrForSegmentation


def make_detr_panoptic(folder: Path, *, shortest_edge: int) -> None:
    """Write the configuration of facebook/detr-resnet-50-panoptic (43 million weights).

    Its own shortest edge is 800; a smaller one saves minutes and changes nothing else.
    """
    import torch
    from transformers import DetrConfig, DetrForSegmentation

    torch.manual_seed(0)
    labels = {number: f"label {number}" for number in range(250)}
    config = DetrConfig(  # type: ignore[call-arg] # old names, as in published files
        use_timm_backbone=True,
        backbone="resnet50",
        use_pretrained_backbone=False,
        num_queries=100,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    model = DetrForSegmentation(config)
    spread_batch_normalisation(model)
    with torch.no_grad():
        _tell_queries_apart(model, model.detr.class_labels_classifier, model.bbox_attention.q_proj)
        for value in model.mask_head.parameters():
            if value.ndim == 4 and value.shape[1] == 256 + 8:
                value[:, 256:] *= 1000  # where a query looks, against what is there
        # Masks that are sure, and small enough that several fit beside each other.
        model.mask_head.output_conv.weight.mul_(12)
        cast("Tensor", model.mask_head.output_conv.bias).sub_(10)
    model.save_pretrained(folder)
    _write_legacy_detr_preprocessor(folder, shortest_edge, "coco_panoptic")


def make_small_detr(folder: Path) -> None:
    """Write the layout of facebook/detr-resnet-50, with transformers' backbone and few weights."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(1)
    labels = {number: f"label {number}" for number in range(9)}
    config = DetrConfig(  # type: ignore[call-arg] # old names, as in published files
        backbone_config=ResNetConfig(  # type: ignore[call-arg]
            embedding_size=8,
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage4"],
        ),
        use_timm_backbone=False,
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
    spread_batch_normalisation(model)
    with torch.no_grad():
        first, *others = cast("list[Linear]", model.bbox_predictor.layers)
        _tell_queries_apart(model, model.class_labels_classifier, first)
        for layer in others:
            layer.weight.normal_(0, 0.1)
    model.save_pretrained(folder)
    _write_legacy_detr_preprocessor(folder, 96, "coco_detection")


def _tell_queries_apart(
    model: "DetrForSegmentation | DetrForObjectDetection", *heads: "Linear"
) -> None:
    """Let places of a photo differ, each query look at its own, and heads see the difference.

    Fresh weights give all places and all queries nearly the same state. Here what is shared is
    taken away, as measured on one photo, and what is left made large.
    """
    import torch
    from transformers import DetrForSegmentation

    detr = model.detr.model if isinstance(model, DetrForSegmentation) else model.model
    (photo,) = coloured_rectangles((128, 160))
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None] / 127.5 - 1
    detr.eval()
    seen: list[Tensor] = []
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
    write_json(
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
