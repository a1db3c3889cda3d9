"""One module a family of networks; `ALL` lists every version that the exporter builds."""
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import List

from .. import graph, ncnn
from . import aged, comic, matte, restore
from .base import Recipe

ALL: List[Recipe] = [*restore.RECIPES, *matte.RECIPES, *comic.RECIPES, *aged.RECIPES]

_SHARED = [graph.__file__, ncnn.__file__]


def fingerprint(recipe: Recipe) -> str:
    """A hash of everything that decides what a recipe builds: its source, the shared source, the weights."""
    digest = hashlib.sha256()
    for file in [*_SHARED, recipe.module]:
        digest.update(Path(file).read_bytes())
    if recipe.package is not None:
        digest.update(recipe.package.sha256.encode())
    digest.update(recipe.key.encode())
    return digest.hexdigest()
