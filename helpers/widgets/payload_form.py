"""A payload as a form: the fields a beginner changes, each with a switch that leaves it out of the JSON.

The JSON text is the truth. The form reads it, and writes a change by replacing only the place that changed:
what it does not know stays as it was typed, in its order and with its line breaks. While the text is no JSON,
the form can only be looked at.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import ipywidgets as widgets
import traitlets

from helpers import fields
from helpers.show import visible

from .json_text import Path, Scan, drop, put, scan
from .parts import with_twin
from .payload import known_models, parse, values

MISSING = object()
STYLE = "<style>.payload-form textarea { unicode-bidi: plaintext }</style>"  # right to left where it is so
EMPTY = '{\n  "model": "",\n  "messages": []\n}'
ROLES = ("user", "assistant", "system", "developer", "tool")
LABELS = {"description_width": "initial"}
FIELD = {"width": "19em"}
OWN = {"width": "auto", "align_self": "flex-start"}
WIDE = {"width": "95%"}
WRAP = {"flex_flow": "row wrap", "align_items": "center"}


class Row(NamedTuple):
    """One optional field: where it may stand in the payload (the first place for a new one), and its kind."""

    places: tuple[str, ...]
    kind: str  # number, whole, flag, lines, choice, format or text


CHAT = (
    Row(("temperature",), "number"),
    Row(("top_p",), "number"),
    Row(("max_completion_tokens", "max_tokens"), "whole"),
    Row(("stop",), "lines"),
    Row(("seed",), "whole"),
    Row(("reasoning_effort",), "choice"),
    Row(("response_format",), "format"),
    Row(("logprobs",), "flag"),
    Row(("top_logprobs",), "whole"),
    Row(("stream",), "flag"),
)
NATIVE = (
    Row(("options.temperature",), "number"),
    Row(("options.top_p",), "number"),
    Row(("options.top_k",), "whole"),
    Row(("options.num_predict",), "whole"),
    Row(("options.stop",), "lines"),
    Row(("options.seed",), "whole"),
    Row(("options.num_ctx",), "whole"),
    Row(("think",), "choice"),
    Row(("format",), "choice"),
    Row(("keep_alive",), "text"),
    Row(("stream",), "flag"),
)
ROWS = {
    "openai": CHAT,
    "ollama": tuple(row._replace(places=row.places[::-1]) for row in CHAT),  # max_tokens is the one it reads
    "": CHAT,
    "native": NATIVE,
}
FIRST = {  # what a field begins with when it is switched on
    "options.temperature": 0.7, "options.top_p": 0.9, "options.top_k": 40, "options.num_predict": 100,
    "options.seed": 1, "options.num_ctx": 4096, "options.stop": ["\n\n"],
}  # fmt: skip


class PayloadForm(widgets.VBox):
    """A form over `value`, the payload's JSON text, to be linked with an editor's: `traitlets.link`.

    `provider` and `path` say whose fields are shown, as in payload.lint().
    """

    value = traitlets.Unicode(EMPTY)
    provider = traitlets.Unicode("openai")
    path = traitlets.Unicode("/chat/completions")

    def __init__(self, value: str = EMPTY, **kwargs: Any) -> None:
        super().__init__(value=value, **kwargs)
        self.add_class("payload-form")
        self._busy = False
        self._status = widgets.HTML()
        self._model = widgets.Combobox(description="model", ensure_option=False, style=LABELS, layout=FIELD)
        self._texts: list[widgets.Textarea] = []
        self._messages: list[_Message] = []
        self._message_box = widgets.VBox()
        self._add = widgets.Button(description="Add a message", layout=OWN)
        self._rows: list[_Control] = []
        self._model.observe(lambda change: self._put("model", change.new), "value")
        self._add.on_click(lambda _: self._append())
        self.observe(lambda _: self._build(), ["provider", "path"])
        self.observe(lambda _: self._read(), "value")
        self._build()

    # --- from the JSON

    def _build(self) -> None:
        """The controls of this provider and path."""
        kind = fields.surface(self.provider, self.path)
        generate = self.path == "/api/generate"
        names = ("prompt", "system") if generate else ()
        self._texts = [_Text(name, self._put) for name in names]
        self._rows = [_Control(row, kind, self.path, self._put, self._drop) for row in ROWS[kind]]
        self._model.options = tuple(known_models(kind))
        rows = [row.box for row in self._rows]
        talk = self._texts if generate else [self._message_box, self._add]
        self.children = [widgets.HTML(STYLE), self._status, self._model, *talk, *rows]
        self._read()

    def _read(self) -> None:
        """Show what the JSON says."""
        parsed = parse(self.value)
        self._busy = True  # what the form shows now is no change of it
        try:
            if parsed.payload is None:
                reason = html.escape(visible(parsed.errors[0]["message"]))
                self._say(f"The form waits until the JSON is right. {reason}")
                self._disable()
            else:
                self._say("")
                self._show(parsed.payload)
        finally:
            self._busy = False

    def _say(self, words: str) -> None:
        color = "var(--jp-content-font-color1, inherit)"
        _set(self._status, value=f'<div role="status" style="color: {color}">{words}</div>')

    def _disable(self) -> None:
        controls = [part for one in self._messages for part in one.controls]
        controls += [part for row in self._rows for part in row.controls]
        for control in (self._model, self._add, *self._texts, *controls):
            _set(control, disabled=True)

    def _show(self, payload: dict[str, Any]) -> None:
        model = payload.get("model")
        model = model if isinstance(model, str) else ""
        _set(self._model, value=model, disabled=False)
        for text in self._texts:
            text.show(payload)
        self._show_messages(payload.get("messages", MISSING))
        for row in self._rows:
            row.show(payload, model)

    def _show_messages(self, messages: Any) -> None:
        listed = messages if isinstance(messages, list) else []
        _set(self._add, disabled=not isinstance(messages, list) and messages is not MISSING)
        if len(listed) != len(self._messages):
            kept = self._messages[: len(listed)]
            new = [_Message(n, self) for n in range(len(kept), len(listed))]
            self._messages = kept + new
            self._message_box.children = [message.box for message in self._messages]
        for message, said in zip(self._messages, listed, strict=True):
            message.show(said, last=message.number == len(listed) - 1)

    # --- to the JSON

    def _edit(self, change: Callable[[str, Scan], str]) -> None:
        if self._busy:
            return
        found = scan(self.value)
        if found.broken or not isinstance(found.value, dict):
            return
        new = change(self.value, found)
        if new != self.value:
            self.value = new

    def _put(self, place: str, value: Any) -> None:
        self._edit(lambda text, found: _put(text, found, tuple(place.split(".")), value))

    def _drop(self, place: str) -> None:
        self._edit(lambda text, found: drop(text, found, tuple(place.split("."))))

    def _put_message(self, number: int, name: str, value: Any) -> None:
        self._edit(lambda text, found: put(text, found, ("messages", number, name), value))

    def _append(self) -> None:
        def change(text: str, found: Scan) -> str:
            messages = found.value.get("messages", MISSING)
            new = {"role": _next_role(messages), "content": ""}
            if messages is MISSING:
                return put(text, found, ("messages",), [new])
            return put(text, found, ("messages", len(messages)), new)

        self._edit(change)

    def _remove(self, number: int) -> None:
        self._edit(lambda text, found: drop(text, found, ("messages", number)))

    def _swap(self, first: int) -> None:
        """Let message `first` and the one after it change places, each as it was typed."""

        def change(text: str, found: Scan) -> str:
            one, two = (found.places["messages", number] for number in (first, first + 1))
            between = text[one.end : two.start]
            swapped = text[two.start : two.end] + between + text[one.start : one.end]
            return text[: one.start] + swapped + text[two.end :]

        self._edit(change)

    # --- without a browser

    def __repr__(self) -> str:
        parsed = parse(self.value)
        if parsed.payload is None:
            told = parsed.errors[0]["message"]
            return f"{visible(self.value)}\n\nThe form waits until the JSON is right. {visible(told)}"
        shown = [("model", self._model.value)]
        shown += [(text.description, text.value) for text in self._texts]
        shown += [(f"message {one.number + 1}", one.words()) for one in self._messages]
        shown += [(row.name, row.words()) for row in self._rows]
        margin = max(len(name) for name, _ in shown) + 2
        lines = (f"{name:<{margin}}{visible(words)}".rstrip() for name, words in shown)
        return "\n".join([visible(self.value), "", *lines])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


def _put(text: str, found: Scan, path: Path, value: Any) -> str:
    if len(path) > 1 and path[:-1] not in found.places:
        return put(text, found, path[:-1], {path[-1]: value})
    return put(text, found, path, value)


def _next_role(messages: Any) -> str:
    last = messages[-1] if isinstance(messages, list) and messages else None
    return "assistant" if isinstance(last, dict) and last.get("role") == "user" else "user"


def _at(payload: Any, place: str) -> Any:
    for step in place.split("."):
        payload = payload.get(step, MISSING) if isinstance(payload, dict) else MISSING
    return payload


def _set(control: Any, **traits: Any) -> None:
    """Set only what differs: for what is there already nothing is sent, and no cursor jumps."""
    for name, value in traits.items():
        if getattr(control, name) != value:
            setattr(control, name, value)


class _Text(widgets.Textarea):
    """A text that is a field of its own: the prompt of /api/generate."""

    def __init__(self, name: str, write: Callable[[str, Any], None]) -> None:
        super().__init__(description=name, rows=3, style=LABELS, layout=WIDE)
        self.observe(lambda change: write(name, change.new), "value")

    def show(self, payload: dict[str, Any]) -> None:
        value = payload.get(self.description, "")
        _set(self, value=value if isinstance(value, str) else "", disabled=not isinstance(value, str))


class _Message:
    """One message: its role, its text, and buttons to move and remove it."""

    def __init__(self, number: int, form: PayloadForm) -> None:
        self.number, self.fits = number, True
        name = f"message {number + 1}"
        self.role = widgets.Dropdown(options=ROLES, description=f"{name}: role", style=LABELS, layout=FIELD)
        self.text = widgets.Textarea(
            description=f"{name}: text", rows=2, style=LABELS, layout={"width": "95%"}
        )
        self.more = widgets.Label()
        self.up = widgets.Button(description=f"Move {name} up", layout=OWN)
        self.down = widgets.Button(description=f"Move {name} down", layout=OWN)
        self.gone = widgets.Button(description=f"Remove {name}", layout=OWN)
        self.box = widgets.VBox(
            [widgets.HBox([self.role, self.up, self.down, self.gone], layout=WRAP), self.text, self.more],
            layout={"border_left": "3px solid var(--jp-border-color1)", "padding": "0 0 0 8px"},
        )
        self.role.observe(lambda change: form._put_message(number, "role", change.new), "value")
        self.text.observe(lambda change: form._put_message(number, "content", change.new), "value")
        self.up.on_click(lambda _: form._swap(number - 1))
        self.down.on_click(lambda _: form._swap(number))
        self.gone.on_click(lambda _: form._remove(number))

    def show(self, said: Any, last: bool) -> None:
        message = said if isinstance(said, dict) else {}
        self.fits = isinstance(said, dict)
        role, content = message.get("role"), message.get("content", "")
        known = isinstance(role, str)
        roles = ROLES if role in ROLES or not known else (*ROLES, role)
        _set(self.role, options=roles, value=role if known else None, disabled=not self.fits)
        plain = isinstance(content, str)
        _set(self.text, value=content if plain else "", disabled=not (self.fits and plain))
        more = self._more(message, content)
        _set(self.more, value=more)
        _set(self.more.layout, display=None if more else "none")
        _set(self.up, disabled=self.number == 0)
        _set(self.down, disabled=last)

    def _more(self, message: dict[str, Any], content: Any) -> str:
        if not self.fits:
            return "This message is no object; correct it in the JSON."
        words = []
        if isinstance(content, list):
            kinds = [str(part.get("type")) if isinstance(part, dict) else "?" for part in content]
            words.append(f"{len(content)} parts ({visible(', '.join(kinds))}), to be edited in the JSON")
        elif not isinstance(content, str):
            words.append("no text")
        others = [name for name in message if name not in ("role", "content")]
        if others:
            words.append(f"also {visible(', '.join(others))}")
        return "; ".join(words)

    @property
    def controls(self) -> tuple[Any, ...]:
        return self.role, self.text, self.up, self.down, self.gone

    def words(self) -> str:
        return " · ".join(part for part in (self.role.value or "?", self.text.value, self.more.value) if part)


class _Control:
    """One optional field: a switch whether it is sent, its value, and what is to be said of it."""

    def __init__(
        self, row: Row, kind: str, path: str, write: Callable[[str, Any], None], leave: Callable[[str], None]
    ) -> None:
        self.row, self.kind, self.path = row, kind, path
        self.place, self.write, self.leave = row.places[0], write, leave
        self.known = fields.request(kind or "openai", path if kind == "native" else "/chat/completions")
        self.schema: Any = None  # the last schema seen, so that switching to text and back loses nothing
        self.was_text = False
        self.fits = True
        self.on = widgets.Checkbox(indent=False, layout={"width": "17em"})
        self.field = self._made()
        self.note = widgets.Label()
        self.box = widgets.HBox([self.on, self.field, self.note], layout=WRAP)
        self._name()
        self.on.observe(lambda change: self._switched(change.new), "value")
        self.field.observe(lambda _: self._changed(), "value")

    @property
    def name(self) -> str:
        return self.place.rpartition(".")[2]

    def _made(self) -> Any:
        kind, first = self.row.kind, self._first()
        look = {"style": LABELS, "layout": FIELD}
        if kind == "number":
            return widgets.FloatText(value=first, step=0.1, **look)
        if kind == "whole":
            return widgets.IntText(value=first, **look)
        if kind == "flag":
            return widgets.Checkbox(value=True, indent=False, layout=FIELD)
        if kind in ("choice", "format"):
            field = "response_format.type" if kind == "format" else self.place
            words = [word for word, _ in values(self.known[field], self.kind or "openai")]
            return widgets.Dropdown(
                options=words, value="json_object" if kind == "format" else words[0], **look
            )
        if kind == "lines":
            return widgets.Textarea(value=_lines(first), rows=1, placeholder="one text a line", **look)
        return widgets.Text(value=first, **look)

    def _first(self) -> Any:
        if self.place in FIRST:
            return FIRST[self.place]
        example = self.known[self.place].example
        return json.loads(example) if example else None

    def _name(self) -> None:
        one = self.known[self.place]
        numeric = self.row.kind in ("number", "whole") and " to " in one.shape.range
        limits = f" ({one.shape.range})" if numeric else ""
        _set(self.on, description=f"send {self.name}", tooltip=one.meaning)
        _set(self.field, description=f"{self.name}{limits}", tooltip=one.meaning)

    # --- from the JSON

    def show(self, payload: dict[str, Any], model: str) -> None:
        there = [place for place in self.row.places if _at(payload, place) is not MISSING]
        self.place = there[0] if there else self.row.places[0]
        self._name()
        value = _at(payload, self.place)
        outer = payload.get("options", {}) if self.place.startswith("options.") else {}
        reachable = isinstance(outer, dict)
        self.fits = reachable and (value is MISSING or self._take(value))
        _set(self.on, value=bool(there), disabled=not reachable)
        _set(self.field, disabled=not there or not self.fits)
        _set(self.note, value=self._said(value, model, reachable))

    def _take(self, value: Any) -> bool:
        """Put a value of the JSON into the field; False if it is none of the field's kind."""
        kind, field = self.row.kind, self.field
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53
        if kind == "number" and number:
            _set(field, value=float(value))
        elif kind == "whole" and number and value == int(value):
            _set(field, value=int(value))
        elif kind == "flag" and isinstance(value, bool):
            _set(field, value=value)
        elif kind == "lines" and (isinstance(value, str) or _all_texts(value)):
            self.was_text = isinstance(value, str)
            if _texts(field.value) != ([value] if isinstance(value, str) else value):
                field.value = _lines(value)
        elif kind == "choice" and _word(value) in field.options:
            _set(field, value=_word(value))
        elif kind == "format" and isinstance(value, dict) and value.get("type") in field.options:
            self.schema = value if "json_schema" in value else self.schema
            _set(field, value=value["type"])
        elif kind == "text" and isinstance(value, str):
            _set(field, value=value)
        else:
            return False
        return True

    def _said(self, value: Any, model: str, reachable: bool) -> str:
        if not reachable:
            return "options is no object; correct it in the JSON"
        if value is not MISSING and not self.fits:
            shown = json.dumps(value, ensure_ascii=False)
            return f"is {visible(shown[:60])} in the JSON"
        if self.kind == "openai" and model in fields.refused_by(self.place):
            return f"{model} refuses it"
        one = self.known[self.place]
        return f"default: {one.default}" if value is MISSING and one.default else ""

    @property
    def controls(self) -> tuple[Any, ...]:
        return self.on, self.field

    # --- to the JSON

    def _switched(self, on: bool) -> None:
        if on:
            self.write(self.place, self._value())
        else:
            self.leave(self.place)

    def _changed(self) -> None:
        if self.on.value:
            self.write(self.place, self._value())

    def _value(self) -> Any:
        kind, value = self.row.kind, self.field.value
        if kind == "number":
            value = value if math.isfinite(value) else 0
            return int(value) if value == int(value) else value
        if kind == "lines":
            texts = _texts(value)
            return texts[0] if self.was_text and len(texts) == 1 else texts
        if kind == "choice":
            return {"true": True, "false": False}.get(value, value)
        if kind == "format":
            fresh = {"name": "answer", "schema": {"type": "object", "properties": {}}}
            schema = self.schema or {"type": "json_schema", "json_schema": fresh}
            return schema if value == "json_schema" else {"type": value}
        return value

    def words(self) -> str:
        if not self.on.value:
            return f"left out; {self.note.value}" if self.note.value else "left out"
        if not self.fits:
            return self.note.value
        value = self.field.value if self.row.kind == "format" else self._value()
        shown = json.dumps(value, ensure_ascii=False)
        return f"{shown}; {self.note.value}" if self.note.value else shown


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else ""


def _all_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _lines(value: str | list[str]) -> str:
    """Texts, one a line, their own line breaks and backslashes written out."""
    texts = [value] if isinstance(value, str) else value
    return "\n".join(json.dumps(one, ensure_ascii=False)[1:-1].replace('\\"', '"') for one in texts)


def _texts(lines: str) -> list[str]:
    """The texts of such lines; a line that is no JSON text counts as it stands."""
    made = []
    for line in lines.split("\n") if lines else []:
        try:
            made.append(str(json.loads('"' + line.replace('"', '\\"') + '"')))
        except ValueError:
            made.append(line)
    return made
