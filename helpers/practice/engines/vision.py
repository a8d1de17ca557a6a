"""What a picture's own pixels say: its size, colours, brightness, areas and texture. Measured, never guessed.

Every number comes from the picture made small (SIDE pixels at most), so it costs the same for any picture.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 50_000_000
SIDE = 96
LEAST_SHARE = 0.02  # a colour with less of the picture is not named
NOISY = 30  # mean difference of neighbours, of 255
SMOOTH = 8

_HUES = [
    (15, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (195, "turquoise"),
    (258, "blue"), (312, "purple"), (345, "pink"), (361, "red"),
]  # fmt: skip


class BadPicture(ValueError):
    """Bytes that are no picture which can be read."""


@dataclass(frozen=True)
class Area:
    """A coloured area on the ground: its colour, and where its middle is, as words."""

    colour: str
    across: str  # left, centre, right
    down: str  # top, middle, bottom


@dataclass(frozen=True)
class Look:
    """One picture measured. Shares and brightness are from 0 to 1; sizes in pixels."""

    kind: str
    width: int
    height: int
    colours: tuple[tuple[str, float], ...]  # the largest share first
    brightness: float
    texture: str  # even, gradient, drawing, chart, noise, photo
    areas: tuple[Area, ...]
    frames: int = 1


def look(data: bytes) -> Look:
    """Measure one picture. Raises BadPicture."""
    from PIL import Image  # not before a picture is looked at: it costs a tenth of a second

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(data), formats=FORMATS)
            width, height = image.size
            if not 0 < width * height <= MOST_PIXELS:
                raise BadPicture(f"a picture of {width} x {height} pixels is too large")
            kind, frames = image.format or "", getattr(image, "n_frames", 1)
            image.draft("RGB", (4 * SIDE, 4 * SIDE))
            small = _small(image)
    except BadPicture:
        raise
    except Exception as error:  # a damaged picture makes Pillow raise almost anything
        raise BadPicture("these bytes are no picture that can be read") from error
    rows = _rows(small)
    names = [[colour_name(*pixel) for pixel in row] for row in rows]
    counts = Counter(name for row in names for name in row)
    total = sum(counts.values())
    colours = [(name, count / total) for name, count in counts.most_common() if count / total >= LEAST_SHARE]
    brightness = sum(_light(*pixel) for row in rows for pixel in row) / total
    ground = Counter([*names[0], *names[-1], *(row[0] for row in names), *(row[-1] for row in names)])
    areas = _areas(names, ground.most_common(1)[0][0], [name for name, _ in colours])
    texture = _texture(rows, names, colours)
    return Look(kind, width, height, tuple(colours), brightness, texture, tuple(areas), frames)


async def looks(messages: list[dict[str, Any]]) -> list[Look | None]:
    """The last pictures of a conversation, measured in a thread; None for one that cannot be read."""
    pictures: list[bytes] = next((m["images"] for m in reversed(messages) if m.get("images")), [])
    return await asyncio.to_thread(lambda: [_look_or_none(one) for one in pictures]) if pictures else []


async def all_readable(messages: list[dict[str, Any]]) -> bool:
    """Whether every picture of a conversation can be read."""
    pictures = [one for message in messages for one in message.get("images", ())]
    return all(await asyncio.to_thread(lambda: [_look_or_none(one) is not None for one in pictures]))


def _look_or_none(data: bytes) -> Look | None:
    try:
        return look(data)
    except BadPicture:
        return None


def _small(image: Any) -> Any:
    from PIL import Image

    scale = SIDE / max(image.size)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.size)
        if image.mode not in ("RGB", "RGBA", "L"):
            image = image.convert("RGBA")
        image = image.resize(size, Image.Resampling.BOX)
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _rows(image: Any) -> list[list[tuple[int, int, int]]]:
    raw, width = image.tobytes(), image.size[0]
    pixels = list(zip(raw[::3], raw[1::3], raw[2::3], strict=True))
    return [pixels[i : i + width] for i in range(0, len(pixels), width)]


@lru_cache(maxsize=65_536)
def colour_name(red: int, green: int, blue: int) -> str:
    """The everyday name of a colour, each part from 0 to 255."""
    most, least = max(red, green, blue), min(red, green, blue)
    value, saturation = most / 255, (most - least) / most if most else 0.0
    if value < 0.18:
        return "black"
    if saturation < 0.13:
        return "white" if value > 0.9 else "grey"
    if most == red:
        hue = 60 * ((green - blue) / (most - least)) % 360
    elif most == green:
        hue = 60 * ((blue - red) / (most - least)) + 120
    else:
        hue = 60 * ((red - green) / (most - least)) + 240
    name = next(name for limit, name in _HUES if hue < limit)
    if name in ("red", "orange") and value < 0.7 and (name == "orange" or value < 0.4):
        return "brown"
    return "pink" if name == "red" and saturation < 0.55 and value > 0.75 else name


def _light(red: int, green: int, blue: int) -> float:
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def _areas(names: list[list[str]], ground: str, colours: list[str]) -> list[Area]:
    """Colours other than the ground's that lie together, not strewn over the picture."""
    height, width = len(names), len(names[0])
    found = []
    for colour in colours:
        at = [(x, y) for y, row in enumerate(names) for x, name in enumerate(row) if name == colour]
        if colour == ground or len(at) < 4:
            continue
        middle = [sum(values) / len(at) for values in zip(*at, strict=True)]
        spread = [
            math.sqrt(sum((value - mean) ** 2 for value in values) / len(at))
            for values, mean in zip(zip(*at, strict=True), middle, strict=True)
        ]
        if spread[0] < 0.27 * width or spread[1] < 0.27 * height:
            across, down = (middle[0] + 0.5) / width, (middle[1] + 0.5) / height
            found.append(Area(colour, _third(across, "left centre right"), _third(down, "top middle bottom")))
    return found


def _third(part: float, words: str) -> str:
    return words.split()[0 if part < 0.4 else 2 if part > 0.6 else 1]


def _texture(
    rows: list[list[tuple[int, int, int]]], names: list[list[str]], colours: list[tuple[str, float]]
) -> str:
    shades = Counter(tuple(part >> 4 for part in pixel) for row in rows for pixel in row)
    total = sum(shades.values())
    if shades.most_common(1)[0][1] / total >= 0.97:
        return "even"
    steps = [_step(one, other) for row in rows for one, other in zip(row, row[1:], strict=False)]
    steps += [
        _step(one, other)
        for row, below in zip(rows, rows[1:], strict=False)
        for one, other in zip(row, below, strict=True)
    ]
    change = sum(steps) / max(1, len(steps))
    few = sum(count for _, count in shades.most_common(12)) / total >= 0.9
    if change >= NOISY:
        return "noise"
    if few:
        on_paper = dict(colours).get("white", 0) >= 0.4 and len(colours) >= 2
        return "chart" if on_paper else "drawing"
    return "gradient" if change <= SMOOTH and max(steps, default=0) < 64 else "photo"


def _step(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 3
