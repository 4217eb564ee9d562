"""Random weights by which a model decides clearly."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def sharpen(model: "PreTrainedModel") -> None:
    """Make the likeliest token clear.

    Fills every weight from one block of random numbers, which is much faster than new ones.
    """
    import torch

    block = torch.randn(1 << 21, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        for index, (name, weight) in enumerate(model.named_parameters()):
            values = block[7919 * index % 65536 :].repeat(weight.numel() // 1_500_000 + 1)
            weight.copy_(values[: weight.numel()].view(weight.shape))
            if weight.dim() == 1:
                weight.mul_(0.1).add_(1 if "norm" in name.lower() or "ln_" in name else 0)
            else:
                weight.mul_(_scale(name, weight))


def spread_batch_normalisation(model: "PreTrainedModel") -> None:
    """Give batch normalisation statistics that a trained model might have."""
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)


def _scale(name: str, weight: "Tensor") -> float:
    """Return a large scale for positions and cross-attention: texts then vary by word and photo."""
    if "wpe" in name or "wte" in name or "embed" in name:
        return 0.5
    size: float = 1.5 / min(weight.shape[0], weight.numel() // weight.shape[0]) ** 0.5
    return size * (2 if "crossattention" in name else 1)
