"""How much memory one run of a network needs, read from its graph."""
from __future__ import annotations

from typing import Dict, NamedTuple, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

# Operators that ONNX Runtime computes in the memory of their input, where nothing else needs it any more.
IN_PLACE = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}


class Memory(NamedTuple):
    """Bytes. `unknown` counts the values whose size the graph does not tell: each is taken to be the largest known."""

    weights: int
    peak: int
    unknown: int


def measure(model: onnx.ModelProto, shapes: Dict[str, Sequence[int]]) -> Memory:
    """Weights, and the most bytes of values that are alive at once, when the nodes run in their order.

    `shapes` gives the inputs that have no default; a value lives from the node that makes it to the last one that
    reads it, and so do inputs and outputs. What a kernel needs beside them (workspace) is not in the graph.
    """
    sized = _sizes(model, shapes)
    graph = model.graph
    stored = {tensor.name: _bytes_of(tensor.data_type, tensor.dims) for tensor in graph.initializer}
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    last.update({value.name: len(graph.node) for value in graph.output})
    alive = {value.name: sized.get(value.name, 0) for value in graph.input if value.name not in stored}
    largest = max(sized.values())
    unknown = 0
    peak = sum(alive.values())
    for place, node in enumerate(graph.node):
        for name in filter(None, node.output):
            unknown += name not in sized
            alive[name] = sized.get(name, largest)
        spared = 0
        if node.op_type in IN_PLACE and last.get(node.input[0]) == place:
            spared = alive.get(node.input[0], 0)
        peak = max(peak, sum(alive.values()) - spared)
        for name in {*node.input, *node.output}:
            if last.get(name, place) <= place:
                alive.pop(name, None)
    return Memory(sum(stored.values()), peak, unknown)


def _sizes(model: onnx.ModelProto, shapes: Dict[str, Sequence[int]]) -> Dict[str, int]:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    stored = {tensor.name for tensor in fixed.graph.initializer}
    for value in fixed.graph.input:
        if value.name in shapes:
            elem = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, elem, list(shapes[value.name])))
    # An input with a default is a constant here, so that shapes that depend on it are known.
    kept = [value for value in fixed.graph.input if value.name not in stored]
    del fixed.graph.input[:], fixed.graph.value_info[:]
    fixed.graph.input.extend(kept)
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(fixed, data_prop=True).graph
    found = {}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        kind = value.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
        if kind.HasField("shape") and -1 not in dims:
            found[value.name] = _bytes_of(kind.elem_type, dims)
    return found


def _bytes_of(elem_type: int, dims: Sequence[int]) -> int:
    size = 1 if elem_type == TensorProto.UNDEFINED else np.dtype(helper.tensor_dtype_to_np_dtype(elem_type)).itemsize
    return int(np.prod(list(dims), dtype=np.int64)) * size
