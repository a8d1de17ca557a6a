"""What a model can do, from its config, its weights' headers and its template, in the server's order.

Source: server/images.go (capabilitiesForTemplate, shouldPreferChatTemplate), server/model_list_cache.go,
model/parsers/parsers.go, v0.32.15.
"""

from __future__ import annotations

from typing import Any

from . import gorender
from .gguf import Header

_ANSWERED = (
    "tool_response", "tool_results", "role'] == 'tool'", "role'] == \"tool\"", "role\"] == 'tool'",
    'role"] == "tool"', "message.role == 'tool'", 'message.role == "tool"', "ipython",
)  # fmt: skip
_BY_PARSER = {
    **dict.fromkeys(
        ("functiongemma", "gemma4-no-thinking", "glm-ocr", "lfm2", "ministral", "olmo3", "qwen3",
         "qwen3-coder", "qwen3-vl-instruct"),
        ("tools",),
    ),
    **dict.fromkeys(
        ("cogito", "cohere", "deepseek3", "gemma4", "glimmer", "glm-4.7", "harmony", "laguna",
         "lfm2-thinking", "nemotron-3-nano", "nemotron-3.5-nano", "ornith", "poolside-v1", "qwen3-thinking",
         "qwen3-vl-thinking", "qwen3.5"),
        ("tools", "thinking"),
    ),
    "olmo3-think": ("thinking",),
}  # fmt: skip


def native(config: dict[str, Any], header: Header, template: str) -> bool:
    """Whether the weights' own chat template makes the prompts, because no better one is there."""
    if config.get("renderer") or config.get("parser") or not header.text("tokenizer.chat_template"):
        return False
    if _of_family(config) and "<|start|>" in template and "<|end|>" in template:
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
    if any(_hears(one) for one in projectors):
        found.append("audio")
    if not own:
        found += gorender.capabilities(template)
    found += [*_of_parser(config), *_of_family(config)]
    families = [header.architecture, config.get("model_family"), *(config.get("model_families") or [])]
    deaf = {"audio"} if "nemotron_h_omni" in families else set()
    return [able for able in dict.fromkeys(found) if able not in deaf]


def listed(config: dict[str, Any], head: dict[str, Any] | None, projectors: int, template: str) -> list[str]:
    """The capabilities as a list of models has them; `head` is what `overview` says of the weights."""
    found = []
    if head is not None:
        found += [able for able in ("vision", "audio") if f"{able}.block_count" in head]
        found.append("embedding" if "pooling_type" in head else "completion")
    found += config.get("capabilities") or []
    able = {*gorender.capabilities(template), *_of_parser(config), *_of_family(config)}
    found += [one for one in ("tools", "insert", "thinking") if one in able]
    return list(dict.fromkeys([*found, *(["vision"] if projectors else [])]))


def overview(header: Header) -> dict[str, Any] | None:
    """The metadata that a list of models reads: without the architecture's name, and `file_type`.

    It is read in one go up to the tokenizer, so what stands before the architecture is missed, as with every
    file whose keys are sorted and whose architecture is "bert" or "gemma3". None: a number is none.
    """
    found: dict[str, Any] = {}
    architecture = ""
    for key, value in header.metadata.items():
        if key == "general.architecture" and not isinstance(value, str):
            return None
        if key == "general.architecture":
            architecture = value
        elif key == "general.file_type":
            found["file_type"] = value
        elif architecture and key.startswith("tokenizer."):
            break
        elif architecture and key.startswith(f"{architecture}."):
            found[key.removeprefix(f"{architecture}.")] = value
    numbers = [found[key] for key in ("file_type", "context_length", "embedding_length") if key in found]
    return found if header.metadata and all(type(one) is int for one in numbers) else None


def _of_parser(config: dict[str, Any]) -> tuple[str, ...]:
    return _BY_PARSER.get(config.get("parser", ""), ())


def _of_family(config: dict[str, Any]) -> tuple[str, ...]:
    return ("thinking",) if config.get("model_family") in ("gptoss", "gpt-oss") else ()


def _hears(projector: Header) -> bool:
    on = any(value is True for key, value in projector.metadata.items() if key.endswith(".has_audio_encoder"))
    return on and projector.of("vision.projector_type") != "gemma3nv"


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
