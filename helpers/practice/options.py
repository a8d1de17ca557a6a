"""The options of a model: names, Go types, defaults, and what is said of a wrong one.

Source: ollama api/types.go (Options, FromMap, DefaultOptions), v0.32.15.
"""

from __future__ import annotations

from typing import Any

OPTIONS: dict[str, tuple[str, Any]] = {
    "num_keep": ("integer", 4),
    "seed": ("integer", -1),
    "num_predict": ("integer", -1),
    "top_k": ("integer", 40),
    "top_p": ("float32", 0.9),
    "min_p": ("float32", 0.0),
    "typical_p": ("float32", 1.0),
    "repeat_last_n": ("integer", 64),
    "temperature": ("float32", 0.8),
    "repeat_penalty": ("float32", 1.0),
    "presence_penalty": ("float32", 0.0),
    "frequency_penalty": ("float32", 0.0),
    "stop": ("array", []),
    "num_ctx": ("integer", 4096),
    "num_batch": ("integer", 512),
    "num_gpu": ("integer", -1),
    "main_gpu": ("integer", 0),
    "use_mmap": ("boolean", None),
    "num_thread": ("integer", 0),
    "draft_num_predict": ("integer", 4),
}


class BadOption(ValueError):
    """An option of the wrong type; the text is the server's own."""


def complete(*given: dict[str, Any]) -> dict[str, Any]:
    """All options: the defaults, then each of `given` over them. Unknown names and nulls are passed over."""
    options = {name: default for name, (_, default) in OPTIONS.items()}
    for more in given:
        for name, value in more.items():
            if name in OPTIONS and value is not None:
                options[name] = _checked(name, value)
    return options


def _checked(name: str, value: Any) -> Any:
    kind = OPTIONS[name][0]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer" and number:
        return int(max(-(2**63), min(value, 2**63 - 1)))
    if kind == "float32" and number:
        return float(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "array" and isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return value
        raise BadOption(f'option "{name}" must be of an array of strings')
    raise BadOption(f'option "{name}" must be of type {kind}')
