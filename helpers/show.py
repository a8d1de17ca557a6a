"""How an Exchange is drawn, in a notebook and as plain text: one outline, two drawings.

Whatever came over the wire is escaped here. The drawing of an exchange holds nothing that varies when
the same request gets the same reply: no duration and no port. `timeline` draws the durations.
"""

from __future__ import annotations

import html
import json
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.frames import Frame
    from helpers.wire import Exchange

WIDTH = 88  # letters in a line of plain text
LONGEST, MOST_LINES = 1200, 16  # what is drawn of a reply
SHORTER = 300  # what is drawn of anything beside it
FIRST_FRAMES, LAST_FRAMES = 4, 3
TIMED_FRAMES = 20  # at either end of a timeline

# Line ends but LF, control characters, half characters, and marks that turn the direction of writing.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

LINE = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
CELL = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0; border: 0"
TABLE = (
    "border-collapse: collapse; border: 0; margin: 4px 0; font-size: inherit; "
    "color: var(--jp-content-font-color1, inherit)"
)
WORDS = (
    "white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; unicode-bidi: plaintext; color: inherit; "
    "background: transparent; font-family: var(--jp-code-font-family, monospace); font-size: inherit"
)


@dataclass(frozen=True)
class Drawing:
    """The same thing twice: as plain text and as HTML that needs neither script nor network."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


@dataclass
class _Outline:
    """What both drawings say: a heading, labelled texts, and a table of frames."""

    heading: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    caption: str = ""
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def exchange(seen: Exchange) -> Drawing:
    """Draw what was asked, what came back, and how it came."""
    outline = _Outline(heading(seen), _facts(seen))
    if seen.frames:
        count = len(seen.frames)
        outline.caption = f"{count:,} frame{'s' * (count != 1)}"
        outline.columns = ("frame", "adds")
        outline.rows = [
            (str(place), adds(frame)) if frame else ("…", "")
            for place, frame in ends(seen.frames, FIRST_FRAMES, LAST_FRAMES)
        ]
    return _drawn(outline)


def timeline(seen: Exchange) -> Drawing:
    """Draw when everything came, in seconds since the request was sent."""
    outline = _Outline(
        heading(seen), caption="seconds since the request was sent", columns=("seconds", "frame", "adds")
    )
    outline.rows = [(_seconds(seen.timings.first_byte), "", "the reply begins")]
    outline.rows += [
        (_seconds(frame.at), str(place), adds(frame)) if frame else ("…", "…", "")
        for place, frame in ends(seen.frames, TIMED_FRAMES, TIMED_FRAMES)
    ]
    outline.rows.append((_seconds(seen.timings.total), "", seen.broken or "the end"))
    return _drawn(outline)


def visible(text: str) -> str:
    """Return the text with what no screen shows, or what would steer one, written out as in Python."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def cut(text: str, longest: int = LONGEST, most_lines: int = MOST_LINES) -> str:
    """Return the text, shortened to some letters and lines; its end then says how much is missing."""
    kept = text[:longest]
    if kept.count("\n") >= most_lines:
        kept = "\n".join(kept.split("\n")[:most_lines])
    missing = len(text) - len(kept)
    return visible(kept) + (f" … {missing:,} more character{'s' * (missing != 1)}" if missing else "")


def heading(seen: Exchange) -> str:
    """Return `POST …/chat/completions → 200 OK`."""
    reply = seen.reply
    return cut(
        f"{seen.request.method} …{seen.request.path} → {reply.status} {reply.reason}".rstrip(), SHORTER, 1
    )


def parts(seen: Exchange) -> list[tuple[str, str]]:
    """Return what the message holds, each with its name, shortened: reply, thinking, tool calls …"""
    found = [
        ("thinking", cut(seen.thinking, SHORTER, 4)),
        ("reply", cut(seen.text)),
        ("refusal", cut(seen.refusal, SHORTER, 4)),
        *(("tool call", cut(_call(call), SHORTER, 4)) for call in seen.tool_calls[:4]),
        ("error", cut(_error(seen.error), LONGEST, 8)),
    ]
    return [(label, text) for label, text in found if text]


def _facts(seen: Exchange) -> list[tuple[str, str]]:
    facts = [("model", cut(seen.model or "", SHORTER, 1)), *parts(seen)]
    if not any(text for label, text in facts if label != "model") and not seen.frames:
        facts.append(("body", cut(_body(seen)) or "(empty)"))
    if seen.finish_reason and not seen.text and not seen.tool_calls and not seen.refusal:
        facts.append(("reply", "(empty)"))
    facts += [
        ("finish_reason", cut(str(seen.finish_reason or ""), SHORTER, 1)),
        ("usage", cut(counts(seen.usage or {}), SHORTER, 2)),
        ("incomplete", visible(seen.broken or "")),
        ("still open", "read on with `await exchange.read()`" if seen.streaming else ""),
    ]
    return [(label, text) for label, text in facts if text]


def _body(seen: Exchange) -> str:
    if seen.reply.json is not None:
        return json.dumps(_shortened(seen.reply.json), ensure_ascii=False, indent=2)
    return seen.reply.body[: 4 * LONGEST].decode(errors="replace")


def _shortened(value: Any) -> Any:
    """The value with its long lists of numbers, vectors as a rule, told by their length."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > 8 and all(isinstance(item, (int, float)) for item in value):
        return f"{len(value):,} numbers: {', '.join(map(str, value[:3]))}, …"
    return [_shortened(item) for item in value] if isinstance(value, list) else value


def _call(call: dict[str, Any]) -> str:
    function = call.get("function")
    if not isinstance(function, dict):
        return _compact(call)
    arguments = function.get("arguments", "")
    return f"{function.get('name')}({arguments if isinstance(arguments, str) else _compact(arguments)})"


def _error(error: Any) -> str:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return error if isinstance(error, str) else _compact(error) if error else ""
    rest = ", ".join(f"{key} {_compact(value)}" for key, value in error.items() if key != "message")
    return f"{error['message']}\n{rest}".rstrip()


def counts(usage: dict[str, Any]) -> str:
    """Return `prompt_tokens 8, completion_tokens 377 (reasoning_tokens 320)`, without details that are 0."""
    details = {
        name.removesuffix("_details"): counts({key: one for key, one in value.items() if one})
        for name, value in usage.items()
        if isinstance(value, dict)
    }
    return ", ".join(
        f"{name} {value} ({details[name]})" if details.get(name) else f"{name} {value}"
        for name, value in usage.items()
        if isinstance(value, int)
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def ends(frames: list[Frame], first: int, last: int) -> list[tuple[int, Frame | None]]:
    """The frames at both ends with their places from 1; (0, None) stands for those left out."""
    numbered = list(enumerate(frames, 1))
    if len(frames) <= first + last + 1:
        return [*numbered]
    return [*numbered[:first], (0, None), *numbered[-last:]]


def adds(frame: Frame) -> str:
    """Say in a few words what a frame adds to the message."""
    data, delta = frame.data, frame.delta
    if not isinstance(data, dict):
        return cut(frame.raw, 60, 1)
    if data.get("error"):
        return cut(f"error {_compact(data['error'])}", 100, 1)
    calls = delta.get("tool_calls")
    parts = [
        _compact(delta[key]) if key in ("content", "response", "text") else f"{key} {_compact(delta[key])}"
        for key in ("content", "response", "text", "thinking", "reasoning", "reasoning_content", "refusal")
        if delta.get(key)
    ]
    parts += (
        [f"tool call {_call(call)}" for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else []
    )
    parts += [f"finish_reason {delta['finish_reason']}"] if delta.get("finish_reason") else []
    parts += ["usage"] if data.get("usage") or data.get("eval_count") else []
    if not parts and delta.get("role"):
        parts = [f"role {delta['role']}"]
    return cut(", ".join(parts) or _compact(data), 60, 1)


def _drawn(outline: _Outline) -> Drawing:
    return Drawing(_as_text(outline), _as_html(outline))


def _as_text(outline: _Outline) -> str:
    lines = [outline.heading]
    margin = max((len(label) for label, _ in outline.facts), default=0) + 2
    for label, text in outline.facts:
        wrapped = [part for line in text.split("\n") for part in _wrapped(line, WIDTH - margin)]
        lines += [
            f"{label if not place else '':<{margin}}{part}".rstrip() for place, part in enumerate(wrapped)
        ]
    if outline.rows:
        lines += ["", outline.caption]
        table = [outline.columns, *outline.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(outline.columns) - 1)]
        for row in table:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, replace_whitespace=False, break_on_hyphens=False) or [""]


def _as_html(outline: _Outline) -> str:
    parts = [
        f'<div style="border-left: {LINE}; padding-left: 8px">',
        f"<div><strong>{_safe(outline.heading)}</strong></div>",
    ]
    if outline.facts:
        parts.append(f'<table style="{TABLE}"><tbody>')
        parts += [
            f'<tr><th scope="row" style="{CELL}">{_safe(label)}</th>'
            f'<td style="{CELL}"><pre style="{WORDS}" dir="auto">{_safe(text)}</pre></td></tr>'
            for label, text in outline.facts
        ]
        parts.append("</tbody></table>")
    if outline.rows:
        parts.append(
            f'<table style="{TABLE}">'
            f'<caption style="{CELL}; caption-side: top">{_safe(outline.caption)}</caption>'
        )
        heads = "".join(f'<th scope="col" style="{CELL}">{_safe(name)}</th>' for name in outline.columns)
        parts.append(f"<thead><tr>{heads}</tr></thead><tbody>")
        for row in outline.rows:
            cells = "".join(
                f'<td style="{CELL}"><code style="{WORDS}">{_safe(cell)}</code></td>' for cell in row
            )
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody></table>")
    return "\n".join([*parts, "</div>"])


def _safe(text: str) -> str:
    return html.escape(text)
