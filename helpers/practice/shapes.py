"""What a request to Ollama may hold: Go's structs, field by field. Source: api/types.go, v0.32.15."""

from __future__ import annotations

from typing import Any

from .cli_format import quote
from .errors import Refusal
from .gojson import BadBody, List, Map, Struct, decode, raw_member
from .scheduler import keep_alive


class RawMessage(str):
    """JSON as it was sent."""


THINK_LEVELS = ("high", "medium", "low", "max")


def _think(value: Any) -> Any:
    if isinstance(value, bool) or value in THINK_LEVELS:
        return value
    kinds = '"high", "medium", "low", "max", true, or false)'
    if isinstance(value, str):
        raise BadBody(f"invalid think value: {quote(value)} (must be {kinds}")
    raise BadBody(f"think must be a boolean or string ({kinds}")


NO_OBJECT = "Value looks like object, but can't find closing '}' symbol"
ARGUMENTS = Map("api.ToolCallFunctionArguments", "any", NO_OBJECT)
PROPERTY = Struct(
    "api.ToolProperty",
    {
        "type": "api.PropertyType",
        "items": "any",
        "description": "string",
        "enum": List("[]interface {}", "any"),
        "required": List("[]string", "string"),
    },
)
PROPERTIES = Map("api.ToolPropertiesMap", PROPERTY, NO_OBJECT)
PROPERTY.fields["anyOf"] = List("[]api.ToolProperty", PROPERTY)
PROPERTY.fields["properties"] = PROPERTIES

PARAMETERS = Struct(
    "api.ToolFunctionParameters",
    {
        "type": "string",
        "$defs": "any",
        "items": "any",
        "required": List("[]string", "string"),
        "properties": PROPERTIES,
    },
    root="ToolFunctionParameters",
)
FUNCTION = Struct(
    "api.ToolFunction",
    {"name": "string", "description": "string", "parameters": PARAMETERS},
    root="ToolFunction",
)
TOOL = Struct("api.Tool", {"type": "string", "items": "any", "function": FUNCTION}, root="Tool")
CALL = Struct(
    "api.ToolCall",
    {
        "id": "string",
        "function": Struct(
            "api.ToolCallFunction", {"index": "int", "name": "string", "arguments": ARGUMENTS}
        ),
    },
)
IMAGES = List("[]api.ImageData", "api.ImageData")
MESSAGE = Struct(
    "api.Alias",
    {
        "role": "string",
        "content": "string",
        "thinking": "string",
        "images": IMAGES,
        "tool_calls": List("[]api.ToolCall", CALL),
        "tool_name": "string",
        "tool_call_id": "string",
    },
    own=True,
)
_SHARED = {
    "model": "string",
    "stream": "bool",
    "format": "any",
    "keep_alive": keep_alive,
    "options": "map[string]interface {}",
    "think": _think,
    "truncate": "bool",
    "shift": "bool",
    "_debug_render_only": "bool",
    "logprobs": "bool",
    "top_logprobs": "int",
}
GENERATE = Struct(
    "api.GenerateRequest",
    {
        **_SHARED,
        "prompt": "string",
        "suffix": "string",
        "system": "string",
        "template": "string",
        "context": List("[]int", "int"),
        "raw": "bool",
        "images": IMAGES,
    },
    root="GenerateRequest",
)
CHAT = Struct(
    "api.ChatRequest",
    {**_SHARED, "messages": List("[]api.Message", MESSAGE), "tools": List("api.Tools", TOOL)},
    root="ChatRequest",
)
EMBED = Struct(
    "api.EmbedRequest",
    {
        "model": "string",
        "input": "any",
        "keep_alive": keep_alive,
        "truncate": "bool",
        "dimensions": "int",
        "options": "map[string]interface {}",
    },
    root="EmbedRequest",
)
EMBEDDING = Struct(
    "api.EmbeddingRequest",
    {
        "model": "string",
        "prompt": "string",
        "keep_alive": keep_alive,
        "options": "map[string]interface {}",
    },
    root="EmbeddingRequest",
)
SHOW = Struct(
    "api.ShowRequest",
    {
        "model": "string",
        "system": "string",
        "template": "string",
        "verbose": "bool",
        "options": "map[string]interface {}",
        "name": "string",
    },
    root="ShowRequest",
)
COPY = Struct("api.CopyRequest", {"source": "string", "destination": "string"}, root="CopyRequest")
_TRANSFER = {
    **dict.fromkeys(("model", "name", "username", "password"), "string"),
    **dict.fromkeys(("stream", "insecure"), "bool"),
}
PULL, PUSH = (Struct(f"api.{name}", _TRANSFER, root=name) for name in ("PullRequest", "PushRequest"))
DELETE = Struct("api.DeleteRequest", {"model": "string", "name": "string"}, root="DeleteRequest")


def read(body: bytes, shape: Struct) -> dict[str, Any]:
    """The request in `body`; a `format` that is none stands there as it was sent. Raises Refusal."""
    try:
        asked = decode(body, shape, empty="missing request body")
    except BadBody as error:
        raise Refusal("body", text=error) from error
    if not isinstance(wanted := asked.get("format", {}), dict) and wanted not in ("", "json"):
        asked["format"] = RawMessage(raw_member(body, "format"))
    return asked
