"""How a model is run: engine, device, threads, precision, memory.

The same class serves every model, so that one Helm key means one thing everywhere.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Provider = Literal["cpu", "cuda", "tensorrt"]


class EngineSettings(BaseModel):
    """Where and how one model computes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["onnx", "torch"] = Field(
        default="onnx", description="Library that runs the model; both give the same result."
    )
    provider: Provider = Field(
        default="cpu", description="Device: cpu, cuda, or tensorrt (ONNX Runtime only)."
    )
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of one model run.")
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        default="fp32", description="Arithmetic; fp16 and bf16 need a GPU."
    )
    gpu_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Most GPU memory that one replica may take; unset means no limit. Set it"
        " wherever num_gpus is a fraction: Ray does not limit memory.",
    )
