"""The wire in one place: the payload, the bytes that were sent, the frames with their times, the message."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import httpx
import ipywidgets as widgets

from helpers import prices, show, twins
from helpers.wire import Exchange

from . import markdown
from .parts import safe, status, with_twin
from .sending import Sending

GROWING = 4000  # characters of a message that are drawn while it grows
LONGEST = 200_000  # and when it has ended
TICKS = 200  # frames on the time line
MOST_NODES, MOST_ITEMS, LONGEST_TEXT = 1500, 100, 400  # of a body's tree
MOST_TOKENS = 400  # on the heat strip
SHORTEST = 0.05  # seconds from which a speed says something
SURE = 0.9  # the probability from which a token is not worth a stop of the Tab key
SECTIONS = ("Request, as it was sent", "The same request elsewhere", "Reply: status, headers, body", "Tokens")
REQUEST, ELSEWHERE, REPLY, TOKENS = range(4)
NOTHING = "Nothing was sent yet."
COLUMNS = ("token", "probability", "instead of it")
LATER = "Here once the reply has ended."
STYLE = """<style>
.wire-view { color: var(--jp-content-font-color1, inherit) }
.wire-view .widget-html, .wire-view .widget-html-content { height: auto; max-width: 100% }
.wire-view .widget-html-content { line-height: 1.5; overflow-wrap: anywhere }
.wire-view .wire-message { flex: 2 1 24em; min-width: min(100%, 18em) }
.wire-view .wire-frames { flex: 1 1 22em; min-width: min(100%, 18em) }
.wire-view pre { white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0;
  unicode-bidi: plaintext; color: inherit; background: transparent;
  font-family: var(--jp-code-font-family, monospace) }
.wire-view .wire-scroll { max-height: 22em; overflow: auto }
.wire-view table { border-collapse: collapse }
.wire-view th, .wire-view td { text-align: left; vertical-align: top; padding: 1px 12px 1px 0; border: 0 }
.wire-view details { margin-left: 1em }
.wire-view summary { cursor: pointer; margin-left: -1em }
.wire-view :is(summary, .wire-scroll, .wire-token):focus-visible {
  outline: 2px solid var(--jp-brand-color1, currentColor) }
.wire-view .wire-token { position: relative; white-space: pre-wrap; border-bottom: solid transparent;
  font-family: var(--jp-code-font-family, monospace) }
.wire-view .wire-token > span { display: none; position: absolute; left: 0; top: 1.6em; z-index: 5;
  padding: 4px 8px; white-space: pre; color: var(--jp-ui-font-color1, canvastext);
  background: var(--jp-layout-color1, canvas);
  border: 1px solid var(--jp-border-color1, currentColor) }
.wire-view .wire-token:is(:hover, :focus) > span { display: block }
.wire-view svg { width: 100%; height: 34px; color: var(--jp-content-font-color1, currentColor) }
.wire-view .jupyter-widget-Collapse-header { color: var(--jp-ui-font-color1, inherit) }
.wire-view td:not(:last-child) pre { white-space: pre }
</style>"""


class Token(NamedTuple):
    """A token of the reply, its probability from 0 to 1, and what could have stood there instead."""

    text: str
    probability: float
    others: tuple[tuple[str, float], ...]


class WireView(widgets.VBox):
    """Everything about one exchange; `show()` it again while it grows. Its repr is the exchange's."""

    def __init__(self, exchange: Exchange | None = None, **kwargs: Any) -> None:
        self.exchange: Exchange | None = None
        self._trouble = ""
        self._ended = False
        self._gap = _Gap()
        self._head, self._phase = widgets.HTML(), widgets.HTML()
        self._message, self._parts = widgets.HTML(), widgets.HTML()
        self._as_markdown = widgets.Checkbox(
            description="Show as Markdown", indent=False, style={"description_width": "initial"}
        )
        self._as_markdown.observe(lambda _: self._draw_message(), "value")
        self._frames = widgets.HTML()
        self._sections = [widgets.HTML() for _ in SECTIONS]
        left = widgets.VBox([self._message, self._parts, self._as_markdown])
        left.add_class("wire-message")
        right = widgets.VBox([self._frames])
        right.add_class("wire-frames")
        super().__init__(
            [
                widgets.HTML(STYLE),
                self._head,
                self._phase,
                widgets.HBox([left, right], layout={"flex_flow": "row wrap"}),
                widgets.Accordion(self._sections, titles=SECTIONS, selected_index=None),
            ],
            **kwargs,
        )
        self.add_class("wire-view")
        self.show(exchange)

    def show(self, seen: Exchange | Sending | None) -> None:
        """Draw what is there by now; only what changed goes to the page."""
        sending = seen if isinstance(seen, Sending) else None
        exchange = sending.exchange if sending else seen if isinstance(seen, Exchange) else None
        self._trouble = sending.trouble if sending else ""
        self._ended = sending.done if sending else not (exchange and exchange.streaming)
        if exchange is not self.exchange:
            self.exchange, self._gap = exchange, _Gap()
            self._draw_request()
        self._head.value = f"<strong>{html.escape(' · '.join(self._heading()))}</strong>"
        self._phase.value = status(self._said())
        self._draw_message()
        self._frames.value = self._drawn_frames()
        self._draw_reply()

    def _heading(self) -> Iterator[str]:
        if self.exchange is None:
            return
        seen, timings = self.exchange, self.exchange.timings
        yield show.heading(seen)
        if timings.first_token is not None:
            yield f"first token after {timings.first_token:.2f} s"
        if timings.total is not None:
            yield f"all after {timings.total:.2f} s"
        written = (seen.usage or {}).get("completion_tokens") or (seen.usage or {}).get("eval_count")
        if timings.total and timings.first_token is not None and isinstance(written, int):
            took = timings.total - timings.first_token
            if took > SHORTEST:
                yield f"{(written - 1) / took:,.0f} tokens/s"

    def _said(self) -> str:
        """How far it is, in words that change seldom: a screen reader says each of them."""
        if self.exchange is None:
            waits = "" if self._ended else "Sent; waiting for the first byte …"
            return self._trouble or waits or NOTHING
        if not self._ended:
            return "The reply is coming …"
        trouble = self._trouble or self.exchange.broken
        return f"Incomplete: {trouble}." if trouble else "The reply is complete."

    def _draw_message(self) -> None:
        seen = self.exchange
        text = seen.text if seen else ""
        if not self._ended and len(text) > GROWING:
            shown = _words(f"… {len(text) - GROWING:,} characters before\n{text[-GROWING:]}")
        elif self._ended and self._as_markdown.value:
            shown = f'<div dir="auto">{markdown.html(text[:LONGEST])}</div>'
        else:
            shown = _words(show.cut(text, LONGEST, LONGEST))
        self._message.value = _box("message", shown if text else "<em>no words</em>") if seen else ""
        parts = [part for part in show.parts(seen) if part[0] != "reply"] if seen else []
        self._parts.value = _table(parts, "parts of the message")

    def _drawn_frames(self) -> str:
        seen = self.exchange
        if seen is None or not seen.frames:
            return ""
        self._gap.look(seen)
        rows = [
            (
                f"{frame.at:.3f}" if frame else "…",
                str(place) if frame else "",
                show.adds(frame) if frame else "",
            )
            for place, frame in show.ends(seen.frames, 6, 6)
        ]
        return _line(seen, self._gap) + _table(
            rows, f"{len(seen.frames):,} frames", ("seconds", "frame", "adds")
        )

    def _draw_request(self) -> None:
        seen = self.exchange
        if seen is None:
            for section in self._sections:
                section.value = LATER
            return
        request = seen.request
        self._sections[REQUEST].value = _told(
            f"{request.method} {request.url}", request.headers, len(request.content), _tree(request.payload)
        )
        programs = {
            "curl": twins.curl(seen),
            "Python, with httpx": twins.python(seen),
            "Python, with the openai client": twins.openai(seen),
            "the ollama command": twins.ollama(seen),
        }
        self._sections[ELSEWHERE].value = "".join(
            f"<details><summary>{name}</summary>{_words(program)}</details>"
            for name, program in programs.items()
        )

    def _draw_reply(self) -> None:
        seen = self.exchange
        if seen is None:
            return
        if not self._ended:
            self._sections[REPLY].value = self._sections[TOKENS].value = LATER
            return
        reply = seen.reply
        body = _words(show.cut(reply.body.decode(errors="replace"), 20_000, 400))
        self._sections[REPLY].value = _told(
            f"{reply.status} {reply.reason}",
            reply.headers,
            len(reply.body),
            body if reply.json is None else _tree(reply.json),
        )
        self._sections[TOKENS].value = _table(list(_account(seen)), "usage and cost") + _strip(tokens(seen))

    def __repr__(self) -> str:
        return repr(self.exchange) if self.exchange else self._trouble or NOTHING

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        drawn = self.exchange._repr_html_() if self.exchange else ""
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self), drawn)


def tokens(seen: Exchange) -> list[Token]:
    """The tokens of a reply that came with logprobs, in their order; none if it came without."""
    replies = [frame.data for frame in seen.frames] or [seen.reply.json]
    return [_token(one) for reply in replies for one in _logprobs(reply) if isinstance(one, dict)]


def _logprobs(reply: Any) -> list[Any]:
    """Chat Completions has them in the choice, Ollama beside the message."""
    if not isinstance(reply, dict):
        return []
    choices = reply.get("choices")
    if isinstance(choices, list):
        firsts = [one for one in choices if isinstance(one, dict) and one.get("index") in (0, None)]
        reply = firsts[0] if firsts else {}
    found = reply.get("logprobs")
    found = found.get("content") if isinstance(found, dict) else found
    return found if isinstance(found, list) else []


def _token(one: dict[str, Any]) -> Token:
    others = one.get("top_logprobs")
    pairs = [
        (str(other.get("token")), _probability(other))
        for other in (others if isinstance(others, list) else [])
        if isinstance(other, dict) and other.get("token") != one.get("token")
    ]
    return Token(str(one.get("token")), _probability(one), tuple(pairs))


def _probability(one: dict[str, Any]) -> float:
    logprob = one.get("logprob")
    return math.exp(min(logprob, 0.0)) if isinstance(logprob, (int, float)) else 0.0


class _Gap:
    """The longest wait between two frames of a stream that grows."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.before = 0  # the frame that was waited for, from 1
        self._seen = 1

    def look(self, seen: Exchange) -> None:
        for place in range(self._seen, len(seen.frames)):
            wait = seen.frames[place].at - seen.frames[place - 1].at
            if wait > self.seconds:
                self.seconds, self.before = wait, place + 1
        self._seen = max(len(seen.frames), 1)


def _line(seen: Exchange, gap: _Gap) -> str:
    """The frames on a time line, drawn, with the same in words."""
    frames, first = seen.frames, seen.timings.first_token
    end = max(frames[-1].at, 1e-9)
    step = max(1, len(frames) // TICKS)
    ticks = "".join(f"M{1000 * frame.at / end:.0f} 6v16" for frame in frames[::step])
    said = f"{len(frames):,} frames in {frames[-1].at:.2f} s"
    if first is not None:
        said += f"; the first token after {first:.2f} s"
    if gap.before:
        said += f"; the longest wait, {gap.seconds:.2f} s, before frame {gap.before:,}"
    mark = "" if first is None else f'<path d="M{1000 * first / end:.0f} 0v28" stroke-width="4"/>'
    return (
        f'<svg viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" aria-label="{said}" fill="none" '
        f'stroke="currentColor"><path d="M0 14h1000" stroke-width="1"/><path d="{ticks}" stroke-width="2"/>'
        f"{mark}</svg><div>{said}</div>"
    )


def _account(seen: Exchange) -> Iterator[tuple[str, str]]:
    if seen.usage:
        yield "usage", show.counts(seen.usage)
    cost = prices.cost(seen.model, seen.usage)
    if cost:
        scripted = "x-practice" in seen.reply.headers
        words = "would be, where it is sold" if scripted else "is"
        yield (
            "cost",
            f"{words} {cost.dollars:.8f} dollars, at second-hand prices of {cost.date}: {cost.source}",
        )


def _rows(found: list[Token]) -> list[tuple[str, str, str]]:
    return [
        (json.dumps(one.text, ensure_ascii=False), _percent(one.probability), _others(one)) for one in found
    ]


def _strip(found: list[Token]) -> str:
    if not found:
        return "<div>No logprobs came; ask for them with <code>logprobs</code>.</div>"
    shown = "".join(map(_drawn_token, found[:MOST_TOKENS]))
    left = f"<div>… {len(found) - MOST_TOKENS:,} more tokens</div>" if len(found) > MOST_TOKENS else ""
    unsure = sorted(found[:MOST_TOKENS], key=lambda one: one.probability)[:5]
    table = _table(_rows(unsure), "least sure of", COLUMNS)
    all_of_them = _table(_rows(found[:MOST_TOKENS]), "tokens", COLUMNS)
    every = f"<details><summary>every token</summary>{all_of_them}</details>"
    return f'<div dir="auto" role="group" aria-label="tokens of the reply">{shown}</div>{left}{table}{every}'


def _drawn_token(one: Token) -> str:
    """The less sure, the thicker its line and the warmer its ground; focus and mouse bring the numbers."""
    doubt = 1 - one.probability
    style = (
        f"border-bottom: {1 + round(4 * doubt)}px solid currentColor; "
        f"background: color-mix(in srgb, var(--jp-warn-color1, orange) {round(60 * doubt)}%, transparent)"
    )
    said = f"{_percent(one.probability)}; instead of it: {_others(one) or 'nothing was told'}"
    stop = ' tabindex="0"' if one.probability < SURE else ""
    return (
        f'<span class="wire-token" style="{style}"{stop}>{safe(one.text)}'
        f"<span>{html.escape(said)}</span></span>"
    )


def _others(one: Token) -> str:
    pairs = (f"{json.dumps(text, ensure_ascii=False)} {_percent(value)}" for text, value in one.others)
    return show.visible(", ".join(pairs))


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _tree(value: Any) -> str:
    """JSON as nested <details>, open at the top, bounded in every direction."""
    nodes = iter(range(MOST_NODES))
    return _box("JSON", _node("", value, nodes, 0))


def _node(name: str, value: Any, nodes: Iterator[int], depth: int) -> str:
    label = f"{html.escape(show.cut(name, 100, 1))}: " if name else ""
    if next(nodes, None) is None:
        return "<div>… more than can be drawn</div>"
    if isinstance(value, (dict, list)) and value:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        kind = f"{{{len(pairs)}}}" if isinstance(value, dict) else f"[{len(pairs)}]"
        inner = "".join(_node(str(key), item, nodes, depth + 1) for key, item in pairs[:MOST_ITEMS])
        left = f"<div>… {len(pairs) - MOST_ITEMS:,} more</div>" if len(pairs) > MOST_ITEMS else ""
        opened = " open" if depth < 3 else ""
        return f"<details{opened}><summary>{label}{kind}</summary>{inner}{left}</details>"
    shown = show.cut(json.dumps(value, ensure_ascii=False), LONGEST_TEXT, 12)
    return f'<div dir="auto">{label}<code>{html.escape(shown)}</code></div>'


def _told(line: str, headers: httpx.Headers, size: int, body: str) -> str:
    """A request or a reply from top to bottom."""
    return _words(line) + _table(headers.multi_items(), "headers") + _words(f"{size:,} bytes:") + body


def _table(rows: Sequence[tuple[str, ...]], caption: str, heads: tuple[str, ...] = ()) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td><pre dir="auto">{safe(cell)}</pre></td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table aria-label="{html.escape(caption)}">{f"<thead><tr>{head}</tr></thead>" if head else ""}'
        f"<tbody>{body}</tbody></table>"
    )


def _box(label: str, inner: str) -> str:
    return f'<div class="wire-scroll" tabindex="0" role="group" aria-label="{label}">{inner}</div>'


def _words(text: str) -> str:
    return f'<pre dir="auto">{safe(text)}</pre>'
