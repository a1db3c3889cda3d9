#!/usr/bin/env python3
"""Measures what tiling costs: how far a picture computed in tiles is from the same picture computed whole.

    check_seams.py                                     every version that may be tiled, against what it declares
    check_seams.py --models upscale/2 --margins 16,32,48 --tiles 256
                                                       what a margin buys, before one is declared
    check_seams.py --image photo.png                   on a picture of your own (needs Pillow)

Tiles lie flush with the picture's borders, so that the network sees the border it would see on the whole picture.
Differences are in levels of 255. The exit status is 1 where a difference is larger than the declared tolerance.
"""
from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

try:
    import numpy as np

    from imagen_models.contract import IMAGE, ORIGIN, Contract, ContractError, defaults, open_network
    from imagen_models.contract import read_config, read_contract
except ImportError as error:
    sys.exit("%s\nInstall what this script needs: pip install -r triton/requirements.txt" % error)

ROOT = Path(__file__).resolve().parents[2]


def cuts(length: int, tile: int, margin: int) -> Iterator[Tuple[int, int, int]]:
    """Along one axis: where each tile starts, and from where to where its core reaches."""
    step = tile - 2 * margin
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(min(starts[-1] + step, length - tile))
    for index, start in enumerate(starts):
        first = 0 if index == 0 else start + margin
        last = length if index == len(starts) - 1 else start + tile - margin
        yield start, first, last


def run(session, contract: Contract, image: np.ndarray, origin: Tuple[int, int, int, int]) -> np.ndarray:
    feeds = {IMAGE: image[None], **defaults(session, contract, 1)}
    if ORIGIN in feeds:
        feeds[ORIGIN] = np.array([origin], np.int32)
    return session.run(None, feeds)[0][0]


def in_tiles(session, contract: Contract, image: np.ndarray, tile: int) -> np.ndarray:
    height, width, scale = image.shape[0], image.shape[1], contract.scale
    result = np.zeros((height * scale, width * scale, contract.channels), np.uint8)
    for y, top, bottom in cuts(height, tile, contract.margin):
        for x, left, right in cuts(width, tile, contract.margin):
            made = run(session, contract, image[y : y + tile, x : x + tile], (x, y, width, height))
            core = made[(top - y) * scale : (bottom - y) * scale, (left - x) * scale : (right - x) * scale]
            result[top * scale : bottom * scale, left * scale : right * scale] = core
    return result


def test_picture(height: int, width: int) -> np.ndarray:
    """Waves that grow finer to one side, hard edges, and noise: something to see at every scale."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = 127 + 90 * np.sin(x * x / (1.5 * width)) * np.cos(y / 9)
    blocks = np.where((x // 23 + y // 31) % 2 > 0, 50.0, -50.0)
    colour = np.stack([waves + blocks, 255 - waves, waves * 0.5 + 60 - blocks], axis=-1)
    return (colour + np.random.RandomState(7).normal(0, 8, colour.shape)).clip(0, 255).astype(np.uint8)


def load(path: Path) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        sys.exit("--image needs Pillow: pip install pillow")
    return np.ascontiguousarray(np.asarray(Image.open(str(path)).convert("RGB")))


def versions(repository: Path, names: str) -> List[Tuple[str, int]]:
    if names:
        pairs = [name.strip().partition("/") for name in names.split(",")]
    else:
        pairs = [(p.parts[-3], "/", p.parts[-2]) for p in sorted(repository.glob("*/*/model.onnx"))]
    return [(model, int(version or 1)) for model, _, version in pairs]


def numbers(text: str) -> List[int]:
    return [int(word) for word in text.split(",") if word]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=ROOT / ".imagen" / "model_repository")
    parser.add_argument("--models", default="", help="versions such as upscale/2, separated by commas")
    parser.add_argument("--tiles", type=numbers, default=[], help="tile sides; by default the declared ones")
    parser.add_argument("--margins", type=numbers, default=[], help="margins; by default the declared one")
    parser.add_argument("--size", default="", help="WIDTHxHEIGHT of the synthetic picture")
    parser.add_argument("--image", type=Path, help="a picture to use instead")
    options = parser.parse_args()

    failed = False
    print("%-20s %5s %6s %10s %8s %8s %9s" % ("VERSION", "TILE", "MARGIN", "TOLERANCE", "LARGEST", "99.9 %", "MEAN"))
    try:
        for model, version in versions(options.repository, options.models):
            declared = read_contract(read_config(options.repository / model / "config.pbtxt"), version)
            if "tile" not in declared.plans:
                continue
            session = open_network(options.repository / model / str(version) / "model.onnx")
            tiles = options.tiles or declared.tile_sizes
            if options.image:
                image = load(options.image)
            elif options.size:
                width, _, height = options.size.partition("x")
                image = test_picture(int(height), int(width))
            else:
                image = test_picture(max(tiles) + 61, max(tiles) + 130)
            whole = run(session, declared, image, (0, 0, image.shape[1], image.shape[0]))
            for tile in tiles:
                for margin in options.margins or [declared.margin]:
                    contract = dataclasses.replace(declared, margin=margin)
                    pieces = in_tiles(session, contract, image, tile)
                    apart = np.abs(pieces.astype(np.int16) - whole.astype(np.int16))
                    most = int(apart.max())
                    bad = most > declared.seam_tolerance
                    failed = failed or (bad and not options.margins)
                    print(
                        "%-20s %5d %6d %10d %8d %8.1f %9.4f%s"
                        % (
                            "%s/%d" % (model, version),
                            tile,
                            margin,
                            declared.seam_tolerance,
                            most,
                            np.percentile(apart, 99.9),
                            apart.mean(),
                            "  above the tolerance" if bad else "",
                        ),
                        flush=True,
                    )
    except ContractError as error:
        sys.exit("error: %s" % error)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
