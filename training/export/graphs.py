"""Writes a torch module as an ONNX graph whose initializers keep the state dict's layout.

Constant folding stays off: it would store transposed copies of weights that model.safetensors
already holds. For the same reason `PRESERVE` keeps batch normalisation out of the convolutions
before it. ONNX Runtime does both when it loads the graph.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 17
Axes = Mapping[int, str]
"""Names of the axes whose length may differ from run to run."""


def write_graph(
    module: nn.Module,
    arguments: Sequence[Tensor | list[Tensor]],
    path: Path,
    *,
    inputs: Mapping[str, Axes],
    outputs: Mapping[str, Axes],
) -> None:
    """Trace `module` on `arguments` and write it to `path`.

    `inputs` and `outputs` name every tensor in order, a list's one by one. The module must be in
    evaluation mode.
    """
    with warnings.catch_warnings():
        # The tracer warns of every Python branch on a shape; the parity tests say which matter.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(arguments),
            str(path),  # a Path would forbid weights of more than 2 GB
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in [*inputs.items(), *outputs.items()]},
            opset_version=OPSET,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            dynamo=False,
        )


def cache_names(kind: str, layers: int) -> list[str]:
    """Return `past_key_0`, `past_value_0`, `past_key_1`, ... for kind `past`."""
    return [f"{kind}_{part}_{layer}" for layer in range(layers) for part in ("key", "value")]


def cache_axes(kind: str, layers: int, axes: Axes) -> dict[str, Axes]:
    """Return the same axes for every key and value of `kind`."""
    return dict.fromkeys(cache_names(kind, layers), axes)
