"""The Responses API's input as Chat Completions' messages, and what of it is refused."""

from __future__ import annotations

from typing import Any

from .errors import OpenAIRefusal
from .openai_checks import check_format, check_function, check_metadata, check_picture, tool_name
from .openai_fields import ITEMS, RESPONSES
from .openai_models import OpenAIModel
from .openai_rules import GOT, Rule, check, decimal, kind_of, listing, tagged
from .openai_turn import picture

HOSTED = ("function", "custom")  # every other tool runs at the provider

Item = dict[str, Any]


def check_responses(asked: dict[str, Any], model: OpenAIModel) -> None:
    """Raises OpenAIRefusal for the first thing the API would refuse in a request, its input's order apart."""
    for name in asked:
        if name not in RESPONSES:
            raise OpenAIRefusal("unknown parameter", name, name=name)
    for param, rule in RESPONSES.items():
        if param not in asked:
            continue
        if param == "top_p" and model.reasoning:
            raise OpenAIRefusal("unsupported", param)
        check(asked[param], decimal() if param == "temperature" and model.reasoning else rule, param)
        if param == "metadata":
            check_metadata(asked[param])
    if asked.get("stream_options") and not asked.get("stream"):
        raise OpenAIRefusal("stream_options", "stream_options")
    _check_tools(asked, model)
    _check_format(asked)
    _check_model(asked, model)


def _check_tools(asked: dict[str, Any], model: OpenAIModel) -> None:
    tools = asked.get("tools", [])
    for i, tool in enumerate(tools):
        if tool["type"] not in HOSTED:
            raise OpenAIRefusal("hosted tool", "tools", name=tool["type"], model=asked["model"])
        if tool["type"] == "function":
            strict = tool.get("strict", True) if tool.get("parameters") else tool.get("strict")
            check_function({**tool, "strict": strict and "strict" in tool}, f"tools[{i}].parameters")
    choice = asked.get("tool_choice")
    if isinstance(choice, dict):
        known = [tool_name(tool) for tool in tools]
        for one in choice.get("tools", [choice]):
            if tool_name(one) not in known:
                raise OpenAIRefusal("no such tool", "tool_choice", name=tool_name(one))


def _check_format(asked: dict[str, Any]) -> None:
    form = asked.get("text", {}).get("format") or {}
    if form.get("type") == "json_schema":
        check_format({"strict": True, **form}, "text.format.schema", "text format schema")


def _check_model(asked: dict[str, Any], model: OpenAIModel) -> None:
    verbosity = asked.get("text", {}).get("verbosity", "medium")
    if verbosity not in model.verbosity:
        words = {"value": verbosity, "supported": listing(model.verbosity)}
        raise OpenAIRefusal("effort", "text.verbosity", **words)
    reasoning = asked.get("reasoning", {})
    if reasoning.get("effort") and not model.reasoning:
        raise OpenAIRefusal("unsupported", "reasoning.effort")
    if reasoning.get("effort") and reasoning["effort"] not in model.efforts:
        words = {"value": reasoning["effort"], "supported": listing(model.efforts)}
        raise OpenAIRefusal("effort", "reasoning.effort", **words)
    if model.reasoning and asked.get("temperature", 1) != 1:
        raise OpenAIRefusal("unsupported", "temperature")
    if model.reasoning and "message.output_text.logprobs" in asked.get("include", []):
        raise OpenAIRefusal("unsupported", "include")


# --- the input --------------------------------------------------------------------------------------


def items(given: Any) -> list[Item]:
    """The input's items, a mere text as a user's message, all with their type. Raises OpenAIRefusal."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    if not isinstance(given, list):
        wanted = "one of a string or array of objects"
        raise OpenAIRefusal("type", "input", expected=wanted, got=GOT[kind_of(given)])
    made = []
    for i, one in enumerate(given):
        check(one, Rule("object", "an object"), f"input[{i}]")
        item = {key: value for key, value in one.items() if value is not None}
        if "type" not in item and "role" in item:
            item["type"] = "message"
        check(item, tagged("type", ITEMS), f"input[{i}]")
        made.append(item)
    return made


def check_calls(conversation: list[Item]) -> None:
    """Raises OpenAIRefusal unless every call has its output, and every output its call."""
    calls = {one["call_id"] for one in conversation if one["type"].endswith("_call")}
    outputs = {one["call_id"] for one in conversation if one["type"].endswith("_call_output")}
    for one in conversation:
        if one["type"].endswith("_call") and one["call_id"] not in outputs:
            raise OpenAIRefusal("no output", "input", id=one["call_id"])
        if one["type"].endswith("_call_output") and one["call_id"] not in calls:
            raise OpenAIRefusal("no call", "input", id=one["call_id"])


def messages(conversation: list[Item], instructions: str) -> list[dict[str, Any]]:
    """The conversation as the engine takes it. Raises OpenAIRefusal for a picture that is none."""
    made: list[dict[str, Any]] = []
    if instructions:
        made.append({"role": "system", "content": instructions})
    names: dict[str, str] = {}
    for i, item in enumerate(conversation):
        kind = item["type"]
        if kind == "message":
            made.append({"role": item["role"], **_content(item["content"], i)})
        elif kind in ("function_call", "custom_tool_call"):
            names[item["call_id"]] = item["name"]
            call = {"function": {"name": item["name"], "arguments": item.get("arguments", item.get("input"))}}
            if made and made[-1]["role"] == "assistant":
                made[-1].setdefault("tool_calls", []).append(call)
            else:
                made.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind.endswith("_output"):
            own = {"tool_name": names.get(item["call_id"], "")}
            made.append({"role": "tool", **_content(item["output"], i), **own})
    return made


def _content(content: Any, i: int) -> dict[str, Any]:
    if isinstance(content, str):
        return {"content": content}
    texts, pictures = [], []
    for j, part in enumerate(content):
        if part["type"] == "input_image" and "image_url" in part:
            check_picture(part["image_url"], f"input[{i}].content[{j}].image_url")
            pictures.append(picture(part["image_url"]))
        texts.append(part.get("text") or part.get("refusal") or "")
    one: dict[str, Any] = {"content": "\n".join(filter(None, texts))}
    return one | ({"images": pictures} if pictures else {})
