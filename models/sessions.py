"""ONNX Runtime sessions by `EngineSettings`.

ONNX Runtime silently falls back to the CPU when the requested device is missing. Here that is an
error, because such a replica occupies a GPU and misses its latency objective.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from models.settings import EngineSettings

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def open_session(path: Path, settings: EngineSettings) -> "InferenceSession":
    """Load the ONNX graph at `path`; its weights are in the same folder.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: The provider is not available on this machine.
        ValueError: The provider does not support the precision.
    """
    import onnxruntime

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such ONNX file; `make export` writes it")
    wanted = _PROVIDERS[settings.provider]
    _check_precision(settings)
    if settings.provider != "cpu" and hasattr(onnxruntime, "preload_dlls"):
        # The CUDA libraries come from pip packages that the loader does not search by itself.
        onnxruntime.preload_dlls()
    if wanted not in onnxruntime.get_available_providers():
        raise RuntimeError(
            f"ONNX Runtime has no {wanted} here, only"
            f" {', '.join(onnxruntime.get_available_providers())}"
        )
    session = onnxruntime.InferenceSession(
        str(path), sess_options=_options(settings), providers=_providers(settings)
    )
    if wanted not in session.get_providers():
        raise RuntimeError(f"{wanted} could not be started; ONNX Runtime's log says why")
    return session


def _check_precision(settings: EngineSettings) -> None:
    allowed = ("fp32", "fp16") if settings.provider == "tensorrt" else ("fp32",)
    if settings.precision not in allowed:
        raise ValueError(
            f"ONNX Runtime on {settings.provider} computes in {' or '.join(allowed)} here,"
            f" not {settings.precision}"
        )


def _options(settings: EngineSettings) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # Memory patterns keep a block for each input shape: 1.6 GB of the public tagger's 4.1 GB with
    # a photo at 320 pixels. They make only small models faster (3 %).
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # Spinning threads keep a core busy between runs, and several models share the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(settings: EngineSettings) -> list[tuple[str, dict[str, str | int | bool]]]:
    """Return the requested provider, then the fallbacks for operators that it lacks."""
    if settings.provider == "cpu":
        return [(_PROVIDERS["cpu"], {})]
    cuda: dict[str, str | int | bool] = {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": 0,
    }
    if settings.gpu_memory_bytes is not None:
        cuda["gpu_mem_limit"] = settings.gpu_memory_bytes
    chain = [(_PROVIDERS["cuda"], cuda), (_PROVIDERS["cpu"], {})]
    if settings.provider == "tensorrt":
        tensorrt: dict[str, str | int | bool] = {"trt_fp16_enable": settings.precision == "fp16"}
        if settings.gpu_memory_bytes is not None:
            tensorrt["trt_max_workspace_size"] = settings.gpu_memory_bytes // 2
        chain.insert(0, (_PROVIDERS["tensorrt"], tensorrt))
    return chain
