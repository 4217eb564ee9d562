"""Device and dtype of a torch model, from the same settings as ONNX Runtime's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.settings import EngineSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Place:
    """A device and the dtype of computation."""

    device: "torch.device"
    dtype: "torch.dtype"


def place(engine: EngineSettings) -> Place:
    """Return device and dtype; sets thread count and memory limit of the whole process.

    Raises:
        ValueError: The settings ask for TensorRT, or for half precision on a CPU.
        RuntimeError: The settings ask for a GPU and there is none.
    """
    import torch

    if engine.provider == "tensorrt":
        raise ValueError("the torch engine has no TensorRT: set engine to onnx or provider to cuda")
    if engine.provider == "cpu":
        if engine.precision != "fp32":
            raise ValueError(f"precision {engine.precision} needs a GPU")
        torch.set_num_threads(engine.threads)
        return Place(torch.device("cpu"), torch.float32)
    if not torch.cuda.is_available():
        raise RuntimeError("provider cuda is set and torch finds no GPU")
    if engine.gpu_memory_bytes is not None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, engine.gpu_memory_bytes / total))
    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return Place(torch.device("cuda"), dtypes[engine.precision])
