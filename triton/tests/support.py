"""Where the code under test lives, and small networks to try it on."""
from __future__ import annotations

import sys
from pathlib import Path

TRITON = Path(__file__).resolve().parents[1]
for folder in (TRITON / "scripts", TRITON / "runtime"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from imagen_models.graph import Graph  # noqa: E402

onnxruntime.set_default_logger_severity(3)


def session(model) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def brighten(parameter: str = "strength", default: float = 1.0):
    """A network that adds `strength` tenths to every pixel."""
    graph = Graph("brighten")
    image = graph.image()
    graph.image_output(graph.add(image, graph.mul(graph.parameter(parameter, default), 0.1)))
    return graph.build()


def noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(1).randint(0, 256, shape).astype(np.uint8)
