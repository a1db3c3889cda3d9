"""What a recipe is."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

import onnx

from ..fetch import Archive, Package


@dataclass(frozen=True)
class Recipe:
    """How one version of one model is made. A classical effect has no package, and `build` gets None."""

    model: str
    version: int
    module: str  # the source file that holds `build`
    build: Callable[[Optional[Archive]], onnx.ModelProto]
    package: Optional[Package] = None

    @property
    def key(self) -> str:
        return "%s/%d" % (self.model, self.version)
