"""A small builder for ONNX graphs, and the image conventions that every network here shares.

A network takes `image` UINT8 [N, H, W, 3] and gives `output` UINT8 in the same layout. (Triton's tensors are `image`
in and `image` or `mask` out; ONNX forbids one name for an input and an output, so model.py renames the only output.)
Casts, transposes and normalising happen inside the graph, so a caller's raw pixel buffer goes in and out untouched.

Further inputs have a default inside the graph and may be left out:

* `origin` INT32 [N, 4]: x, y, full width, full height of the picture that this tile was cut from
  (all zero: the tile is the picture);
* a request parameter, FLOAT [N, 1], named as in the model's `imagen.parameters`.
"""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the IR version that belongs to opset 17: any ONNX Runtime from 1.12 on loads it

OUTPUT = "output"

LUMA = np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1)

Operand = Union[str, float, np.ndarray]


class Graph:
    """Collects nodes; every method that makes a value returns its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: List[onnx.NodeProto] = []
        self.initializers: Dict[str, onnx.TensorProto] = {}
        self.inputs: List[onnx.ValueInfoProto] = []
        self.outputs: List[onnx.ValueInfoProto] = []
        self._constants: Dict[Any, str] = {}
        self._serial = 0

    # -- values -------------------------------------------------------------------------------------------------

    def fresh(self, hint: str) -> str:
        self._serial += 1
        return "%s_%d" % (hint, self._serial)

    def input(self, name: str, dtype: int, shape: Sequence, default: Optional[np.ndarray] = None) -> str:
        """Declares an input; with a `default` it may be left out by whoever runs the network."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        if default is not None:
            self.initializers[name] = numpy_helper.from_array(default, name)
        return name

    def output(self, name: str, value: str, dtype: int, shape: Sequence) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant tensor; small equal ones are shared."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 else None
        if key is not None and key in self._constants:
            return self._constants[key]
        name = self.fresh("const")
        self.initializers[name] = numpy_helper.from_array(array, name)
        if key is not None:
            self._constants[key] = name
        return name

    def _operand(self, value: Operand) -> str:
        return value if isinstance(value, str) else self.const(value)

    def op(self, op_type: str, *operands: Operand, **attributes: Any) -> str:
        """One node with one output. Numbers and arrays become float constants; '' leaves an operand out."""
        out = self.fresh(op_type.lower())
        self.nodes.append(helper.make_node(op_type, [self._operand(v) for v in operands], [out], **attributes))
        return out

    # -- arithmetic ---------------------------------------------------------------------------------------------

    def add(self, a: Operand, b: Operand) -> str:
        return self.op("Add", a, b)

    def sub(self, a: Operand, b: Operand) -> str:
        return self.op("Sub", a, b)

    def mul(self, a: Operand, b: Operand) -> str:
        return self.op("Mul", a, b)

    def div(self, a: Operand, b: Operand) -> str:
        return self.op("Div", a, b)

    def clip(self, x: str, low: float = 0.0, high: float = 1.0) -> str:
        return self.op("Clip", x, low, high)

    def lerp(self, a: Operand, b: Operand, t: Operand) -> str:
        """a where t is 0, b where t is 1."""
        return self.add(a, self.mul(t, self.sub(b, a)))

    def smoothstep(self, low: float, high: float, x: str) -> str:
        t = self.clip(self.mul(self.sub(x, low), 1.0 / (high - low)))
        return self.mul(self.mul(t, t), self.sub(3.0, self.mul(2.0, t)))

    def cast(self, x: str, dtype: int) -> str:
        return self.op("Cast", x, to=dtype)

    def ints(self, *values: int) -> str:
        """A 1-D INT64 constant: axes, shapes, pads."""
        return self.const(np.array(values, np.int64), np.int64)

    def luma(self, rgb: str) -> str:
        return self.op("ReduceSum", self.mul(rgb, LUMA), self.ints(1), keepdims=1)

    # -- pictures -----------------------------------------------------------------------------------------------

    def pad_edge(self, x: str, margin: int) -> str:
        return self.op("Pad", x, self.ints(0, 0, margin, margin, 0, 0, margin, margin), mode="edge")

    def crop(self, x: str, margin: int) -> str:
        """Takes `margin` pixels off each side of an NCHW tensor."""
        if margin == 0:
            return x
        return self.op("Slice", x, self.ints(margin, margin), self.ints(-margin, -margin), self.ints(2, 3))

    def filter(self, x: str, kernel: np.ndarray, channels: int) -> str:
        """Applies one 2-D kernel to each channel, without padding: the result is smaller by its radius."""
        weights = np.tile(kernel.astype(np.float32)[None, None], (channels, 1, 1, 1))
        return self.op("Conv", x, weights, group=channels, kernel_shape=list(kernel.shape))

    def image(self) -> str:
        """Declares the input `image`; gives it as FLOAT NCHW in 0..1."""
        name = self.input("image", TensorProto.UINT8, ["batch", "height", "width", 3])
        return self.mul(self.op("Transpose", self.cast(name, TensorProto.FLOAT), perm=[0, 3, 1, 2]), 1.0 / 255.0)

    def image_output(self, x: str, scale: int = 1) -> None:
        """Declares the output from FLOAT NCHW in 0..1."""
        sides = ["height", "width"] if scale == 1 else ["height_x%d" % scale, "width_x%d" % scale]
        self.output(OUTPUT, self.to_bytes(x), TensorProto.UINT8, ["batch", *sides, 3])

    def to_bytes(self, x: str) -> str:
        """FLOAT NCHW in 0..1 to UINT8 NHWC, clipped and rounded."""
        level = self.op("Round", self.clip(self.mul(x, 255.0), 0.0, 255.0))
        return self.cast(self.op("Transpose", level, perm=[0, 2, 3, 1]), TensorProto.UINT8)

    def parameter(self, name: str, default: float) -> str:
        """Declares a request parameter; gives it as FLOAT [N, 1, 1, 1], ready to be broadcast."""
        value = self.input(name, TensorProto.FLOAT, ["batch", 1], np.array([[default]], np.float32))
        return self.op("Unsqueeze", value, self.ints(2, 3))

    # -- the whole ----------------------------------------------------------------------------------------------

    def build(self, description: str = "") -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, list(self.initializers.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="imagen"
        )
        model.doc_string = description
        onnx.checker.check_model(model)
        return model


def gaussian(sigma: float, radius: int) -> np.ndarray:
    """A normalised 2-D Gaussian kernel of side 2·radius + 1."""
    axis = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = np.outer(axis, axis)
    return (kernel / kernel.sum()).astype(np.float32)
