"""The prompt a model is really given: what `_debug_render_only` shows. Source: server/prompt.go, v0.32.15."""

from __future__ import annotations

from typing import Any

from . import capabilities, chat_template, gorender
from .errors import Refusal
from .gotemplate import BadTemplate
from .store import Model

Rendered = tuple[str, int]  # the prompt, and how many pictures belong to it


def of_chat(
    model: Model,
    asked: dict[str, Any],
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    think: Any,
) -> Rendered:
    """The prompt of a conversation. Raises Refusal."""
    tagged, pictures = gorender.tagged(messages)
    try:
        if capabilities.native(model.config, model.header, model.own_template):
            template = model.header.text("tokenizer.chat_template")
            return chat_template.prompt(template, tagged, tools, think), pictures
        return gorender.prompt(model.template, tagged, tools, _set(asked, think)), pictures
    except BadTemplate as error:
        raise Refusal("cannot render", text=error) from error


def of_generate(model: Model, asked: dict[str, Any], messages: list[dict[str, Any]], think: Any) -> Rendered:
    """The prompt of a generate request; `messages` are what it becomes as a conversation. Raises Refusal."""
    pictures = len(asked.get("images", []))
    if asked.get("raw"):
        return asked["prompt"], pictures
    template = asked.get("template") or model.template
    try:
        if asked.get("suffix"):
            between = gorender.insertion(template, asked["prompt"], asked["suffix"], _set(asked, think))
            return between, pictures
        if asked.get("template"):
            return gorender.prompt(template, messages, [], _set(asked, think)), pictures
    except BadTemplate as error:
        raise Refusal("cannot render", text=error) from error
    return of_chat(model, asked, messages, [], think)


def _set(asked: dict[str, Any], think: Any) -> Any:
    """`think` as a template sees it: None where neither the request nor the model sets it."""
    return think if think or asked.get("think") is not None else None
