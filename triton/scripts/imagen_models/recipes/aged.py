"""style_aged: a classical effect (nothing is learned): a faded colour print of the seventies.

Grain and vignette belong to the picture, not to the tile: both are looked up by position, from the input `origin`,
so that tiles fit together to the exact pixel. Grain is read from two fixed noise textures whose sides have no
common divisor: their sum repeats only after 509 x 383 pixels in each direction.
"""
from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from ..graph import Graph, gaussian
from .base import Recipe

BLUR_RADIUS = 2  # the only neighbourhood: an exact margin is 2
TEXTURE_SIDES = (509, 383)
GRAIN_LEVEL = 32.0  # one standard deviation of grain in the int8 textures


def grain_texture(side: int, seed: int) -> np.ndarray:
    """Seamless noise, band-passed to grains of two to four pixels; int8, so that it is the same everywhere."""
    white = np.random.RandomState(seed).standard_normal((side, side))
    frequency = np.fft.fftfreq(side)
    distance = np.hypot(frequency[:, None], frequency[None, :])
    band = np.exp(-((distance / 0.30) ** 2)) - np.exp(-((distance / 0.06) ** 2))
    noise = np.fft.ifft2(np.fft.fft2(white) * band).real
    return np.clip(np.round(noise / noise.std() * GRAIN_LEVEL), -127, 127).astype(np.int8)


class Position:
    """Where each row and column of the tile lies in the whole picture."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        origin = graph.input("origin", TensorProto.INT32, ["batch", 4], np.zeros((1, 4), np.int32))
        x, y, width, height = (
            graph.op("Slice", origin, graph.ints(i), graph.ints(i + 1), graph.ints(1)) for i in range(4)
        )
        self.rows, self.height = self._axis(1, y, height)
        self.columns, self.width = self._axis(2, x, width)

    def _axis(self, axis: int, start: str, full: str):
        """Positions INT32 [N, length] along an axis of `image`, and the whole picture's length INT32 [N, 1]."""
        g = self.graph
        shape = g.op("Shape", "image")
        length = g.cast(g.op("Gather", shape, g.const(axis, np.int64), axis=0), TensorProto.INT32)
        steps = g.op("Range", g.const(0, np.int32), length, g.const(1, np.int32))
        unknown = g.op("Equal", full, g.const(0, np.int32))
        return g.add(start, steps), g.op("Where", unknown, length, full)

    def lookup(self, texture: np.ndarray) -> str:
        """The texture, repeated over the whole picture, as this tile sees it: FLOAT [N, 1, H, W]."""
        g = self.graph
        side = texture.shape[0]
        row = g.op("Unsqueeze", g.op("Mod", self.rows, g.const(side, np.int32)), g.ints(2))
        column = g.op("Unsqueeze", g.op("Mod", self.columns, g.const(side, np.int32)), g.ints(1))
        index = g.add(g.mul(row, g.const(side, np.int32)), column)
        values = g.op("Gather", g.const(texture.reshape(-1), np.int8), index, axis=0)
        return g.mul(g.op("Unsqueeze", g.cast(values, TensorProto.FLOAT), g.ints(1)), 1.0 / GRAIN_LEVEL)

    def distance(self) -> str:
        """Squared distance from the whole picture's centre: 0 there, 1 in its corners; FLOAT [N, 1, H, W]."""
        g = self.graph

        def part(positions: str, length: str, axis: int) -> str:
            middle = g.div(g.add(g.mul(g.cast(positions, TensorProto.FLOAT), 2.0), 1.0), g.cast(length, TensorProto.FLOAT))
            offset = g.sub(middle, 1.0)
            return g.op("Unsqueeze", g.mul(g.mul(offset, offset), 0.5), g.ints(1, axis))

        return g.add(part(self.rows, self.height, 3), part(self.columns, self.width, 2))


def colours(rgb: tuple) -> np.ndarray:
    return np.array(rgb, np.float32).reshape(1, 3, 1, 1)


def fade(graph: Graph, rgb: str) -> str:
    """Dyes that have lost colour: less of it, lifted blacks, warm highlights, cool shadows."""
    c = graph.lerp(rgb, graph.luma(rgb), 0.45)
    c = graph.clip(c)
    bend = graph.mul(graph.mul(c, graph.sub(1.0, c)), graph.sub(graph.mul(c, 2.0), 1.0))
    c = graph.add(c, graph.mul(bend, 0.35))
    c = graph.add(graph.mul(c, colours((0.80, 0.76, 0.62))), colours((0.145, 0.105, 0.10)))
    y = graph.luma(c)
    warm = graph.mul(graph.smoothstep(0.35, 0.95, y), colours((0.035, 0.02, -0.03)))
    cool = graph.mul(graph.sub(1.0, graph.smoothstep(0.0, 0.45, y)), colours((0.0, 0.008, 0.03)))
    return graph.add(c, graph.add(warm, cool))


def build(_archive: None) -> onnx.ModelProto:
    graph = Graph("style_aged")
    image = graph.image()
    position = Position(graph)
    strength = graph.parameter("strength", 1.0)
    grain_strength = graph.parameter("grain", 1.0)
    vignette_strength = graph.parameter("vignette", 1.0)

    soft = graph.filter(graph.pad_edge(image, BLUR_RADIUS), gaussian(0.8, BLUR_RADIUS), 3)
    print_ = fade(graph, soft)

    # Corners darken, and less in the red: old lenses and old dyes together.
    edge = graph.mul(graph.smoothstep(0.25, 1.0, position.distance()), vignette_strength)
    print_ = graph.mul(print_, graph.sub(1.0, graph.mul(edge, colours((0.30, 0.36, 0.42)))))

    # Grain shows most in the middle tones. It is one emulsion with a trace of colour where its layers differ.
    first, second = (position.lookup(grain_texture(side, seed)) for seed, side in enumerate(TEXTURE_SIDES, 1970))
    grain = graph.mul(graph.add(first, second), float(np.sqrt(0.5)))
    tint = graph.mul(graph.sub(first, second), colours((0.22, 0.0, -0.22)))
    y = graph.clip(graph.luma(print_))
    amount = graph.add(0.35, graph.mul(graph.mul(y, graph.sub(1.0, y)), 2.6))
    amount = graph.mul(graph.mul(amount, 0.026), grain_strength)
    print_ = graph.add(print_, graph.mul(graph.add(grain, tint), amount))

    graph.image_output(graph.lerp(image, print_, strength))
    return graph.build("A faded print with grain and vignette by position: a classical effect")


RECIPES = [Recipe("style_aged", 1, __file__, build)]
