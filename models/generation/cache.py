"""ONNX decoder graphs with a key/value cache that stays on the device.

Convention of names: input `past_x` of a run is output `present_x` of the run before; the first run
gets a cache of length 0.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.generation import Scores

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg, OrtValue

_LENGTH_AXIS = 2
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_PAST, _PRESENT, _LOGITS = "past_", "present_", "logits"


def run_on_device(
    session: "InferenceSession", inputs: Mapping[str, NDArray[Any]]
) -> dict[str, "OrtValue"]:
    """Run a session and leave its outputs on its device."""
    return _run(session, inputs, {}, _places(session))


class CachedDecoder:
    """Holds the key/value cache of one generation between runs of a decoder session.

    Args:
        session: An `onnxruntime.InferenceSession` with inputs `past_*` of shape (rows, heads,
            length, head size) and outputs `logits` and `present_*`.
        rows: Rows of the first run.
        constants: Inputs that are the same in every run, as `OrtValue`s.
    """

    def __init__(
        self,
        session: "InferenceSession",
        *,
        rows: int,
        constants: Mapping[str, "OrtValue"] | None = None,
    ) -> None:
        self._session = session
        self._places = _places(session) | {_LOGITS: "cpu"}
        self._constants = dict(constants or {})
        self._cache = {
            entry.name: _empty_past(entry, rows, _device(session))
            for entry in session.get_inputs()
            if entry.name.startswith(_PAST)
        }

    def run(self, inputs: Mapping[str, NDArray[np.int64]]) -> Scores:
        """Feed tokens; return the scores after the last one, shape (rows, vocabulary)."""
        results = _run(self._session, inputs, self._constants | self._cache, self._places)
        self._cache = {name: results[name.replace(_PAST, _PRESENT, 1)] for name in self._cache}
        scores: Scores = results[_LOGITS].numpy().astype(np.float32, copy=False)
        return scores


def _run(
    session: "InferenceSession",
    inputs: Mapping[str, NDArray[Any]],
    values: Mapping[str, "OrtValue"],
    places: Mapping[str, str],
) -> dict[str, "OrtValue"]:
    """Run with numpy `inputs` and `OrtValue`s; each output stays on its device."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name, place in places.items():
        binding.bind_output(name, place)
    session.run_with_iobinding(binding)
    return dict(zip(places, binding.get_outputs(), strict=True))


def _places(session: "InferenceSession") -> dict[str, str]:
    """Return the device of each output, which is that of the session."""
    return dict.fromkeys((output.name for output in session.get_outputs()), _device(session))


def _device(session: "InferenceSession") -> str:
    """Return the device of the session's first provider, as ONNX Runtime names it."""
    return "cpu" if session.get_providers()[0] == "CPUExecutionProvider" else "cuda"


def _empty_past(entry: "NodeArg", rows: int, device: str) -> "OrtValue":
    import onnxruntime

    shape = [rows, *entry.shape[1:]]
    shape[_LENGTH_AXIS] = 0
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, _DTYPES[entry.type]), device, 0)
