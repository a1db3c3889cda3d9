#!/usr/bin/env python3
"""Adds up what the models need of one GPU's memory, from their graphs and their limits in config.pbtxt.

    memory.py [--repository .imagen/model_repository]

For each version: its weights, and the largest run that the contract permits: a full batch of the largest tiles, the
largest whole picture or run, or a full batch of the fixed size. Nothing is run. What no graph tells, the CUDA context
of each process and the workspace of its kernels, is assumed; the options say how much.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Tuple

try:
    import onnx

    from imagen_models.contract import Contract, ContractError, read_config, read_contract
    from imagen_models.memory import measure
except ImportError as error:
    sys.exit("%s\nInstall what this script needs: pip install -r triton/requirements.txt" % error)

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def run_limit(config, version: int) -> int:
    """Pixels that one run of a version may have; 0 is no limit."""
    settings = {key: value.string_value for key, value in config.parameters.items()}
    own = "onnx.v%d.max_run_pixels" % version
    return int(settings.get(own, settings.get("onnx.max_run_pixels", "0")))


def runs(contract: Contract, max_run_pixels: int) -> List[Tuple[str, int, int, int]]:
    """The largest run of each plan, as (plan, count, height, width)."""
    count = max(1, contract.max_batch_size)
    found = []
    if "fit" in contract.plans and contract.fit_size:
        found.append(("fit", count, contract.fit_size[1], contract.fit_size[0]))
    if "tile" in contract.plans:
        side = max(contract.tile_sizes)
        fitting = max(1, max_run_pixels // side**2) if max_run_pixels else count
        found.append(("tile", min(count, fitting), side, side))
    if "whole" in contract.plans:
        # Whole pictures are joined up to the limit of a run, or one alone is larger than that.
        side = int(max(contract.max_whole_pixels, max_run_pixels) ** 0.5)
        found.append(("whole", 1, side, side))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=ROOT / ".imagen" / "model_repository")
    parser.add_argument("--context", type=int, default=450, help="MiB of one process's CUDA context, assumed")
    parser.add_argument("--workspace", type=int, default=256, help="MiB of one process's kernels, assumed")
    parser.add_argument("--gpu", type=int, default=15360, help="MiB that the GPU has")
    options = parser.parse_args()

    total = 0
    row = "%-20s %9s  %-22s %11s %9s"
    print(row % ("VERSION", "WEIGHTS", "LARGEST RUN", "ACTIVATIONS", "PROCESS"))
    try:
        for path in sorted(options.repository.glob("*/*/model.onnx")):
            model, version = path.parts[-3], int(path.parts[-2])
            config = read_config(options.repository / model / "config.pbtxt")
            contract = read_contract(config, version)
            limit = run_limit(config, version)
            network = onnx.load(str(path))
            most = max(
                ((measure(network, {"image": (n, h, w, 3)}), plan, n, h, w) for plan, n, h, w in runs(contract, limit)),
                key=lambda found: found[0].peak,
            )
            memory, shape = most[0], "%s %d x %dx%d" % (most[1], most[2], most[4], most[3])
            instances = max(1, sum(group.count for group in config.instance_group))
            process = memory.weights + memory.peak + (options.context + options.workspace) * MIB
            total += instances * process
            cells = ["%.0f MiB" % (value / MIB) for value in (memory.weights, memory.peak, instances * process)]
            print(row % ("%s/%d" % (model, version), cells[0], shape, cells[1], cells[2]))
    except ContractError as error:
        sys.exit("error: %s" % error)
    if not total:
        sys.exit("there is no */*/model.onnx in %s" % options.repository)
    print("together %.0f of %d MiB, %.0f left" % (total / MIB, options.gpu, options.gpu - total / MIB))
    sys.exit(0 if total <= options.gpu * MIB else 1)


if __name__ == "__main__":
    main()
