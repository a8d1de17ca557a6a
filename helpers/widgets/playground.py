"""The playground: a payload as text and as a form, sent and watched, every reply kept and compared."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import ipywidgets as widgets
import traitlets

from helpers import lanes, presets
from helpers.errors import CourseError
from helpers.presets import Preset
from helpers.show import cut, visible
from helpers.wire import Exchange

from . import drafts, runs
from .compare import Compare
from .drafts import Draft
from .parts import button, status, with_twin
from .payload import Parsed, completions, lint, parse
from .payload_editor import PayloadEditor
from .payload_form import PayloadForm
from .runs import Run
from .runs_view import RunsView
from .sending import Sending, begin
from .wire_view import WireView

PATHS = ("/chat/completions", "/api/chat", "/api/generate")
TITLES = ("Runs", "Compare")
FIRST_LINE = "a preset or a draft …"
VARIANTS = '{"temperature": 0}\n{"temperature": 1.5}'
LABELS = {"description_width": "initial"}
WRAP = {"flex_flow": "row wrap", "align_items": "center"}
STYLE = """<style>
.playground { color: var(--jp-ui-font-color1) }
.playground :is([role=status], [role=alert]) {
  line-height: 1.5; overflow-wrap: anywhere; color: var(--jp-ui-font-color1) }
.playground .playground-writing { gap: 12px }
.playground .playground-text { flex: 2 1 20em; min-width: min(100%, 18em) }
.playground .playground-form { flex: 3 1 30em; min-width: min(100%, 18em); max-height: 34em; overflow: auto;
  display: block;
  border-left: 1px solid var(--jp-border-color2); padding-left: 8px }
.playground .widget-html, .playground .widget-html-content { height: auto }
.playground .jupyter-widget-Collapse-header { color: var(--jp-ui-font-color1, inherit) }
</style>"""

Choice: TypeAlias = "Preset | Draft | str"  # what the menu has: a preset, a draft, or its first line


class Playground(widgets.VBox):
    """One payload, as text and as a form, to be sent as often as you like.

    `preset` is the name of a payload to begin with; without one it is the first that goes to `path`. In a
    cell, `text` is the payload as it is written, `await play.send()` does what Send does and `play.stop()`
    what Stop does; `exchange` is the last reply, also while it comes, and `kept` are the runs that were sent
    from here, the newest last.

    Raises CourseError if there is no such preset.
    """

    def __init__(self, preset: str | None = None, path: str = "/chat/completions", **kwargs: Any) -> None:
        first = _first(preset, path)
        self.kept: list[Run] = []
        self._sending: Sending | None = None
        self._compare: Compare | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._draft = drafts.new()
        self._given = first.text  # what was not typed here, and needs no draft
        self._busy = False

        self._menu = widgets.Dropdown(description="Begin with", style=LABELS, layout={"width": "26em"})
        self._about = widgets.HTML()
        self._name = widgets.Text(description="Name", style=LABELS, layout={"width": "16em"})
        self._path = widgets.Dropdown(
            description="Path", options=_paths(first.path), value=first.path, style=LABELS
        )
        self._editor = PayloadEditor(value=first.text, label="Payload, as JSON")
        self._form = PayloadForm(first.text, provider=_provider(), path=first.path)
        self._lint, self._said = widgets.HTML(), widgets.HTML()
        self._send_button, self._stop_button = (
            button("Send", self._begin),
            button("Stop", self.stop),
        )
        self._send_button.button_style, self._send_button.tooltip = (
            "primary",
            "Send (Ctrl+Enter or Cmd+Enter in the payload)",
        )
        self._stop_button.disabled = True
        self._view = WireView()
        self._runs = RunsView()
        self._variants = widgets.Textarea(
            value=VARIANTS,
            description="Variants, one a line: a model, or fields to change",
            rows=4,
            style=LABELS,
            layout={"width": "95%"},
        )
        self._compared = widgets.VBox([self._variants, button("Compare", self._begin_compare)])
        save = button("Save", self._save)
        save.tooltip = "Save the payload under this name"
        text = widgets.VBox(
            [
                self._editor,
                self._lint,
                widgets.HBox([self._send_button, self._stop_button], layout=WRAP),
                self._said,
            ]
        )
        text.add_class("playground-text")
        form = widgets.Box([self._form])
        form.add_class("playground-form")
        writing = widgets.HBox([text, form], layout={"flex_flow": "row wrap", "align_items": "flex-start"})
        writing.add_class("playground-writing")
        more = widgets.Accordion([self._runs, self._compared], titles=TITLES)
        super().__init__(
            [
                widgets.HTML(STYLE),
                widgets.HBox([self._menu, self._path, self._name, save], layout=WRAP),
                self._about,
                writing,
                self._view,
                more,
            ],
            **kwargs,
        )
        self.add_class("playground")
        traitlets.link((self._editor, "value"), (self._form, "value"))
        self._editor.on_submit(lambda *_: self._begin())
        self._editor.observe(lambda _: self._typed(), "value")
        self._path.observe(lambda _: self._moved(), "value")
        self._menu.observe(lambda change: self._load(change.new), "value")
        self._fill_menu()
        self._tell_about(first)
        self._moved()

    # --- from a cell

    @property
    def text(self) -> str:
        """The payload as it is written."""
        return self._editor.value

    @text.setter
    def text(self, text: str) -> None:
        self._editor.value = text

    @property
    def payload(self) -> dict[str, Any]:
        """What is written, as Python objects. Raises CourseError if it is no JSON object."""
        parsed = parse(self.text)
        if parsed.payload is None:
            raise CourseError(f"Nothing was sent. {visible(parsed.errors[0]['message'])}")
        return parsed.payload

    @property
    def path(self) -> str:
        """Where Send sends to, as send() takes it."""
        return self._path.value

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """What is said of the payload as it is written; see payload.lint()."""
        return self._linted().diagnostics

    @property
    def exchange(self) -> Exchange | None:
        """The last request and what came back so far."""
        return self._sending.exchange if self._sending else None

    async def send(self) -> Exchange:
        """Send what is written, wait until the reply ends, and keep it.

        Raises CourseError if the text is no JSON object, a reply is still coming, or none begins.
        """
        sending = self._on_its_way()
        arrived = self._hold(self._arrived(sending))
        await sending
        await arrived
        if sending.exchange is None:
            raise CourseError(sending.trouble)
        return sending.exchange

    def stop(self) -> None:
        """Hang up; what came stays. Without a reply that is coming, nothing happens."""
        if self._sending:
            self._sending.stop()
        if self._compare:
            self._compare.stop()

    def compare(self, *variants: str | dict[str, Any]) -> Compare:
        """The payload in two to four variants, yet to be sent: `await play.compare("a", "b").run()`."""
        self._compare = Compare(self.payload, variants, self.path)
        return self._compare

    # --- sending

    def _on_its_way(self) -> Sending:
        payload = self.payload
        if self._sending and not self._sending.done:
            raise CourseError("A reply is still coming. Stop it first, or wait for its end.")
        sending = self._sending = begin(payload, self.path, on_change=self._view.show)
        self._send_button.disabled, self._stop_button.disabled = True, False
        self._say("On its way … Stop ends it and keeps what came.")
        return sending

    def _begin(self) -> None:
        self._guarded(lambda: self._hold(self._arrived(self._on_its_way())))

    async def _arrived(self, sending: Sending) -> None:
        run = await runs.arrived(sending)
        self._send_button.disabled, self._stop_button.disabled = False, True
        said = sending.trouble
        if run is not None:
            self.kept.append(run)
            self._runs.refresh()
            said = run.trouble or f"{said} Kept among the runs: {run.status}.".strip()
        self._say(said)

    def _begin_compare(self) -> None:
        def work() -> None:
            comparison = self.compare(*map(_variant, filter(str.strip, self._variants.value.splitlines())))
            self._compared.children = (*self._compared.children[:2], comparison)
            comparison.start()

        self._guarded(work)

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do it, or say in one sentence why it cannot be done."""
        try:
            action()
        except CourseError as error:
            self._say(str(error), "alert")

    def _hold(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- writing

    def _typed(self) -> None:
        """Check what is written, and keep it as a draft."""
        parsed = self._linted()
        self._editor.diagnostics = parsed.diagnostics
        self._lint.value = status(_summary(parsed))
        if self.text != self._given:
            try:
                drafts.write(self._draft, self.text, self.path)
            except (OSError, ValueError):
                self._say(
                    "What you type cannot be kept as a draft: the course's folder cannot be written to."
                )

    def _moved(self) -> None:
        """The path is another one: so are the fields."""
        self._form.provider, self._form.path = _provider(), self.path
        self._editor.completions = completions(_provider(), self.path)
        self._typed()

    def _linted(self) -> Parsed:
        return lint(self.text, _provider(), "", self.path)

    # --- presets and drafts

    def _fill_menu(self) -> None:
        options: list[tuple[str, Choice]] = [(FIRST_LINE, FIRST_LINE)]
        options += [(f"{one.name}{' (yours)' if one.own else ''}", one) for one in _presets()]
        options += [(_name_of(draft), draft) for draft in drafts.load() if draft.file != self._draft]
        self._busy = True
        self._menu.options, self._menu.index = options, 0
        self._busy = False

    def _load(self, choice: Choice) -> None:
        if self._busy or isinstance(choice, str):
            return
        self._draft, self._given = drafts.new(), choice.text  # what was typed before stays in its own draft
        self._path.options = _paths(choice.path)
        self._path.value = choice.path
        self.text = choice.text
        self._tell_about(choice)
        self._fill_menu()

    def _tell_about(self, choice: Preset | Draft) -> None:
        self._about.value = status(choice.about if isinstance(choice, Preset) else _name_of(choice))

    def _save(self) -> None:
        def work() -> None:
            file = presets.save(self._name.value, self.text, self.path)
            self._fill_menu()
            self._say(f"Saved as {file.name}; it is in the menu.")

        self._guarded(work)

    def _say(self, sentence: str, role: str = "status") -> None:
        self._said.value = status(sentence, role)

    # --- without a browser

    def __repr__(self) -> str:
        """The payload, and the last request with its reply."""
        parts = [f"POST {self.path}", cut(self.text)]
        if self.exchange is not None:
            parts += ["", repr(self._view)]
        return "\n".join(parts)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


def _presets() -> presets.Presets:
    lane = lanes.chosen()
    return presets.load(lane.models if lane else None)


def _first(name: str | None, path: str) -> Preset:
    """The preset of this name; without a name the first that goes to this path."""
    every = _presets()
    for one in every:
        if one.name == name or (name is None and one.path == path):
            return one
    if name is None:
        return Preset("", "", path, {})
    raise CourseError(f"There is no preset {name!r}. There are: {', '.join(one.name for one in every)}.")


def _paths(path: str) -> tuple[str, ...]:
    return PATHS if path in PATHS else (*PATHS, path)


def _provider() -> str:
    """Whose rules the server at OPENAI_BASE_URL has; empty for one that the course has no rules of."""
    base, ollama = (os.environ.get(name, "").rstrip("/") for name in ("OPENAI_BASE_URL", "OLLAMA_HOST"))
    if ollama and base == f"{ollama}/v1":
        return "ollama"
    if "azure" in base:
        return "azure"
    return "openai" if base.endswith("/openai/v1") or "//api.openai.com" in base else ""


def _variant(line: str) -> str | dict[str, Any]:
    if not line.strip().startswith("{"):
        return line.strip()
    parsed = parse(line.strip())
    if parsed.payload is None:
        raise CourseError(f"This variant is no JSON: {cut(line.strip(), 60, 1)}")
    return parsed.payload


def _summary(parsed: Parsed) -> str:
    """What is to be said of a payload, in one line."""
    if not parsed.diagnostics:
        return "✓ Nothing to say against this payload."
    first = next(iter(parsed.errors), parsed.diagnostics[0])
    more = len(parsed.diagnostics) - 1
    mark = "✗" if first["severity"] == "error" else "!"
    return f"{mark} {visible(first['message'])}" + (f" (and {more} more)" if more else "")


def _name_of(draft: Draft) -> str:
    where = f" in {draft.notebook}" if draft.notebook else ""
    return f"draft of {draft.when} UTC{where}"
