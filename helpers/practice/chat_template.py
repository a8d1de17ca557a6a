"""The prompt that a model's own Jinja chat template makes of a conversation, as llama.cpp's server does."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from .gotemplate import BadTemplate


def prompt(template: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]], think: Any) -> str:
    """The text, ending where the assistant's turn begins. Raises BadTemplate."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    given = {
        "messages": [{key: value for key, value in one.items() if key != "images"} for one in messages],
        "tools": tools or None,
        "add_generation_prompt": True,
        "enable_thinking": bool(think),
        "bos_token": "",
        "eos_token": "",
        "raise_exception": _raise,
        "strftime_now": time.strftime,
    }
    try:
        return environment.from_string(template).render(given)
    except (TemplateError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise BadTemplate(str(error)) from error


def _raise(message: Any) -> NoReturn:
    raise BadTemplate(str(message))
