"""Puts a Triton model repository together: what git tracks, and the networks built beside it."""
from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from .contract import ContractError, check_network, read_config, read_contract
from .fetch import Cache
from .recipes import fingerprint
from .recipes.base import Recipe
from .variants import check_network as check_variant, make_variant, write_config

TRITON = Path(__file__).resolve().parents[2]
SOURCE = TRITON / "model_repository"
RUNTIME = TRITON / "runtime" / "imagen_onnx.py"
NETWORK, STAMP = "model.onnx", "model.onnx.json"


def write_atomically(path: Path, data: bytes) -> None:
    """Whoever reads `path` sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=str(path.parent))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, str(path))
    except BaseException:
        os.unlink(temporary)
        raise


def copy_if_changed(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if not (target.is_file() and target.read_bytes() == data):
        write_atomically(target, data)


class Repository:
    """A model repository at `folder`, made from the one in git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install_config(self, model: str) -> None:
        copy_if_changed(SOURCE / model / "config.pbtxt", self.folder / model / "config.pbtxt")

    def install_code(self, model: str, version: int, source_version: Optional[int] = None) -> None:
        code = SOURCE / model / str(source_version or version) / "model.py"
        copy_if_changed(code, self.folder / model / str(version) / "model.py")
        copy_if_changed(RUNTIME, self.folder / model / str(version) / RUNTIME.name)

    def network(self, model: str, version: int) -> Path:
        return self.folder / model / str(version) / NETWORK

    def stamp(self, model: str, version: int) -> Dict[str, Any]:
        """What is known about an installed network; empty where there is none, or it has been tampered with."""
        network = self.network(model, version)
        try:
            stamp = json.loads((network.parent / STAMP).read_text("utf-8"))
            return stamp if network.stat().st_size == stamp["bytes"] else {}
        except (OSError, ValueError, KeyError):
            return {}

    def install_network(self, model: str, version: int, data: bytes, made_from: str) -> None:
        network = self.network(model, version)
        stamp = {"madeFrom": made_from, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        stamp_path = network.parent / STAMP
        if stamp_path.exists():
            stamp_path.unlink()  # a crash between the two writes must not leave a stamp of something else
        write_atomically(network, data)
        write_atomically(stamp_path, (json.dumps(stamp, indent=2) + "\n").encode())

    def export(self, recipe: Recipe, cache: Cache, force: bool = False) -> bool:
        """Builds a recipe's network unless it is there already; says whether it was built."""
        self.install_config(recipe.model)
        self.install_code(recipe.model, recipe.version)
        made_from = "recipe " + fingerprint(recipe)
        if not force and self.stamp(recipe.model, recipe.version).get("madeFrom") == made_from:
            return False
        network = recipe.build(cache.get(recipe.package) if recipe.package else None)
        self.install_network(recipe.model, recipe.version, network.SerializeToString(), made_from)
        return True

    def export_variant(self, recipe: Recipe, versions: List[int], cache: Cache, backend: str, force: bool) -> str:
        """Builds a recipe's network for Triton's ONNX Runtime backend; says what the model is called that runs it.

        `versions` are all that the repository is to have of the model.
        """
        source = SOURCE / recipe.model / "config.pbtxt"
        variant = make_variant(read_config(source), versions, backend)
        inner = variant.inner.name
        made_from = "recipe " + fingerprint(recipe)
        if force or self.stamp(inner, recipe.version).get("madeFrom") != made_from:
            network = recipe.build(cache.get(recipe.package) if recipe.package else None)
            check_variant(network, variant.inner)
            self.install_network(inner, recipe.version, network.SerializeToString(), made_from)
        self.install_code(recipe.model, recipe.version)
        for config in variant:
            text = write_config(config, "triton/model_repository/%s/config.pbtxt" % recipe.model)
            write_atomically(self.folder / config.name / "config.pbtxt", text.encode())
        return inner

    def install_onnx(self, file: Path, model: str, version: int, replace: bool = False) -> List[str]:
        """Checks somebody's own network and installs it as a version; returns remarks for them to read."""
        if not (SOURCE / model / "config.pbtxt").is_file():
            raise ContractError("there is no model %r; a new model begins with its config.pbtxt" % model)
        if not file.is_file():
            raise ContractError("there is no file %s" % file)
        config = read_config(SOURCE / model / "config.pbtxt")
        check_network(file, read_contract(config, version))
        if self.network(model, version).exists() and not replace:
            raise ContractError("%s/%d is installed already; --force replaces it" % (model, version))
        self.install_config(model)
        templates = sorted(int(p.name) for p in (SOURCE / model).iterdir() if p.name.isdigit())
        self.install_code(model, version, version if version in templates else templates[0])
        self.install_network(model, version, file.read_bytes(), "file " + file.name)
        return remarks(config, model, version)


def remarks(config: Any, model: str, version: int) -> List[str]:
    found = []
    policy = config.version_policy
    if policy.HasField("specific") and version not in policy.specific.versions:
        found.append("version_policy in %s/config.pbtxt does not serve version %d" % (model, version))
    key = "imagen.v%d.margin" % version
    if "tile" in read_contract(config, version).plans and key not in config.parameters:
        found.append(
            "its margin is taken to be the model's; scripts/check_seams.py --models %s/%d measures it, and %s in "
            "triton/model_repository/%s/config.pbtxt declares another" % (model, version, key, model)
        )
    return found
