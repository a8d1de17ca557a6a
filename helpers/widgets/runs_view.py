"""The kept runs as a list to choose from: one chosen is looked at, two are held against each other."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from helpers.errors import CourseError
from helpers.practice.process import course_home
from helpers.show import visible

from . import runs
from .parts import button, status, with_twin
from .runs import Run

if TYPE_CHECKING:
    from helpers.wire import Exchange

    from .sending import Sending

PAGE = 10  # runs shown at once
WORDS, NOTE = 40, 30  # characters of a reply and of a note in a row
COLUMNS = ("time", "pin", "status", "path", "model", "tokens", "first words", "note")
INDENT = 22  # pixels that a row's box takes before its text
STYLE = f"""<style>
.runs-view .runs-table {{ overflow-x: auto; }}
.runs-view .runs-head, .runs-view .runs-row .widget-label-basic {{
  font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px);
  white-space: pre; overflow: visible; text-overflow: clip; color: var(--jp-content-font-color1, inherit);
}}
.runs-view .runs-head {{ padding-left: {INDENT}px; font-weight: bold; }}
.runs-view .runs-row {{ width: max-content; max-width: none; overflow: visible; }}
.runs-view .runs-row:focus-within {{ outline: 2px solid var(--jp-brand-color1, currentColor); }}
.runs-view :is(.runs-said, [role=status]) {{
  color: var(--jp-content-font-color1, inherit); overflow-wrap: anywhere;
}}
</style>"""
LABELS = {"description_width": "initial"}
WRAP = {"flex_flow": "row wrap", "align_items": "center"}
HINT = "Choose one run to look at it, two to see what differs."


class RunsView(widgets.VBox):
    """What every notebook of this course sent and kept; `folder` is where fixtures are written."""

    def __init__(self, folder: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_class("runs-view")
        self.folder = folder or course_home() / "fixtures"
        self._all: list[Run] = []
        self._chosen: list[str] = []
        self._first = 0  # of the page, in what the filter leaves
        self._busy = False
        self._sending: Sending | None = None
        self._tasks: set[asyncio.Future[None]] = set()
        self._build()
        self.refresh()

    def refresh(self) -> None:
        """Read the list again: another notebook may have sent something."""
        self._guarded(self._read)

    def choose(self, *chosen: Run) -> None:
        """Choose these runs, as a tick before each of them does."""
        self._chosen = [run.id for run in chosen]
        self._draw()
        self._guarded(self._look)

    def next_cell(self) -> None:
        """Put the chosen run into a new cell below the one that calls this, as plain httpx."""
        from IPython import get_ipython

        shell = get_ipython()
        text = runs.as_cell(self._one())
        if shell is None:
            print(text)
        else:
            shell.set_next_input(text)

    # --- the controls

    def _build(self) -> None:
        self._filter = widgets.Text(
            description="Filter", placeholder="a word of model, reply, note …", style=LABELS
        )
        self._newer, self._older = (
            self._button("Newer", self._turn(-PAGE)),
            self._button("Older", self._turn(PAGE)),
        )
        again = self._button("Refresh", self._read)
        self._count = widgets.HTML()
        self._head = widgets.HTML()
        self._rows = [
            widgets.Checkbox(indent=False, layout={"width": "max-content", "display": "none"})
            for _ in range(PAGE)
        ]
        table = widgets.VBox([self._head, *self._rows])
        table.add_class("runs-table")
        self._pin = self._button("Pin", self._pin_chosen)
        self._note = widgets.Text(description="Note", continuous_update=False, style=LABELS)
        self._replay = self._button("Send again", self._send_again)
        self._stop = self._button("Stop", self._hang_up)
        self._cell = self._button("As a cell", self._as_cell)
        self._fixture = self._button("As a fixture", self._as_fixture)
        self._delete = self._button("Delete …", self._ask)
        self._sure = self._button("Delete for good", self._remove)
        self._keep = self._button("Keep", self._spare)
        self._sure.button_style = "danger"
        self._confirm = widgets.HBox([self._sure, self._keep], layout={**WRAP, "display": "none"})
        self._said = widgets.HTML()
        self._detail = widgets.VBox()
        self._filter.observe(lambda _: self._filtered(), "value")
        self._note.observe(lambda change: self._guarded(lambda: self._write(change.new)), "value")
        for place, row in enumerate(self._rows):
            row.add_class("runs-row")
            row.observe(lambda change, place=place: self._ticked(place, change.new), "value")
        self.children = [
            widgets.HTML(STYLE),
            widgets.HBox([self._filter, again, self._newer, self._older, self._count], layout=WRAP),
            table,
            widgets.HBox(
                [self._pin, self._note, self._replay, self._stop, self._cell, self._fixture, self._delete],
                layout=WRAP,
            ),
            self._said,
            self._confirm,
            self._detail,
        ]

    def _button(self, name: str, action: Callable[[], None]) -> widgets.Button:
        return button(name, lambda: self._guarded(action))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do it, or say in one sentence why it cannot be done."""
        try:
            action()
        except CourseError as error:
            self._say(str(error))

    def _say(self, words: str) -> None:
        self._said.value = status(words)

    # --- the list

    def _read(self) -> None:
        self._all = runs.every()
        there = {run.id for run in self._all}
        self._chosen = [id for id in self._chosen if id in there]
        self._draw()

    def _fitting(self) -> list[Run]:
        wanted = self._filter.value.casefold().split()
        return [run for run in self._all if all(word in _haystack(run) for word in wanted)]

    def _filtered(self) -> None:
        self._first = 0
        self._draw()

    def _turn(self, step: int) -> Callable[[], None]:
        def turn() -> None:
            self._first += step
            self._draw()

        return turn

    def _draw(self) -> None:
        """Show the page of the list, and what can be done with what is chosen."""
        fitting = self._fitting()
        self._first = max(0, min(self._first, (len(fitting) - 1) // PAGE * PAGE))
        page = self._page = fitting[self._first : self._first + PAGE]
        head, *lines = _columns([COLUMNS, *(_cells(run) for run in page)])
        self._busy = True  # a tick that is drawn is nobody's choice
        try:
            self._head.value = f'<div class="runs-head">{html.escape(head)}</div>' if page else ""
            for row, run, line in zip(self._rows, page, lines, strict=False):
                row.description, row.value = line, run.id in self._chosen
            for place, row in enumerate(self._rows):
                row.layout.display = None if place < len(page) else "none"
            chosen = self._chosen_runs()
            self._note.value = chosen[0].note if len(chosen) == 1 else ""
        finally:
            self._busy = False
        shown = f"{self._first + 1}–{self._first + len(page)} of {len(fitting)}" if page else "no runs"
        self._count.value = f'<span class="runs-said">{shown}</span>'
        self._newer.disabled, self._older.disabled = self._first == 0, self._first + PAGE >= len(fitting)
        self._enable(chosen)

    def _enable(self, chosen: list[Run]) -> None:
        going = self._sending is not None
        for control in (self._note, self._cell, self._fixture):
            control.disabled = len(chosen) != 1
        self._replay.disabled, self._stop.disabled = going or len(chosen) != 1, not going
        self._pin.disabled = self._delete.disabled = not chosen
        self._pin.description = "Unpin" if chosen and all(run.pinned for run in chosen) else "Pin"
        self._confirm.layout.display = "none"

    def _ticked(self, place: int, ticked: bool) -> None:
        if self._busy:
            return
        id = self._page[place].id
        self._chosen = [one for one in self._chosen if one != id] + [id] * ticked
        self._draw()
        self._guarded(self._look)

    def _chosen_runs(self) -> list[Run]:
        """What is chosen, the newest first."""
        return [run for run in self._all if run.id in self._chosen]

    def _one(self) -> Run:
        chosen = self._chosen_runs()
        if len(chosen) != 1:
            raise CourseError("Choose one run for this.")
        return chosen[0]

    # --- what is chosen

    def _look(self) -> None:
        """Show the one, or what differs between the two."""
        chosen = self._chosen_runs()
        self._detail.children = ()
        self._say(
            {0: HINT, 1: chosen[0].trouble if chosen else "", 2: ""}.get(
                len(chosen), "More than two are chosen."
            )
        )
        if len(chosen) == 1:
            self._detail.children = (_wire_view(chosen[0].exchange),)
        elif len(chosen) == 2:
            newer, older = chosen
            self._detail.children = _differences(older, newer)

    def _pin_chosen(self) -> None:
        chosen = self._chosen_runs()
        pinned = not all(run.pinned for run in chosen)
        for run in chosen:
            runs.pin(run, pinned)
        self._draw()

    def _write(self, text: str) -> None:
        if not self._busy:
            runs.note(self._one(), text)
            self._draw()

    def _ask(self) -> None:
        chosen = self._chosen_runs()
        pinned = sum(run.pinned for run in chosen)
        self._say(f"Delete {_many(len(chosen))}{f', {pinned} of them pinned' if pinned else ''}?")
        self._confirm.layout.display = None

    def _remove(self) -> None:
        chosen = self._chosen_runs()
        for run in chosen:
            runs.remove(run)
        self._read()
        self._look()
        self._say(f"{_many(len(chosen))} deleted.")

    def _spare(self) -> None:
        self._confirm.layout.display = "none"
        self._say("Nothing was deleted.")

    def _as_cell(self) -> None:
        text = runs.as_cell(self._one())
        self._detail.children = (
            widgets.Textarea(
                value=text,
                description="Cell",
                rows=text.count("\n") + 1,
                style=LABELS,
                layout={"width": "95%"},
            ),
        )
        self._say("Copy this into a new cell: it sends the request again, with plain httpx.")

    def _as_fixture(self) -> None:
        run = self._one()
        path = _write_new(self.folder, f"run-{run.id}", json.dumps(runs.as_fixture(run), indent=1) + "\n")
        self._say(f"Written to {path}. In a test, httpx.Response(**fixture['reply']) is the reply.")

    # --- sending again

    def _send_again(self) -> None:
        run = self._one()
        self._sending = runs.replay(run, on_change=lambda sending: view.show(sending))
        view: Any = _wire_view(None)
        self._detail.children = (view,)
        self._say("On its way …")
        self._enable([run])
        task = asyncio.ensure_future(self._arrived(run, self._sending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _arrived(self, run: Run, sending: Sending) -> None:
        new = await runs.arrived(sending)
        self._sending = None
        if new is None:
            self._draw()
            self._say(sending.trouble)
            return
        self.refresh()
        self.choose(run, new)
        self._say(new.trouble or sending.trouble or "Sent again and kept. What differs between then and now:")

    def _hang_up(self) -> None:
        if self._sending is not None:
            self._sending.stop()

    # --- without a browser

    def __repr__(self) -> str:
        """The list without its times, and what is chosen."""
        fitting = self._fitting()
        if not fitting:
            return "no runs"
        lines = _columns([COLUMNS[1:], *(_cells(run)[1:] for run in fitting[:PAGE])])
        more = [f"… {len(fitting) - PAGE} more"] if len(fitting) > PAGE else []
        return "\n".join([*lines, *more, *(f"\n{part!r}" for part in self._detail.children)])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


def _haystack(run: Run) -> str:
    return " ".join([*_cells(run), run.words, run.note]).casefold()


def _cells(run: Run) -> tuple[str, ...]:
    """A run's row, in the order of COLUMNS."""
    prompt, reply = ("?" if count is None else str(count) for count in run.tokens)
    return (
        _local(run.when),
        "★" if run.pinned else "",
        str(run.status),
        _cut(run.path, WORDS),
        _cut(run.model, WORDS),
        "" if run.tokens == [None, None] else f"{prompt}+{reply}",
        _cut(run.words, WORDS),
        _cut(run.note, NOTE),
    )


def _local(when: str) -> str:
    """A time of UTC in the learner's own zone."""
    try:
        return datetime.fromisoformat(when.replace("Z", "+00:00")).astimezone().strftime("%m-%d %H:%M:%S")
    except ValueError:
        return when


def _cut(text: str, longest: int) -> str:
    text = visible(text).replace("\n", " ")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as lines of columns of equal width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _many(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _wire_view(exchange: Exchange | None) -> Any:
    from .wire_view import WireView

    return WireView(exchange)


def _differences(older: Run, newer: Run) -> tuple[Any, Any]:
    from .difference import Difference

    names = f"the earlier run ({older.model})", f"the later run ({newer.model})"
    sides = [run.exchange for run in (older, newer)]

    def difference(what: str, said: Callable[[Exchange], str]) -> Any:
        left, right = (f"{what} of {name}" for name in names)
        return Difference(*map(said, sides), left_label=left, right_label=right)

    return difference("payload", _payload), difference("reply", _reply)


def _payload(exchange: Exchange) -> str:
    return json.dumps(exchange.request.payload, ensure_ascii=False, indent=2)


def _reply(exchange: Exchange) -> str:
    """The reply in words, and the facts about it a line each."""
    facts = {
        "status": exchange.reply.status,
        "model": exchange.model,
        "finish_reason": exchange.finish_reason,
        "tool_calls": exchange.tool_calls,
        "refusal": exchange.refusal,
        "error": exchange.error,
        **{f"usage.{name}": count for name, count in (exchange.usage or {}).items()},
        "incomplete": exchange.broken,
    }
    lines = [f"{name}: {json.dumps(fact, ensure_ascii=False)}" for name, fact in facts.items() if fact]
    return "\n".join([*lines, "", exchange.text])


def _write_new(folder: Path, name: str, text: str) -> Path:
    """Write a file that was not there before, and return its path. Raises CourseError."""
    number = 1
    while True:
        path = folder / f"{name}{f'-{number}' if number > 1 else ''}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(path, "x", encoding="utf-8") as stream:
                stream.write(text)
            return path
        except FileExistsError:
            if not path.exists():
                raise CourseError(f"{folder} is no folder. Move that file away.") from None
            number += 1
        except OSError as error:
            raise CourseError(f"{folder} cannot be written ({error.strerror or error}).") from None
