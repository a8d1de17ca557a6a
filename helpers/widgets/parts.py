"""What every widget of the course is put together from."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from helpers.show import visible


def button(name: str, act: Callable[[], object], **traits: Any) -> widgets.Button:
    """A button as wide as its name; it has no icon, which a screen reader would read out."""
    made = widgets.Button(description=name, layout={"width": "auto"}, **traits)
    made.on_click(lambda _: act())
    return made


def safe(text: str) -> str:
    """Any text as HTML that shows just this text."""
    return html.escape(visible(text))


def status(text: str, role: str = "status") -> str:
    """A sentence as HTML that a screen reader says when it changes; `role` may be `alert`."""
    return f'<div role="{role}" dir="auto">{safe(text)}</div>'


def with_twin(bundle: Any, text: str, drawn: str = "") -> Any:
    """The data of a widget's output, with what there is to read where no widget can be drawn.

    `bundle` is what ipywidgets makes; `drawn` is HTML, without it the text is shown as it is.
    """
    twin = {"text/plain": text, "text/html": drawn or f"<pre>{html.escape(text)}</pre>"}
    if isinstance(bundle, tuple):
        return {**bundle[0], **twin}, bundle[1]
    return {**bundle, **twin} if bundle else twin
