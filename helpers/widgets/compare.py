"""One payload in two to four variants, sent at the same time and seen side by side while they stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from helpers.errors import CourseError
from helpers.show import cut, visible

from . import runs
from .parts import button, safe, with_twin
from .runs import Run

if TYPE_CHECKING:
    from helpers.wire import Exchange

    from .sending import Sending

FEWEST, MOST = 2, 4
EVERY = 0.15  # seconds between two drawings of a column
TAIL, LONGEST = 2000, 20_000  # characters of a reply that are drawn while it grows, and at its end
MISSING = object()
NUMBERS = ("", "status", "first token", "total", "tokens/s", "tokens in", "tokens out", "finish_reason")
STYLE = """<style>
.compare .compare-grid {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17em), 1fr)); gap: 8px;
}
.compare .compare-column {
  border: 1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4));
  padding: 6px; min-width: 0; overflow: hidden;
}
.compare .widget-html, .compare .widget-html-content { width: 100%; height: auto; overflow: visible; }
.compare pre.compare-text, .compare pre.compare-differs {
  white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; unicode-bidi: plaintext;
  margin: 0; line-height: 1.4; overflow: visible;
  color: var(--jp-content-font-color1, inherit); background: transparent;
  font-family: var(--jp-content-font-family, sans-serif); font-size: var(--jp-content-font-size1, 14px);
}
.compare pre.compare-differs { font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.compare .compare-scroll { display: flex; max-height: 24em; overflow-y: auto; padding: 4px 0; }
.compare .compare-growing { flex-direction: column-reverse; }
.compare .compare-said, .compare table {
  color: var(--jp-content-font-color1, inherit); line-height: 1.4; overflow-wrap: anywhere;
}
.compare .compare-trouble { color: var(--jp-error-color1, inherit); }
.compare .compare-table { overflow-x: auto; }
.compare table { border-collapse: collapse; }
.compare th, .compare td { text-align: left; padding: 2px 12px 2px 0; white-space: nowrap; }
</style>"""
WRAP = {"flex_flow": "row wrap", "align_items": "center"}


class Compare(widgets.VBox):
    """`payload` in two to four variants: another model's name, or fields to change, `{"temperature": 1}`.

    A field that holds an object, such as Ollama's `options`, is changed inside. Every variant is streamed,
    unless payload or variant say otherwise. Each reply is kept as a run. Raises CourseError for too few or
    too many variants, or one of another kind.
    """

    def __init__(
        self,
        payload: Mapping[str, Any],
        variants: Sequence[str | Mapping[str, Any]],
        path: str = "/chat/completions",
        *,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        changes = _checked(variants)
        super().__init__(**kwargs)
        self.add_class("compare")
        self.payload, self.path, self.headers = payload, path, headers
        self.columns = [Column(self, number, change) for number, change in enumerate(changes, 1)]
        self._task: asyncio.Future[Any] | None = None
        self._send_all, self._stop_all = button("Send all", self.start), button("Stop all", self.stop)
        self._table = widgets.HTML()
        grid = widgets.Box([column.box for column in self.columns])
        grid.add_class("compare-grid")
        self.children = [
            widgets.HTML(STYLE),
            widgets.HBox([self._send_all, self._stop_all], layout=WRAP),
            grid,
            self._table,
        ]
        self._ready()

    def start(self) -> None:
        """Send all variants now, and return at once."""
        self._task = asyncio.ensure_future(self.run())

    def stop(self) -> None:
        """Hang up everywhere; what came stays."""
        for column in self.columns:
            column.stop()

    async def run(self) -> Compare:
        """Send all variants at the same time and wait until the last has ended; return the comparison."""
        if not any(column.going for column in self.columns):
            self._table.value = ""
            arrivals = [column.send() for column in self.columns]
            self._ready()
            try:
                await asyncio.wait(arrivals)
            except BaseException:  # the waiting cell was interrupted
                self.stop()
                raise
        return self

    def _ready(self) -> None:
        going = any(column.going for column in self.columns)
        self._send_all.disabled, self._stop_all.disabled = going, not going
        if not going and self.columns[0].sending is not None:
            self._table.value = self._numbers()

    def _numbers(self) -> str:
        heads = "".join(f'<th scope="col">{name}</th>' for name in NUMBERS)
        rows = "".join(
            f'<tr><th scope="row">{safe(column.name)}</th>'
            + "".join(f"<td>{safe(cell)}</td>" for cell in column.numbers())
            + "</tr>"
            for column in self.columns
        )
        return (
            '<div class="compare-table" tabindex="0" role="region" aria-label="Numbers of all variants">'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def __repr__(self) -> str:
        """What each variant changed and came to, without durations."""
        return "\n\n".join(column.words() for column in self.columns)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


class Column:
    """One variant: what it changes, its reply while it grows, its numbers."""

    def __init__(self, owner: Compare, number: int, change: dict[str, Any]) -> None:
        self._owner, self.change = owner, change
        self.name = f"{number}. {_named(change)}"
        self.payload = _merged(owner.payload, change)
        if not owner.path.startswith("/api/"):
            self._let_stream()
        self.sending: Sending | None = None
        self.kept: Run | None = None
        self.going = False
        self._began = 0.0
        self._text, self._state = widgets.HTML(), widgets.HTML()
        self._stop = button(f"Stop {number}", self.stop)
        self._stop.tooltip = f"Stop {_named(change)}"
        self._stop.disabled = True
        self._stop.layout.align_self = "flex-start"
        self._stopped = False
        differs = "\n".join(_differing(owner.payload, change))
        head = widgets.HTML(
            f'<div class="compare-said"><b>{safe(self.name)}</b></div>'
            f'<pre class="compare-differs" dir="auto">{safe(differs)}</pre>'
        )
        self.box = widgets.VBox([head, self._stop, self._state, self._text])
        self.box.add_class("compare-column")
        self._draw()

    @property
    def exchange(self) -> Exchange | None:
        return self.sending.exchange if self.sending else None

    def send(self) -> asyncio.Future[None]:
        """Begin; what is returned ends with the reply, whatever becomes of it."""
        from .sending import begin

        self.going, self._stopped, self.kept, self._began = True, False, None, perf_counter()
        self._stop.disabled = False
        self.sending = begin(
            self.payload, self._owner.path, headers=self._owner.headers, on_change=self._grown, every=EVERY
        )
        self._draw()
        return asyncio.ensure_future(self._arrived(self.sending))

    def stop(self) -> None:
        if self.going and self.sending is not None:
            self._stopped = True
            self.sending.stop()

    def numbers(self) -> tuple[str, ...]:
        """The cells of its row, in the order of NUMBERS after the first."""
        seen = self.exchange
        if seen is None or self.kept is None:
            return (self._ending(), *[""] * (len(NUMBERS) - 2))
        first, total = seen.timings.first_token, seen.timings.total
        prompt, reply = ("" if count is None else str(count) for count in self.kept.tokens)
        rate = _rate(self.kept.tokens[1], first, total)
        return (
            str(seen.reply.status), _seconds(first), _seconds(total), rate, prompt, reply,
            seen.finish_reason or self._ending(),
        )  # fmt: skip

    def words(self) -> str:
        """The column as plain text, without what varies between runs of the same replies."""
        facts = [self.name, *(f"  {line}" for line in _differing(self._owner.payload, self.change))]
        seen = self.exchange
        if seen is not None:
            prompt, reply = self.kept.tokens if self.kept else (None, None)
            facts.append(f"  → {seen.reply.status} {seen.reply.reason}".rstrip())
            facts += [f"  tokens: {prompt} + {reply}"] if reply is not None else []
            facts += [f"  finish_reason: {visible(seen.finish_reason)}"] if seen.finish_reason else []
            facts += [f"  {line}" for line in cut(_said(seen)).split("\n")]
        facts += [f"  {self._ending()}"] if self._ending() else []
        return "\n".join(facts)

    async def _arrived(self, sending: Sending) -> None:
        self.kept = await runs.arrived(sending)
        self.going = False
        self._stop.disabled = True
        self._draw()
        self._owner._ready()

    def _grown(self, sending: Sending) -> None:
        if self.sending is sending and self.going:
            self._draw()

    def _draw(self) -> None:
        seen = self.exchange
        text = _said(seen) if seen else ""
        if self.going and len(text) > TAIL:
            shown = f"… {visible(text[-TAIL:])}"
        else:
            shown = cut(text, LONGEST, LONGEST)
        growing = " compare-growing" * self.going  # its end stays in sight
        self._text.value = (
            f'<div class="compare-scroll{growing}" tabindex="0" role="region" '
            f'aria-label="Reply of {safe(self.name)}">'
            f'<pre class="compare-text" dir="auto">{safe(shown)}</pre></div>'
        )
        trouble = self._trouble()
        mark = (
            f'<div class="compare-said compare-trouble" role="alert">{safe(trouble)}</div>' if trouble else ""
        )
        self._state.value = f'<div class="compare-said">{safe(self._progress())}</div>{mark}'

    def _progress(self) -> str:
        seen = self.exchange
        if self.sending is None:
            return "not sent yet"
        if seen is None:
            return "waiting for the reply …" if self.going else "stopped" * self._stopped
        first = seen.timings.first_token
        parts = [f"status {seen.reply.status}"]
        parts += [f"first token after {_seconds(first)}"] if first is not None else []
        if self.going:
            parts.append(f"{len(seen.frames):,} frames")
            if first is not None and perf_counter() - self._began > first:
                parts.append(f"{len(seen.frames) / (perf_counter() - self._began - first):.0f} frames/s")
        elif self.kept:
            prompt, reply = self.kept.tokens
            rate = _rate(reply, first, seen.timings.total)
            parts += [f"{rate} tokens/s"] if rate else []
            parts += [f"tokens {prompt} + {reply}"] if reply is not None else []
            parts += [f"finish_reason {seen.finish_reason}"] if seen.finish_reason else []
            parts += ["stopped, what came is kept"] if self._stopped else []
        return " · ".join(parts)

    def _ending(self) -> str:
        return "stopped" if self._stopped and not self.going else self._trouble()

    def _trouble(self) -> str:
        """Why there is no (whole) reply, in one sentence."""
        if self.sending is None or self.going or self._stopped:
            return ""
        seen = self.exchange
        error = seen.error if seen else None
        said = error.get("message") if isinstance(error, dict) else error
        return cut(str(said or self.sending.trouble or (self.kept.trouble if self.kept else "")), 400, 4)

    def _let_stream(self) -> None:
        """Ask for a stream, with its token counts, where nobody said otherwise."""
        if self.payload.setdefault("stream", True) is True:
            self.payload.setdefault("stream_options", {"include_usage": True})


def _checked(variants: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(variants, (str, Mapping)) or not FEWEST <= len(variants) <= MOST:
        raise CourseError("Give a list of two to four variants: names of models, or fields to change.")
    changes: list[dict[str, Any]] = []
    for variant in variants:
        if not isinstance(variant, (str, Mapping)):
            raise CourseError(f"A variant is the name of a model or a dict of fields, not {variant!r}.")
        changes.append({"model": variant} if isinstance(variant, str) else dict(variant))
    return changes


def _merged(payload: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with a variant's fields; an object goes into the object that is there."""
    merged = {**payload, **change}
    for name, value in change.items():
        there = payload.get(name)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            merged[name] = {**there, **value}
    return merged


def _differing(payload: Mapping[str, Any], change: Mapping[str, Any]) -> list[str]:
    """What a variant changes, a line each: `temperature: 0 → 1`."""
    lines = []
    for name, value in change.items():
        there = payload.get(name, MISSING)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            lines += [f"{name}.{line}" for line in _differing(there, value)]
        elif there is MISSING:
            lines.append(f"{name}: {_short(value)} (added)")
        elif there != value:
            lines.append(f"{name}: {_short(there)} → {_short(value)}")
    return lines or ["the payload as it is"]


def _named(change: Mapping[str, Any]) -> str:
    """A few words for a column's head."""
    return cut(", ".join(_parts(change)) or "as it is", 60, 1)


def _parts(change: Mapping[str, Any]) -> list[str]:
    parts = []
    for name, value in change.items():
        if isinstance(value, Mapping):
            parts += _parts(value)
        else:
            parts.append(str(value) if name == "model" else f"{name} {_short(value)}")
    return parts


def _short(value: Any) -> str:
    try:
        return cut(json.dumps(value, ensure_ascii=False), 80, 1)
    except (TypeError, ValueError, RecursionError):
        return cut(repr(value), 80, 1)  # sending it says what is wrong


def _said(seen: Exchange) -> str:
    calls = [json.dumps(call, ensure_ascii=False) for call in seen.tool_calls]
    return "\n".join(part for part in (seen.text or seen.refusal or seen.thinking, *calls) if part)


def _rate(tokens: int | None, first: float | None, total: float | None) -> str:
    """Tokens a second after the first one."""
    if not tokens or first is None or total is None or total <= first:
        return ""
    return f"{tokens / (total - first):.0f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
