"""The wire view says what the exchange says, costs no more than it must, and shows words as words."""

from __future__ import annotations

import asyncio
import html
import re
from typing import Any

import pytest

from helpers import Exchange, prices, send, stream
from helpers.widgets import WireView, markdown, sending, wire_view

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> [x](javascript:alert(3)) ![y](http://127.0.0.1:9/z)"


@pytest.fixture(autouse=True)
def variables(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice-wireview")
    monkeypatch.setenv("OLLAMA_HOST", url)


def payload(words: str = "Why is the sky blue?", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": words}], **more}


def streamed(asked: dict[str, Any], path: str = "/chat/completions") -> Exchange:
    async def run() -> Exchange:
        return await (await stream({**asked, "stream": True}, path)).read()

    return asyncio.run(run())


def drawn(view: WireView) -> str:
    """All that is on the page, the markup and what it shows."""
    found, left = [], [view]
    while left:
        one: Any = left.pop()
        left += getattr(one, "children", ())
        found.append(getattr(one, "value", "") if "HTML" in type(one).__name__ else "")
    return "\n".join(found)


def test_everything_of_an_exchange_is_there() -> None:
    exchange = streamed(payload(logprobs=True, top_logprobs=2, stream_options={"include_usage": True}))
    shown = html.unescape(drawn(WireView(exchange)))
    for words in (
        exchange.text, "first token after", "[OPENAI_API_KEY]", 'curl -sSN "$OPENAI_BASE_URL',
        "client.chat.completions.create(", "x-request-id", "prompt_tokens 14", "second-hand prices of",
        f"{len(exchange.frames)} frames in", "least sure of",
    ):  # fmt: skip
        assert words in shown, words
    assert "wireview" not in shown


def test_its_text_is_the_exchange_and_says_so_when_nothing_was_sent() -> None:
    exchange = send(payload())
    bundle = WireView(exchange)._repr_mimebundle_()
    assert bundle["text/plain"] == repr(exchange) and bundle["text/html"] == exchange._repr_html_()
    assert repr(WireView()) == "Nothing was sent yet."


def test_trouble_is_told_and_what_came_stays() -> None:
    async def run() -> tuple[WireView, sending.Sending]:
        view = WireView()
        cut = await sending.begin(
            payload(stream=True), headers={"x-practice-fault": "cut; after=5"}, on_change=view.show
        )
        return view, cut

    view, cut = asyncio.run(run())
    assert cut.exchange and cut.exchange.text
    assert "Incomplete: the connection broke." in drawn(view) and cut.exchange.text in html.unescape(
        drawn(view)
    )


def test_words_of_a_model_stay_words(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = send(payload(f"Repeat after me: {HOSTILE}"))
    assert "onerror" in exchange.request.content.decode()
    exchange._message._said["text"] = [HOSTILE]
    view = WireView(exchange)
    view._as_markdown.value = True
    assert not re.search(r"<(?:img|script|a)\b", drawn(view))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and `code`", "<p><strong>bold</strong> and <code>code</code></p>\n"),
        ("[a](https://example.org)", "<p>a</p>\n"),
        ("![a](https://example.org/b.png)", "<p></p>\n"),
        (
            "<b onclick=x>hi</b><script>1</script>",
            "<p>&lt;b onclick=x&gt;hi&lt;/b&gt;&lt;script&gt;1&lt;/script&gt;</p>\n",
        ),
    ],
)
def test_markdown_keeps_the_words_and_nothing_that_acts(text: str, shown: str) -> None:
    assert markdown.html(text) == shown


def test_a_growing_message_is_drawn_in_bounded_pieces() -> None:
    exchange = streamed(payload())
    exchange._message._said["text"] = ["word " * 100_000]
    view = WireView(exchange)
    view._ended = False
    view._draw_message()
    assert len(view._message.value) < 2 * wire_view.GROWING


@pytest.mark.parametrize("path", ["/chat/completions", "/api/chat"])
def test_tokens_come_with_their_probability(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    asked = payload(logprobs=True, top_logprobs=3)
    if path == "/api/chat":
        asked["model"] = "llama3.2"
    exchange = streamed(asked, path)
    found = wire_view.tokens(exchange)
    assert "".join(token.text for token in found) == exchange.text
    assert all(0 < token.probability <= 1 for token in found)
    assert all(len(token.others) >= 2 for token in found)


def test_a_price_is_told_only_where_it_is_known() -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    known = prices.cost("gpt-4o-mini-2024-07-18", usage)
    assert known and known.dollars == pytest.approx(0.75)
    cached = prices.cost("gpt-4o-mini", {**usage, "prompt_tokens_details": {"cached_tokens": 1_000_000}})
    assert cached and cached.dollars == pytest.approx(0.675)
    assert prices.cost("llama3.2", usage) is None and prices.cost("gpt-4o-mini", None) is None
