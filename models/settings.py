"""How a model runs: engine, device, threads, precision, memory.

Every model has the same class, so that a Helm key means the same in every stage.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Provider = Literal["cpu", "cuda", "tensorrt"]


class EngineSettings(BaseModel):
    """Runtime of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["onnx", "torch"] = Field(
        default="onnx",
        description="Inference library: ONNX Runtime or PyTorch, with the same results.",
    )
    provider: Provider = Field(
        default="cpu",
        description="Device: cpu, cuda, or tensorrt (CUDA through TensorRT; ONNX Runtime only).",
    )
    threads: int = Field(
        default=1, ge=1, le=256, description="CPU threads within one run of the model (intra-op)."
    )
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        default="fp32", description="Floating-point precision; fp16 and bf16 need a GPU."
    )
    gpu_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Most GPU memory of one replica, in bytes; unset means no limit. Set it"
        " wherever num_gpus is a fraction: Ray does not limit memory.",
    )
