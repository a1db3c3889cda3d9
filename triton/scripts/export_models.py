#!/usr/bin/env python3
"""Builds the networks that imagen serves, and puts a Triton model repository together.

    export_models.py                                   build everything that is not there yet
    export_models.py --models upscale,style_comic      only these models; upscale/2 names one version
    export_models.py --backend onnxruntime             for Triton's ONNX Runtime backend or `tensorrt`, TensorRT within it
    export_models.py --install-onnx my.onnx --model upscale --version 3
                                                       check a network of your own and install it as a version
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import List

try:
    from imagen_models.contract import ContractError
    from imagen_models.fetch import Cache, FetchError
    from imagen_models.ncnn import NcnnError
    from imagen_models.recipes import ALL, Recipe
    from imagen_models.repository import Repository
    from imagen_models.variants import BACKENDS
except ImportError as error:
    sys.exit("%s\nInstall what this script needs: pip install -r triton/requirements.txt" % error)

ROOT = Path(__file__).resolve().parents[2]


def say(line: str) -> None:
    print(line, flush=True)


def choose(names: str) -> List[Recipe]:
    """The recipes that a comma-separated list of models (`upscale`) and versions (`upscale/2`) names."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {name for recipe in ALL for name in (recipe.model, recipe.key)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit("unknown: %s; there are %s" % (", ".join(unknown), ", ".join(sorted(known))))
    return [recipe for recipe in ALL if not wanted or recipe.model in wanted or recipe.key in wanted]


def export(options: argparse.Namespace) -> None:
    repository, cache = Repository(options.output), Cache(options.cache, say)
    if options.backend != "python":
        export_variants(repository, cache, options)
        return
    for recipe in choose(options.models):
        say("export %s ..." % recipe.key)
        start = time.monotonic()
        built = repository.export(recipe, cache, options.force)
        size = repository.network(recipe.model, recipe.version).stat().st_size / 1e6
        done = "built in %.1f s" % (time.monotonic() - start) if built else "up to date"
        say("export %s %s, %.1f MB" % (recipe.key, done, size))
    say("model repository: %s" % options.output)


def export_variants(repository: Repository, cache: Cache, options: argparse.Namespace) -> None:
    recipes = choose(options.models)
    for recipe in recipes:
        versions = [other.version for other in recipes if other.model == recipe.model]
        inner = repository.export_variant(recipe, versions, cache, options.backend, options.force)
        say("export %s for %s: run by %s" % (recipe.key, options.backend, inner))
    say("model repository: %s" % options.output)


def install(options: argparse.Namespace) -> None:
    if not options.model or options.version is None or options.version < 1:
        sys.exit("--install-onnx needs --model NAME and --version N, a number from 1 on")
    say("install %s/%d ..." % (options.model, options.version))
    repository = Repository(options.output)
    for remark in repository.install_onnx(options.install_onnx, options.model, options.version, options.force):
        say("note: %s" % remark)
    say("installed %s" % repository.network(options.model, options.version))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ROOT / ".imagen" / "cache", help="folder that keeps packages")
    parser.add_argument("--output", type=Path, help="folder to make; by default .imagen/model_repository[-BACKEND]")
    parser.add_argument("--backend", choices=BACKENDS, default="python", help="what runs the networks")
    parser.add_argument("--models", default="", help="models or versions, separated by commas; by default all")
    parser.add_argument("--force", action="store_true", help="build or install again what exists already")
    parser.add_argument("--install-onnx", type=Path, metavar="FILE", help="a network of your own")
    parser.add_argument("--model", help="with --install-onnx: the model that it becomes a version of")
    parser.add_argument("--version", type=int, help="with --install-onnx: the version's number")
    options = parser.parse_args()
    if options.install_onnx and options.backend != "python":
        sys.exit("--install-onnx is for the Python backend")
    if options.output is None:
        suffix = "" if options.backend == "python" else "-" + options.backend
        options.output = ROOT / ".imagen" / ("model_repository" + suffix)
    try:
        if options.install_onnx:
            install(options)
        else:
            export(options)
    except (ContractError, FetchError, NcnnError, OSError) as error:
        sys.exit("error: %s" % error)


if __name__ == "__main__":
    main()
