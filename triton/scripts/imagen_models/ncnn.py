"""Reads ncnn networks (a text .param and a binary .bin) and writes them as ONNX nodes.

Only the layers that super-resolution networks use are known; anything else is an error that names the layer,
never a silent approximation. The binary is one flat sequence in layer order, and every byte must be consumed:
a converter that misreads one layer cannot end exactly at the end of the file.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

import numpy as np

from .graph import Graph

MAGIC = 7767517
FLOAT16_TAG = 0x01306B47
ARRAY_KEY = -23300  # keys at or below it hold arrays: key -23300 - n is array parameter n, "count,v1,v2,..."


class NcnnError(ValueError):
    """The files are not a network that this converter knows."""


@dataclass
class Layer:
    kind: str
    name: str
    inputs: List[str]
    outputs: List[str]
    params: Dict[int, str]

    def integer(self, key: int, default: int = 0) -> int:
        return int(self.params.get(key, default))

    def number(self, key: int, default: float = 0.0) -> float:
        return float(self.params.get(key, default))

    def numbers(self, key: int) -> List[float]:
        """An array parameter, without its leading count."""
        raw = self.params.get(ARRAY_KEY - key)
        if raw is None:
            return []
        count, *values = raw.split(",")
        if int(count) != len(values):
            raise NcnnError("%s: array parameter %d promises %s values, has %d" % (self.name, key, count, len(values)))
        return [float(v) for v in values]


def parse_param(text: str) -> List[Layer]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != [str(MAGIC)]:
        raise NcnnError("not an ncnn .param file: it does not begin with %d" % MAGIC)
    if len(lines) < 2 or len(lines[1]) != 2:
        raise NcnnError("the second line of a .param file must hold the numbers of layers and blobs")
    layers = []
    for words in lines[2:]:
        try:
            kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
            params = dict(pair.split("=", 1) for pair in words[4 + inputs + outputs :])
            layers.append(
                Layer(
                    kind,
                    name,
                    words[4 : 4 + inputs],
                    words[4 + inputs : 4 + inputs + outputs],
                    {int(k): v for k, v in params.items()},
                )
            )
        except (IndexError, ValueError) as error:
            raise NcnnError("cannot read the layer line %r" % " ".join(words)) from error
    if len(layers) != int(lines[1][0]):
        raise NcnnError("the .param file promises %s layers and has %d" % (lines[1][0], len(layers)))
    return layers


class Weights:
    """The .bin file, read in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def floats(self, count: int) -> np.ndarray:
        return self._take(count, np.dtype("<f4")).astype(np.float32)

    def tagged(self, count: int) -> np.ndarray:
        """Weights behind a four-byte tag that tells how they are stored."""
        tag = int(self._take(1, np.dtype("<u4"))[0])
        if tag == 0:
            return self.floats(count)
        if tag != FLOAT16_TAG:
            raise NcnnError("weights are stored in an unknown way (tag 0x%08x)" % tag)
        values = self._take(count, np.dtype("<f2")).astype(np.float32)
        self._at += -self._at % 4
        return values

    def finish(self) -> None:
        if self._at != len(self._data):
            raise NcnnError("%d of %d bytes of weights were read" % (self._at, len(self._data)))

    def _take(self, count: int, dtype: np.dtype) -> np.ndarray:
        end = self._at + count * dtype.itemsize
        if end > len(self._data):
            raise NcnnError("the weights end early, at byte %d of %d" % (len(self._data), end))
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at = end
        return values


class Converter:
    """Adds a parsed network to a graph, layer by layer; `convert` is its one entry."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph = graph
        self.weights = weights
        self.values: Dict[str, str] = {}
        self.channels: Dict[str, int] = {}

    def convert(self, layers: List[Layer], source: str, channels: int) -> str:
        """Feeds `source` to the network's only Input layer; returns the value that the last layer makes."""
        for layer in layers:
            if layer.kind == "Input":
                made, width = source, channels
            else:
                handler = getattr(self, "_" + layer.kind.lower(), None)
                if handler is None:
                    raise NcnnError("layer %s is of kind %s, which is not supported" % (layer.name, layer.kind))
                try:
                    ins = [self.values[name] for name in layer.inputs]
                except KeyError as error:
                    raise NcnnError("layer %s reads %s, which nothing has made" % (layer.name, error)) from error
                made, width = handler(layer, ins)
            for out in layer.outputs:
                self.values[out] = made
                self.channels[out] = width
        self.weights.finish()
        return made

    def _width(self, layer: Layer, index: int = 0) -> int:
        return self.channels[layer.inputs[index]]

    def _split(self, layer: Layer, ins: List[str]):
        return ins[0], self._width(layer)

    def _convolution(self, layer: Layer, ins: List[str]):
        out, kernel, count = layer.integer(0), layer.integer(1), layer.integer(6)
        unusual = {key: layer.params[key] for key in (8, 11, 12, 13, 14, 15, 16, 18) if key in layer.params}
        if unusual:
            raise NcnnError("%s: convolution parameters %r are not supported" % (layer.name, unusual))
        inner = self._width(layer)
        if out * inner * kernel * kernel != count:
            raise NcnnError("%s: %d weights do not fit %dx%dx%dx%d" % (layer.name, count, out, inner, kernel, kernel))
        operands = [ins[0], self.graph.const(self.weights.tagged(count).reshape(out, inner, kernel, kernel))]
        if layer.integer(5):
            operands.append(self.graph.const(self.weights.floats(out)))
        made = self.graph.op(
            "Conv",
            *operands,
            kernel_shape=[kernel] * 2,
            dilations=[layer.integer(2, 1)] * 2,
            strides=[layer.integer(3, 1)] * 2,
            pads=[layer.integer(4)] * 4,
        )
        return self._activation(layer, made), out

    def _activation(self, layer: Layer, value: str) -> str:
        kind = layer.integer(9)
        if kind == 0:
            return value
        if kind == 1:
            return self.graph.op("Relu", value)
        if kind == 2:
            return self.graph.op("LeakyRelu", value, alpha=layer.numbers(10)[0])
        raise NcnnError("%s: activation %d is not supported" % (layer.name, kind))

    def _prelu(self, layer: Layer, ins: List[str]):
        width = layer.integer(0)
        slopes = self.weights.floats(width).reshape(width, 1, 1)
        return self.graph.op("PRelu", ins[0], slopes), self._width(layer)

    def _pixelshuffle(self, layer: Layer, ins: List[str]):
        block = layer.integer(0, 1)
        if layer.integer(1):
            raise NcnnError("%s: pixel shuffle mode %s is not supported" % (layer.name, layer.params[1]))
        made = self.graph.op("DepthToSpace", ins[0], blocksize=block, mode="CRD")
        return made, self._width(layer) // (block * block)

    def _interp(self, layer: Layer, ins: List[str]):
        if layer.integer(0) != 1:
            raise NcnnError("%s: only nearest-neighbour interpolation is supported" % layer.name)
        scales = np.array([1.0, 1.0, layer.number(1, 1.0), layer.number(2, 1.0)], np.float32)
        made = self.graph.op(
            "Resize",
            ins[0],
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return made, self._width(layer)

    def _binaryop(self, layer: Layer, ins: List[str]):
        names = {0: "Add", 1: "Sub", 2: "Mul", 3: "Div"}
        kind = layer.integer(0)
        if kind not in names or layer.integer(1):
            raise NcnnError("%s: binary operation %r is not supported" % (layer.name, layer.params))
        return self.graph.op(names[kind], *ins), self._width(layer)

    def _concat(self, layer: Layer, ins: List[str]):
        if layer.integer(0) != 0:  # ncnn counts axes without the batch: 0 is the channel
            raise NcnnError("%s: only channels can be concatenated" % layer.name)
        made = self.graph.op("Concat", *ins, axis=1)
        return made, sum(self._width(layer, i) for i in range(len(ins)))

    def _eltwise(self, layer: Layer, ins: List[str]):
        if layer.integer(0) != 1:
            raise NcnnError("%s: only a sum is supported" % layer.name)
        factors = layer.numbers(1) or [1.0] * len(ins)
        if len(factors) != len(ins):
            raise NcnnError("%s: %d coefficients for %d inputs" % (layer.name, len(factors), len(ins)))
        total = None
        for value, factor in zip(ins, factors):
            term = value if factor == 1.0 else self.graph.mul(value, factor)
            total = term if total is None else self.graph.add(total, term)
        return total, self._width(layer)


def convert(graph: Graph, source: str, param: str, weights: bytes, channels: int = 3) -> str:
    """Adds the network to `graph`, fed by the FLOAT NCHW value `source`; returns the name of its result."""
    return Converter(graph, Weights(weights)).convert(parse_param(param), source, channels)
