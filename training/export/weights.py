"""Keeps weights once: an ONNX graph that reads them out of model.safetensors.

A safetensors file is a header and then plain arrays, and ONNX's external data is a file name, an
offset and a length, so a graph can name the arrays where they lie. Weights stored as float16 get a
Cast to float32, and those the graph wants transposed a Transpose; ONNX Runtime computes both once,
when it loads the graph.

It finds only weights whose values are those in the file: export a model that was loaded from it,
through `graphs.write_graph`, which keeps the exporter from folding one weight into another.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

SMALLEST_BYTES = 128
"""Smaller tensors stay inline: ONNX Runtime wants them there to infer shapes."""

_DTYPES: dict[str, tuple[np.dtype[np.floating], int]] = {
    "F16": (np.dtype("<f2"), TensorProto.FLOAT16),
    "F32": (np.dtype("<f4"), TensorProto.FLOAT),
}


@dataclass(frozen=True, slots=True)
class Relinked:
    """What `relink` did."""

    linked: int
    """Number of initializers that now lie in the safetensors file."""
    inline_bytes: int
    """Size of the tensors that were not found there and stay in the graph."""
    largest_inline: tuple[tuple[str, int], ...]
    """Names and bytes of the largest of those."""

    @property
    def too_much_inline(self) -> bool:
        """Whether weights were probably stored twice."""
        return self.inline_bytes > 64 * 1024


@dataclass(frozen=True, slots=True)
class _Stored:
    """An array inside a safetensors file; `offset` counts from the start of the file."""

    shape: tuple[int, ...]
    kind: int
    offset: int
    length: int
    transposed: bool


def relink(onnx_path: Path, safetensors_path: Path) -> Relinked:
    """Rewrite the graph so that it reads the weights it shares with the safetensors file.

    A float32 initializer is linked where its values equal a stored array's, or the transpose of
    a stored matrix; names do not matter. Weights that the exporter had put in a file of its own
    beside the graph are read, and that file removed. A graph that is linked already stays as it is.

    Raises:
        ValueError: The two files are in different folders (ONNX forbids other places).
    """
    if onnx_path.parent.resolve() != safetensors_path.parent.resolve():
        raise ValueError(f"{onnx_path} and {safetensors_path} must lie in one folder")
    model = onnx.load(onnx_path, load_external_data=False)
    stored = dict(_stored_by_content(safetensors_path))
    _constants_to_initializers(model.graph)
    added: list[NodeProto] = []
    linked = 0
    for tensor in model.graph.initializer:
        if _location(tensor) == safetensors_path.name:
            linked += 1
            continue
        if _location(tensor):
            load_external_data_for_tensor(tensor, str(onnx_path.parent))
        place = _find(tensor, stored)
        if place is not None:
            added += _link(tensor, place, safetensors_path.name)
            linked += 1
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _forget_where_it_came_from(model.graph)
    onnx_path.write_bytes(model.SerializeToString(deterministic=True))
    onnx_path.with_name(onnx_path.name + ".data").unlink(missing_ok=True)
    return _report(model.graph, linked)


def _location(tensor: TensorProto) -> str:
    """Return the file that holds the tensor's values, or nothing where the graph does."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return ""
    return next(str(entry.value) for entry in tensor.external_data if entry.key == "location")


def _stored_by_content(path: Path) -> Iterator[tuple[bytes, _Stored]]:
    """Yield every array in the file, and every matrix's transpose, by the digest of its values."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    data = np.memmap(path, np.uint8, mode="r")
    # Transposes first, so that a symmetric or constant matrix is found as it is.
    for transposed in (True, False):
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in _DTYPES:
                continue
            shape = tuple(entry["shape"])
            if transposed and len(shape) != 2:
                continue
            start, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
            dtype, kind = _DTYPES[entry["dtype"]]
            values = data[start:end].view(dtype).reshape(shape).astype(np.float32)
            digest = _digest(values.T if transposed else values)
            yield digest, _Stored(shape, kind, start, end - start, transposed)


def _digest(values: NDArray[np.float32]) -> bytes:
    digest = hashlib.sha256(repr(values.shape).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.digest()


def _constants_to_initializers(graph: GraphProto) -> None:
    """Make initializers of Constant nodes, as which some exporters write weights."""
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if (
            node.op_type == "Constant"
            and value is not None
            and len(value.raw_data) > SMALLEST_BYTES
        ):
            value.name = node.output[0]
            graph.initializer.append(value)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _find(tensor: TensorProto, stored: dict[bytes, _Stored]) -> _Stored | None:
    if tensor.data_type != TensorProto.FLOAT or 4 * np.prod(tensor.dims) <= SMALLEST_BYTES:
        return None
    return stored.get(_digest(numpy_helper.to_array(tensor)))


def _link(tensor: TensorProto, place: _Stored, location: str) -> list[NodeProto]:
    """Point the tensor at its place; return the nodes that make of it what the graph wants."""
    wanted = tensor.name
    nodes = []
    if place.transposed:
        name = f"{wanted}.stored"
        nodes.append(helper.make_node("Transpose", [name], [wanted], perm=[1, 0]))
        wanted = name
    if place.kind != TensorProto.FLOAT:
        name = f"{wanted}.float16"
        nodes.insert(0, helper.make_node("Cast", [name], [wanted], to=TensorProto.FLOAT))
        wanted = name
    tensor.Clear()
    tensor.name = wanted
    tensor.data_type = place.kind
    tensor.dims.extend(place.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", place.offset), ("length", place.length)):
        tensor.external_data.add(key=key, value=str(value))
    return nodes


def _forget_where_it_came_from(graph: GraphProto) -> None:
    """Drop stack traces, which name paths of the exporting machine, and what can be derived."""
    del graph.value_info[:]
    for node in graph.node:
        node.name = node.doc_string = ""
        del node.metadata_props[:]


def _report(graph: GraphProto, linked: int) -> Relinked:
    inline = [
        (tensor.name, numpy_helper.to_array(tensor).nbytes)
        for tensor in graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL
    ]
    largest = sorted(inline, key=lambda entry: -entry[1])[:5]
    return Relinked(linked, sum(size for _, size in inline), tuple(largest))
