"""The ten pictures that compare_reference.py compares: photographs, faces, text, a logo, night. Drawn ones are drawn here."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PHOTOS = Path(__file__).resolve().parents[2] / "test/fixtures/photos"

FOCUS = {"astronaut": (0.43, 0.22), "chelsea": (0.5, 0.37), "coffee": (0.55, 0.42), "rocket": (0.5, 0.45),
         "text": (0.3, 0.3), "logo": (0.35, 0.75)}  # the middle of the window that upscale 2 is compared on
WORDS = "The quick brown fox jumps over the lazy dog. 0123456789 (7 % of 12,400) "


def photo(name: str) -> Image.Image:
    return Image.open(PHOTOS / (name + ".jpg")).convert("RGB")


def text() -> Image.Image:
    picture, y = Image.new("RGB", (360, 240), "white"), 8
    draw = ImageDraw.Draw(picture)
    for size in (9, 9, 10, 10, 12, 12, 14, 14, 18, 24):
        draw.text((8, y), WORDS[: int(360 / size * 1.9)], "#101010", ImageFont.load_default(size))
        y += int(size * 1.5)
    draw.rectangle((0, y + 4, 360, 240), fill="#203060")
    draw.text((8, y + 10), "White on blue, 16 pixels", "white", ImageFont.load_default(16))
    return picture


def logo() -> Image.Image:
    picture = Image.new("RGB", (320, 240), "#f4f1e8")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((28, 38, 148, 158), fill="#d8232a")
    draw.ellipse((58, 68, 118, 128), fill="#f4f1e8")
    draw.polygon([(170, 158), (230, 38), (290, 158)], fill="#0a7d53")
    draw.line((28, 176, 290, 176), fill="#222222", width=3)
    draw.text((28, 186), "ACME tools", "#222222", ImageFont.load_default(34))
    return picture


def street() -> Image.Image:
    """Lamps and lit windows at night, with noise."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:240, :360]
    light = np.array([8, 10, 18]) + y[..., None] / 240 * 6
    for lamp in range(7):
        cx, cy = 30 + 50 * lamp, 60 + lamp % 3 * 25
        away = np.hypot(x - cx, y - cy)[..., None]
        light += np.exp(-away / 26) * np.array([150, 110, 60]) + np.exp(-((away / 4) ** 2)) * np.array([200, 190, 160])
        light[cy:215, cx - 1 : cx + 2] *= 0.35
    for left in range(0, 360, 40):
        top = 150 - left * 37 % 70
        light[top:, left : left + 34] *= 0.55
        for row in range(top + 8, 232, 16):
            for column in range(left + 5, left + 28, 10):
                if random.random() < 0.3:
                    light[row : row + 7, column : column + 5] += np.array([70, 55, 25])
    return Image.fromarray((light + random.normal(0, 3, light.shape)).clip(0, 255).round().astype(np.uint8))


def pictures() -> dict[str, Image.Image]:
    rocket = np.asarray(photo("rocket").resize((360, 240), Image.LANCZOS))
    face, small = photo("astronaut").crop((150, 30, 310, 190)), photo("astronaut").resize((96, 96), Image.LANCZOS)
    return {**{name: photo(name) for name in ("astronaut", "chelsea", "coffee", "rocket")}, "face": face, "small-face": small,
            "text": text(), "logo": logo(), "night-street": street(),
            "night-rocket": Image.fromarray((rocket * 0.35).round().astype(np.uint8))}


def window(name: str, picture: Image.Image) -> Image.Image:
    (width, height), (x, y) = picture.size, FOCUS.get(name, (0.5, 0.5))
    w, h = min(width, 160), min(height, 120)
    left, top = (max(0, min(full - part, int(at * full - part / 2))) for full, part, at in ((width, w, x), (height, h, y)))
    return picture.crop((left, top, left + w, top + h))
