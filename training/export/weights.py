"""Keeps weights once: an ONNX graph that reads them out of a checkpoint's safetensors files.

A safetensors file is a header and then plain arrays, and ONNX's external data is a file name, an
offset and a length, so a graph can name the arrays where they lie. Weights stored as float16 or
bfloat16 get a Cast to float32, and those the graph wants transposed a Transpose; ONNX Runtime
computes both once, when it loads the graph.

It finds only weights whose values are those in the file: export a model that was loaded from it,
through `graphs.write_graph`, which keeps the exporter from folding one weight into another.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

SMALLEST_BYTES = 128
"""Smaller tensors stay inline: ONNX Runtime wants them there to infer shapes."""

_KINDS = {"BF16": TensorProto.BFLOAT16, "F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
"""ONNX's name of each dtype of a safetensors file."""


@dataclass(frozen=True, slots=True)
class Relinked:
    """What `relink` did."""

    linked: int
    """Number of initializers that now lie in safetensors files."""
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

    file: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    length: int
    transposed: bool


def weight_files(folder: Path) -> list[Path]:
    """Return model.safetensors, or the shards that model.safetensors.index.json names, or none."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    names = json.loads(index.read_text("utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(names))]


def relink(onnx_path: Path, safetensors_paths: Sequence[Path]) -> Relinked:
    """Rewrite the graph so that it reads the weights it shares with the safetensors files.

    A float32 initializer is linked where its values equal a stored array's, or the transpose of
    a stored matrix; names do not matter. Weights that the exporter had put in files of their own
    beside the graph are read, and those files removed. A graph that is linked already stays as it
    is.

    Raises:
        ValueError: The files are in different folders (ONNX forbids other places).
    """
    for path in safetensors_paths:
        if onnx_path.parent.resolve() != path.parent.resolve():
            raise ValueError(f"{onnx_path} and {path} must lie in one folder")
    model = onnx.load(onnx_path, load_external_data=False)
    names = {path.name for path in safetensors_paths}
    stored = {digest: place for path in safetensors_paths for digest, place in _stored(path)}
    _constants_to_initializers(model.graph)
    added: list[NodeProto] = []
    linked = 0
    beside: set[Path] = set()
    for tensor in model.graph.initializer:
        location = _location(tensor)
        if location in names:
            linked += 1
            continue
        if location:
            load_external_data_for_tensor(tensor, str(onnx_path.parent))
            beside.add(onnx_path.with_name(location))
        place = _find(tensor, stored)
        if place is not None:
            added += _link(tensor, place)
            linked += 1
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _forget_where_it_came_from(model.graph)
    onnx_path.write_bytes(model.SerializeToString(deterministic=True))
    for path in beside:
        path.unlink(missing_ok=True)
    return _report(model.graph, linked)


def _location(tensor: TensorProto) -> str:
    """Return the file that holds the tensor's values, or nothing where the graph does."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return ""
    return next(str(entry.value) for entry in tensor.external_data if entry.key == "location")


def _stored(path: Path) -> Iterator[tuple[bytes, _Stored]]:
    """Yield every array in the file, and every matrix's transpose, by the digest of its values."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    data = np.memmap(path, np.uint8, mode="r")
    # Transposes first, so that a symmetric or constant matrix is found as it is.
    for transposed in (True, False):
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in _KINDS:
                continue
            shape = tuple(entry["shape"])
            if transposed and len(shape) != 2:
                continue
            start, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
            values = _floats(data[start:end], entry["dtype"]).reshape(shape)
            digest = _digest(values.T if transposed else values)
            kind = _KINDS[entry["dtype"]]
            yield digest, _Stored(path.name, shape, kind, start, end - start, transposed)


def _floats(data: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    if dtype == "BF16":  # the upper half of a float32, unknown to numpy
        return (data.view("<u2").astype("<u4") << 16).view("<f4")
    return data.view({"F16": "<f2", "F32": "<f4"}[dtype]).astype(np.float32)


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


def _link(tensor: TensorProto, place: _Stored) -> list[NodeProto]:
    """Point the tensor at its place; return the nodes that make of it what the graph wants."""
    wanted = tensor.name
    nodes = []
    if place.transposed:
        name = f"{wanted}.stored"
        nodes.append(helper.make_node("Transpose", [name], [wanted], perm=[1, 0]))
        wanted = name
    if place.kind != TensorProto.FLOAT:
        name = f"{wanted}.{TensorProto.DataType.Name(place.kind).lower()}"
        nodes.insert(0, helper.make_node("Cast", [name], [wanted], to=TensorProto.FLOAT))
        wanted = name
    tensor.Clear()
    tensor.name = wanted
    tensor.data_type = place.kind
    tensor.dims.extend(place.shape)
    tensor.data_location = TensorProto.EXTERNAL
    data = {"location": place.file, "offset": place.offset, "length": place.length}
    for key, value in data.items():
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
