"""How an exchange is drawn, with the most hostile texts a model or a server can send."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from helpers import CourseError, Exchange, show, wire

CLIENT = httpx.Client
HOSTILE = (
    "</pre></td></table></div><script>alert(1)</script><img src=x onerror=alert(2)>"
    "&lt;b&gt; \"'` "
    "\x1b[31mred\x1b[0m \x00\x07\x08\x7f\x9b \ud83d \u202egnp.exe\u202c "
    "\u2066x\u2069 \u2028 \u2029 \r over\r\nnext"
)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Exchange]:
    """Make the exchange in which a server gives this reply."""

    def exchange(body: Any, *, status: int = 200, kind: str = "application/json", **more: Any) -> Exchange:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        reason = more.pop("reason", None)
        extensions = {"reason_phrase": reason} if reason else {}
        reply = httpx.Response(status, headers={"content-type": kind}, content=content, extensions=extensions)
        transport = httpx.MockTransport(lambda request: reply)
        monkeypatch.setattr(wire.httpx, "Client", lambda **options: CLIENT(transport=transport))
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:54321/v1")
        monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:54321")
        return wire.send({"model": "asked"}, **more)

    return exchange


class Reader(HTMLParser):
    """Fails on anything that is not a plain, closed table; gathers tags, attributes and text."""

    ALLOWED = {"div", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "code"}

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in self.ALLOWED, tag
        for name, value in attributes:
            assert name in {"style", "scope", "dir"}, name
            assert "url(" not in (value or "")
        self.open.append(tag)
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def drawn(exchange: Exchange) -> tuple[str, Reader]:
    text, html = repr(exchange), exchange._repr_html_()
    for drawing in (text, html, repr(exchange.timeline()), exchange.timeline()._repr_html_()):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", drawing)
        drawing.encode()
    Reader(exchange.timeline()._repr_html_())
    return text, Reader(html)


def chat(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **more}
    return {
        "id": "chatcmpl-1",
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 8,
            "completion_tokens": 377,
            "completion_tokens_details": {"reasoning_tokens": 320, "audio_tokens": 0},
            "total_tokens": 385,
        },
    }


def test_a_reply_is_shown_in_a_few_lines(make: Callable[..., Exchange]) -> None:
    text, html = drawn(make(chat("Octopuses have three hearts.")))
    assert text == (
        "POST …/chat/completions → 200 OK\n"
        "model          m-1\n"
        "reply          Octopuses have three hearts.\n"
        "finish_reason  stop\n"
        "usage          prompt_tokens 8, completion_tokens 377 (reasoning_tokens 320),\n"
        "               total_tokens 385"
    )
    for words in ("POST …/chat/completions → 200 OK", "Octopuses have three hearts.", "reasoning_tokens 320"):
        assert words in html.text


def test_nothing_that_varies_is_shown(make: Callable[..., Exchange]) -> None:
    frames = "".join(f"data: {json.dumps(chunk(word))}\n\n" for word in "abc").encode()
    for exchange in (make(chat("Hi")), make(frames, kind="text/event-stream")):
        for drawing in (repr(exchange), exchange._repr_html_()):
            assert "54321" not in drawing and not re.search(r"\d\.\d{2}", drawing.replace("0.4)", ""))


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "m-1",
        "choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": None}],
    }


SINKS: dict[str, dict[str, Any]] = {
    "reply": {"body": chat(HOSTILE)},
    "thinking": {"body": chat("x", reasoning=HOSTILE)},
    "refusal": {"body": chat("", refusal=HOSTILE)},
    "model": {"body": {**chat("x"), "model": HOSTILE}},
    "finish_reason": {"body": {"choices": [{"message": {"content": "x"}, "finish_reason": HOSTILE}]}},
    "usage": {"body": {**chat("x"), "usage": {HOSTILE: 1, "d": {HOSTILE: 2}}}},
    "tool": {"body": chat("x", tool_calls=[{"function": {"name": HOSTILE, "arguments": HOSTILE}}])},
    "tool object": {
        "body": chat("x", tool_calls=[{"function": {"name": "f", "arguments": {HOSTILE: HOSTILE}}}])
    },
    "tool nonsense": {"body": chat("x", tool_calls=[{HOSTILE: HOSTILE}, HOSTILE, None])},
    "error text": {"body": {"error": HOSTILE}, "status": 400},
    "error object": {"body": {"error": {"message": HOSTILE, "type": HOSTILE}}, "status": 400},
    "error list": {"body": {"error": [HOSTILE]}, "status": 400},
    "error page": {"body": HOSTILE.encode(errors="replace"), "status": 502, "kind": "text/html"},
    "body": {"body": {HOSTILE: [HOSTILE]}},
    "raw body": {"body": HOSTILE.encode(errors="replace") + b"\xff\xfe\x80", "kind": "text/plain"},
    "reason": {"body": {}, "reason": b"<script>alert(1)</script>"},
    "path": {"body": {}, "path": "/" + HOSTILE.encode("ascii", "ignore").decode().replace("\n", "")[:60]},
    "frame": {
        "body": b"".join(
            b"data: %s\n\n" % json.dumps(chunk(HOSTILE, thinking=HOSTILE)).encode() for _ in "abc"
        ),
        "kind": "text/event-stream",
    },
    "frame that is no JSON": {
        "body": b"data: " + HOSTILE.replace("\n", " ").encode(errors="replace") + b"\n\n",
        "kind": "text/event-stream",
    },
    "frame with an error": {
        "body": json.dumps({"error": {"message": HOSTILE}}).encode() + b"\n",
        "kind": "application/x-ndjson",
    },
}


@pytest.mark.parametrize("sink", SINKS)
def test_hostile_text_is_only_ever_text(make: Callable[..., Exchange], sink: str) -> None:
    try:
        exchange = make(**SINKS[sink])
    except CourseError:
        assert sink == "path"  # httpx refuses control characters there
        return
    text, html = drawn(exchange)
    if sink not in ("path", "usage"):
        assert "<script>" in text and "<script>" in html.text


SHAPELESS: list[Any] = [
    None,
    1,
    [],
    {},
    "x",
    [1, {"a": 2}],
    {"choices": None},
    {"choices": [1]},
    {"message": []},
]
SHAPELESS += [
    {"choices": [{"delta": 5, "message": 6}]},
    {"choices": [{"message": {"tool_calls": 5, "content": 7}}]},
]
SHAPELESS += [
    {"error": 5},
    {"usage": [1], "model": 5, "done": "x"},
    {"choices": [{"finish_reason": {"a": 1}}]},
]


@pytest.mark.parametrize("body", SHAPELESS)
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "text/event-stream", ""])
def test_no_shape_breaks_the_drawing(
    make: Callable[..., Exchange], body: Any, status: int, kind: str
) -> None:
    content = json.dumps(body).encode()
    drawn(make(b"data: " + content + b"\n\n" if "event" in kind else content, status=status, kind=kind))


def test_long_things_stay_below_a_screenful(make: Callable[..., Exchange]) -> None:
    long = "word " * 5_000
    text, html = drawn(
        make(chat(long, reasoning=long, refusal="line\n" * 999, tool_calls=[{"a": long}] * 50))
    )
    assert "… 23,800 more characters" in text and "… 23,800 more characters" in html.text
    assert text.count("\n") < 60 and max(map(len, text.split("\n"))) <= 100
    many = b"".join(b"data: %s\n\n" % json.dumps(chunk(f"w{place} ")).encode() for place in range(500))
    text, html = drawn(make(many, kind="text/event-stream"))
    assert "500 frames" in text and text.count("\n") < 40
    assert '"w0 "' in text and '"w499 "' in text and '"w250 "' not in text.partition("500 frames")[2]
    text, _ = drawn(make({"data": [{"embedding": [0.1] * 384}]}))
    assert "384 numbers" in text and text.count("\n") < 12


def test_the_end_of_a_cut_says_what_is_missing() -> None:
    assert show.cut("x" * 1300, 1200) == "x" * 1200 + " … 100 more characters"
    assert show.cut("ab", 1) == "a … 1 more character"
    assert show.cut("a\nb\nc", 10, 2) == "a\nb … 2 more characters"


def test_tables_have_headers_and_colours_follow_the_theme(make: Callable[..., Exchange]) -> None:
    body = b"".join(b"data: %s\n\n" % json.dumps(chunk(word)).encode() for word in "abc")
    exchange = make(body, kind="text/event-stream")
    _, html = drawn(exchange)
    scopes = [attributes.get("scope") for tag, attributes in html.tags if tag == "th"]
    assert "row" in scopes and scopes.count("col") == 2 and None not in scopes
    assert any(tag == "caption" for tag, _ in html.tags)
    for _, attributes in html.tags:
        for value in re.findall(
            r"(?:color|background|border[a-z-]*): ([^;]+)", attributes.get("style") or ""
        ):
            assert "var(--jp-" in value or value in ("inherit", "transparent", "0", "collapse"), value


def test_what_went_wrong_is_said_in_words(make: Callable[..., Exchange]) -> None:
    text, html = drawn(make({"error": {"message": "No such model", "code": "model_not_found"}}, status=404))
    assert (
        text == 'POST …/chat/completions → 404 Not Found\nerror  No such model\n       code "model_not_found"'
    )
    assert "error" in html.text
    cut_short = chat("")
    cut_short["choices"][0]["finish_reason"] = "length"
    text, _ = drawn(make(cut_short))
    assert re.search(r"reply +\(empty\)\nfinish_reason +length", text)
    assert "body  (empty)" in drawn(make(b""))[0]


def test_the_timeline_has_the_seconds(make: Callable[..., Exchange]) -> None:
    body = b"".join(b"data: %s\n\n" % json.dumps(chunk(word)).encode() for word in "ab") + b"data: [DONE]\n\n"
    lines = repr(make(body, kind="text/event-stream").timeline()).split("\n")
    assert lines[0] == "POST …/chat/completions → 200 OK" and "seconds" in lines[2]
    assert [re.sub(r"\d\.\d{3}", "T", line).split() for line in lines[4:]] == [
        ["T", "the", "reply", "begins"],
        ["T", "1", '"a"'],
        ["T", "2", '"b"'],
        ["T", "3", "[DONE]"],
        ["T", "the", "end"],
    ]
