"""Pictures of numbers for a lesson: bars, fields of colour, spans of time; each also as text."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4  # inches
DOTS = 100  # to an inch
BLUE, GREY = "#2f6fb3", "#6b7280"


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture, and the same numbers as text for those who read it where no picture is shown."""

    text: str
    png: bytes

    def __repr__(self) -> str:
        return self.text

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        return self.png, {"alt": self.text}


def bars(sizes: Mapping[str, float], label: str, log: bool = False) -> Picture:
    """A bar for each name, the first on top; with `log` each line of the grid is ten times the one before."""
    figure, axes = _figure(0.7 + 0.35 * max(len(sizes), 1))
    names = list(sizes)
    drawn = axes.barh(names[::-1], [sizes[name] for name in names[::-1]], color=BLUE, height=0.6)
    axes.bar_label(drawn, labels=[f"{sizes[name]:,}" for name in names[::-1]], padding=4, color=GREY)
    if log and sizes:
        axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlabel(label)
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {size:,}" for name, size in sizes.items()]
    return _picture(figure, "\n".join([label, *lines]))


def matrix(rows: Sequence[Sequence[float]], names: Sequence[str], label: str) -> Picture:
    """A square table of numbers from 0 to 1: the darker a field, the larger its number."""
    side = 1.2 + 0.55 * len(names)
    figure, axes = _figure(side)
    axes.imshow(rows, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_yticks(places, names)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            colour = "white" if value > 0.6 else "black"
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour)
    axes.set_title(label, fontsize=10)
    width = max(map(len, names), default=0)
    lines = [
        f"{name:<{width}}  " + "  ".join(f"{value:5.2f}" for value in row)
        for name, row in zip(names, rows, strict=True)
    ]
    return _picture(figure, "\n".join([label, *lines]))


def strip(parts: Iterable[tuple[str, float]], label: str) -> Picture:
    """Texts side by side, each on a field that is the darker the larger its number from 0 to 1 is."""
    row = list(parts)
    figure, axes = _figure(1.5)
    if row:
        axes.imshow([[value for _, value in row]], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(row)), [text.strip() or repr(text) for text, _ in row], rotation=45, ha="right")
    axes.set_yticks([])
    for place, (_, value) in enumerate(row):
        colour = "white" if value > 0.6 else "black"
        axes.text(place, 0, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(label, fontsize=10)
    lines = [f"{value:.2f}  {text}" for text, value in row]
    return _picture(figure, "\n".join([label, *lines]))


def spans(parts: Iterable[tuple[str, float, float]], label: str) -> Picture:
    """A bar from `start` to `end` for each (name, start, end), the first on top."""
    rows = list(parts)
    figure, axes = _figure(0.8 + 0.4 * max(len(rows), 1))
    for place, (name, start, end) in enumerate(reversed(rows)):
        axes.barh(place, end - start, left=start, color=BLUE, height=0.5)
        axes.annotate(name, (end, place), xytext=(5, 0), textcoords="offset points", va="center", color=GREY)
    axes.set_yticks([])
    axes.margins(x=0.25)
    axes.set_xlabel(label)
    width = max((len(name) for name, _, _ in rows), default=0)
    lines = [f"{name:<{width}}  {start:g} to {end:g}" for name, start, end in rows]
    return _picture(figure, "\n".join([label, *lines]))


def _figure(height: float) -> tuple[Figure, Axes]:
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it tells how it finds its fonts
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _picture(figure: Figure, text: str) -> Picture:
    held = BytesIO()
    figure.savefig(held, format="png", dpi=DOTS, metadata={"Software": None})
    return Picture(text, held.getvalue())
