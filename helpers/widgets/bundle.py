"""What the page's own widgets have in common: one file of JavaScript, built from frontend/."""

from __future__ import annotations

import re
from pathlib import Path

import anywidget
import traitlets

STATIC = Path(__file__).with_name("static")

_HALF = re.compile("[\ud800-\udfff]")


class Bundled(anywidget.AnyWidget):
    """A widget that the bundle draws; `kind` says which."""

    _esm = STATIC / "widgets.js"
    kind = traitlets.Unicode().tag(sync=True)


def whole(text: str) -> str:
    """Return the text with each half of a character written as its JSON escape: UTF-8 cannot carry it."""
    if text.isascii() or not _HALF.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", joined)
