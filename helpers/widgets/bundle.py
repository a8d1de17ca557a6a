"""What the page's own widgets have in common: one file of JavaScript, built from frontend/."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

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


def with_twin(bundle: Any, text: str) -> Any:
    """The data of a widget's output, with what there is to read where no widget can be drawn."""
    twin = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
    if isinstance(bundle, tuple):
        return {**bundle[0], **twin}, bundle[1]
    return {**bundle, **twin} if bundle else twin
