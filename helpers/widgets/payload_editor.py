"""A payload as text: an editor that says what is wrong where, and what could come next.

The page draws it with CodeMirror. Where its JavaScript cannot be loaded, a plain text area with the same
text takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import traitlets

from helpers.show import cut, visible

from .bundle import Bundled, whole
from .json_text import Lines
from .parts import with_twin
from .payload import Diagnostic, parse

AREA = {"width": "95%", "height": "16em"}
SHOWN = ("value", "diagnostics", "completions", "label")
LONGEST, MOST_LINES = 20_000, 400  # what a text without front end shows at most


class PayloadEditor(widgets.VBox):
    """An editor for JSON.

    `value` is the text. `diagnostics` are what is said of it: `start` and `end` (offsets in code points),
    `severity` and `message`; see payload.lint(). `completions` are what may be typed, by place; see
    payload.completions(). `label` is the name of the editor for a screen reader.

    What is typed arrives in `value` when the learner pauses, leaves the editor, or sends.
    """

    value = traitlets.Unicode()
    diagnostics = traitlets.List(traitlets.Dict())
    completions = traitlets.Dict()
    label = traitlets.Unicode("Payload, as JSON")

    def __init__(self, value: str = "", **kwargs: Any) -> None:
        self._submitted = widgets.CallbackDispatcher()
        self._code = _Code(self._typed, self._drawn)
        self._area = widgets.Textarea(layout=AREA, style={"description_width": "initial"})
        self._area.observe(lambda change: self.set_trait("value", change.new), "value")
        super().__init__([self._code, self._area], value=value, **kwargs)
        self.add_class("payload-editor")
        for name in SHOWN:
            self._show(name)
        self.observe(lambda change: self._show(change.name), SHOWN)

    def on_submit(self, callback: Callable[[PayloadEditor], None], remove: bool = False) -> None:
        """Call `callback(editor)` at each Ctrl+Enter or Cmd+Enter; `value` then is what was typed."""
        self._submitted.register_callback(callback, remove=remove)

    @traitlets.validate("value")
    def _whole(self, proposal: Any) -> str:
        return whole(proposal.value)

    def _show(self, name: str) -> None:
        if name == "value":
            self._code.replace(self.value)
            if self._area in self.children:
                self._area.value = self.value
        elif name == "diagnostics":
            self._code.diagnostics = [{**one, "message": whole(one["message"])} for one in self.diagnostics]
        elif name == "completions":
            self._code.completions = self.completions
        else:
            self._area.description = self._code.label = self.label

    def _typed(self, text: str | None, submit: bool) -> None:
        if text is not None:
            self.value = text
        if submit:
            self._submitted(self)

    def _drawn(self) -> None:
        """The page has drawn the editor: the text area, which stood below, is not needed."""
        self.children = [self._code]

    def __repr__(self) -> str:
        """The text, and below it what is said of it."""
        said = self.diagnostics or parse(self.value).diagnostics
        lines = Lines(self.value)
        return "\n".join([cut(self.value, LONGEST, MOST_LINES), *(_said(one, lines) for one in said)])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


class _Code(Bundled):
    """The editor on the page, and the kernel's side of frontend/sharing.js.

    `version` counts the changes that were made here. What the page sends is taken only if it was typed on top
    of the newest of them, and is not sent back.
    """

    _css = ".payload-editor:has(.cm-editor) > .widget-textarea { display: none }"
    value = traitlets.Unicode().tag(sync=True, echo_update=False)
    version = traitlets.Int().tag(sync=True)
    diagnostics = traitlets.List(traitlets.Dict()).tag(sync=True)
    completions = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, typed: Callable[[str | None, bool], None], drawn: Callable[[], None]) -> None:
        super().__init__(kind="editor")
        self._typed, self._drawn = typed, drawn
        self._pieces: dict[Any, list[str]] = {}
        self.on_msg(self._hear)

    def replace(self, text: str) -> None:
        if text != self.value:
            with self.hold_sync():
                self.version += 1
                self.value = text

    def _hear(self, _: widgets.Widget, said: dict[str, Any], buffers: Any) -> None:
        if said["type"] == "here":
            self._drawn()
        elif said["type"] == "piece":
            self._pieces.setdefault(said["by"], []).append(said["text"])
        else:
            self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        pieces = self._pieces.pop(said["by"], [])
        if said["seen"] != self.version:
            return
        self.send({"type": "taken", "by": said["by"], "number": said["number"]})
        text = None
        if said["text"] is not None:
            text = "".join([*pieces, said["text"]])
            self.set_state({"value": text})  # as what comes from the page: not sent back to it
        self._typed(text, said["submit"])


def _said(one: Diagnostic, lines: Lines) -> str:
    line, column = lines.of(one["start"])
    message = re.sub(r"^Line \d+, column \d+: ", "", one["message"])
    return f"{line}:{column} {one['severity']}: {visible(message)}"
