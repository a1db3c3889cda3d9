"""style_comic: a classical effect (nothing is learned): flat brush strokes, few tones, ink lines.

Two passes of a generalised Kuwahara filter paint the picture in strokes that follow its edges, the tones are
gathered into five steps, and a difference of Gaussians draws the ink. A pixel depends on the 10 pixels around it.
"""
from __future__ import annotations

import numpy as np
import onnx

from ..graph import Graph, gaussian
from .base import Recipe

MARGIN = 10  # what the picture is padded with, once; from there on every filter is unpadded
STROKE = 4  # radius of one Kuwahara pass
SECTORS = 8
TONES = 5.0
INK_RADIUS = 6

# The lowest of five tones is black, so night pictures would lose their shadows. A pixel of luminance y (0..1) keeps at
# least y / (1 + y / SHADOW): nearly all where it is dark, less than the tones give where it is light. It rises with y, as
# the tones do, so nothing that was lighter than its surroundings becomes darker than them.
SHADOW = 0.2
# Ink fills what is darker: wholly below the first luminance, not at all above the second.
INK_SHADOW = (0.008, 0.04)


def sectors() -> np.ndarray:
    """Kernels [8, side, side]: a soft slice of the disc in each of eight directions."""
    axis = np.arange(-STROKE, STROKE + 1, dtype=np.float64)
    x, y = np.meshgrid(axis, axis)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    width = np.pi / SECTORS
    kernels = []
    for index in range(SECTORS):
        turn = (angle - 2.0 * width * index + np.pi) % (2.0 * np.pi) - np.pi
        turn[distance == 0] = 0.0  # the centre belongs to every direction
        kernel = np.exp(-0.8 * (turn / width) ** 2) * np.exp(-(distance**2) / (2.0 * (STROKE / 1.6) ** 2))
        kernel[distance > STROKE + 0.5] = 0.0
        kernels.append(kernel / kernel.sum())
    return np.stack(kernels).astype(np.float32)


def kuwahara(graph: Graph, rgb: str) -> str:
    """One pass: each pixel becomes the mean of the sectors around it, the evenest by far the heaviest."""
    kernels = sectors()[:, None]
    y = graph.luma(rgb)
    mean = graph.op("Conv", y, kernels)
    square = graph.op("Conv", graph.mul(y, y), kernels)
    variance = graph.clip(graph.sub(square, graph.mul(mean, mean)))
    spread = graph.op("Sqrt", graph.add(variance, 1e-7))
    weight = graph.op("Pow", graph.add(1.0, graph.mul(spread, 255.0)), -5.0)
    colours = graph.op("Conv", rgb, np.tile(kernels, (3, 1, 1, 1)), group=3)  # 8 means of red, of green, of blue
    weighted = graph.mul(colours, graph.op("Concat", weight, weight, weight, axis=1))
    total = graph.op("Conv", weighted, np.ones((3, SECTORS, 1, 1), np.float32), group=3)
    # ONNX Runtime's ReduceSum adds in another order for a batch of one than for a larger one; its Conv does not.
    return graph.div(total, graph.op("Conv", weight, np.ones((1, SECTORS, 1, 1), np.float32)))


def gather_tones(graph: Graph, rgb: str) -> str:
    """Luminance in five soft steps, with more contrast and more colour; night pictures keep their shadows."""
    y = graph.luma(rgb)
    t = graph.mul(graph.op("Sqrt", graph.add(y, 1e-6)), TONES)
    floor = graph.op("Floor", t)
    step = graph.clip(graph.add(graph.mul(graph.sub(graph.sub(t, floor), 0.5), 4.0), 0.5))
    root = graph.mul(graph.add(floor, step), 1.0 / TONES)
    q = graph.mul(root, root)
    bend = graph.mul(graph.mul(q, graph.sub(1.0, q)), graph.sub(graph.mul(q, 2.0), 1.0))
    curved = graph.add(graph.mul(q, 1.03), graph.mul(bend, 0.9))
    gain = graph.clip(graph.div(curved, graph.add(y, 0.02)), 0.0, 2.5)
    least = graph.div(1.0, graph.add(graph.mul(y, 1.0 / SHADOW), 1.0))
    toned = graph.mul(rgb, graph.op("Max", gain, least))
    return graph.clip(graph.lerp(graph.luma(toned), toned, 1.5))


def ink_lines(graph: Graph, rgb: str) -> str:
    """How much ink each pixel gets, 0..1: lines on the dark side of edges."""
    y = graph.luma(rgb)
    fine = graph.filter(y, gaussian(1.3, INK_RADIUS), 1)
    coarse = graph.filter(y, gaussian(2.08, INK_RADIUS), 1)
    return graph.smoothstep(0.015, 0.07, graph.div(graph.sub(coarse, fine), graph.add(coarse, 0.12)))


def build(_archive: None) -> onnx.ModelProto:
    graph = Graph("style_comic")
    image = graph.image()
    strength = graph.parameter("strength", 1.0)
    ink_strength = graph.parameter("ink", 1.0)

    first = kuwahara(graph, graph.pad_edge(image, MARGIN))  # 6 pixels of padding are left
    ink = ink_lines(graph, first)  # none are left
    second = kuwahara(graph, first)  # 2 are left
    flat = graph.filter(gather_tones(graph, second), gaussian(0.55, 1), 3)  # 1 is left
    shadow = graph.sub(1.0, graph.smoothstep(*INK_SHADOW, graph.luma(graph.crop(second, 2))))
    drawn = graph.mul(graph.crop(flat, 1), graph.sub(1.0, graph.mul(graph.mul(ink, 0.95), ink_strength)))
    drawn = graph.mul(drawn, graph.sub(1.0, graph.mul(graph.mul(shadow, 0.7), ink_strength)))
    graph.image_output(graph.lerp(image, drawn, strength))
    return graph.build("Kuwahara strokes, posterised luminance and ink: a classical effect")


RECIPES = [Recipe("style_comic", 1, __file__, build)]
