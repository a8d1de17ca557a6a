"""What a model can do, from its config, its weights' headers and its template, in the server's order.

Source: server/images.go (capabilitiesForTemplate, shouldPreferChatTemplate), v0.32.15.
"""

from __future__ import annotations

from typing import Any

from . import gorender
from .gguf import Header

_ANSWERED = (
    "tool_response", "tool_results", "role'] == 'tool'", "role'] == \"tool\"", "role\"] == 'tool'",
    'role"] == "tool"', "message.role == 'tool'", 'message.role == "tool"', "ipython",
)  # fmt: skip


def native(config: dict[str, Any], header: Header, template: str) -> bool:
    """Whether the weights' own chat template makes the prompts, because no better one is there."""
    if config.get("renderer") or config.get("parser") or not header.text("tokenizer.chat_template"):
        return False
    return not template or _prefers_chat(header.text("tokenizer.chat_template"), template)


def of(config: dict[str, Any], header: Header, projectors: list[Header], template: str) -> list[str]:
    """The capabilities; `template` is the model's Go template, empty where it has none."""
    found = list(config.get("capabilities") or [])
    own = native(config, header, template)
    if header.metadata:
        if own:
            found += _of_chat(header.text("tokenizer.chat_template"))
        found.append("embedding" if header.of("pooling_type") is not None else "completion")
        found += [able for able in ("vision", "audio") if header.of(f"{able}.block_count") is not None]
    if projectors:
        found.append("vision")
    if any(
        key.endswith(".has_audio_encoder") and on for one in projectors for key, on in one.metadata.items()
    ):
        found.append("audio")
    if not own:
        found += gorender.capabilities(template)
    if config.get("model_family") in ("gptoss", "gpt-oss"):
        found.append("thinking")
    return list(dict.fromkeys(found))


def _of_chat(text: str) -> list[str]:
    found = ["tools"] if "tools" in text or "tool_call" in text else []
    split = "content.split('</think>')" in text or 'content.split("</think>")' in text
    stripped = split and "reasoning_content" not in text and "<SPECIAL_12>" not in text
    return [*found, "thinking"] if ("<think>" in text and "</think>" in text) or stripped else found


def _prefers_chat(chat: str, template: str) -> bool:
    """Whether the chat template can do more than the Go one, or answers a tool where that does not."""
    of_chat, of_go = _of_chat(chat), gorender.capabilities(template)
    called = "tool_calls" in chat or "assistant_tool_call" in chat
    chat_answers = "tools" in of_chat and called and any(mark in chat for mark in _ANSWERED)
    go_answers = {"tools", "toolcalls"} <= gorender.names(gorender.read(template)) and any(
        mark in template for mark in ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    )
    if len(of_chat) > len(of_go):
        return not go_answers or chat_answers
    return set(of_chat) == set(of_go) and "tools" in of_go and chat_answers and not go_answers
