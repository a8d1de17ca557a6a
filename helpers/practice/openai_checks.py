"""Which requests to api.openai.com are refused, beyond what single fields may be: the model's own rules,
fields that go only together, the order of messages, schemas.

The order of the checks is the API's: what must be there, unknown fields, each field in turn, then what only
all fields together tell.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import OpenAIRefusal
from .gojson import BadBody, decode_base64
from .openai_fields import CHAT
from .openai_models import OpenAIModel
from .openai_rules import GOT, Rule, check, decimal, kind_of, limited, listing, plain, text
from .openai_schema import Unsupported, check_arrays, check_root, check_strict

PAIRS, KEY_LENGTH, VALUE_LENGTH = 16, 64, 512  # of metadata
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
ONLY_WITH_TOOLS = ("tool_choice", "parallel_tool_calls")


def check_chat(asked: dict[str, Any], model: OpenAIModel) -> None:
    """Raises OpenAIRefusal for the first thing api.openai.com would refuse in a chat request."""
    if "messages" not in asked:
        raise OpenAIRefusal("missing", "messages")
    _check_names(asked, model)
    _check_fields(asked, model)
    _check_together(asked, model)
    _check_messages(asked["messages"])
    _check_schemas(asked)
    _check_sampling(asked, model)
    for i, message in enumerate(asked["messages"]):
        _check_parts(message, i)


def _check_names(asked: dict[str, Any], model: OpenAIModel) -> None:
    not_its_own = (*model.fields_unknown, *(() if model.reasoning else ("reasoning_effort",)))
    for name in asked:
        if name not in CHAT or name in not_its_own:
            param = name if model.unknown == "unknown parameter" else None
            raise OpenAIRefusal(model.unknown, param, name=name)


def _check_fields(asked: dict[str, Any], model: OpenAIModel) -> None:
    effort = asked.get("reasoning_effort", "medium")
    for param, rule in CHAT.items():
        if param not in asked:
            continue
        if param == "max_tokens" and model.reasoning:
            raise OpenAIRefusal("max_tokens", param)
        if param == "web_search_options":
            raise OpenAIRefusal("web search", param)
        if param in model.refuses:
            raise OpenAIRefusal("unsupported", param)
        check(asked[param], _for_model(param, rule, model), param)
        if param == "logit_bias":
            _check_bias(asked[param])
        elif param == "metadata":
            check_metadata(asked[param])
        elif param == "verbosity":
            _check_choice(param, asked[param], model.verbosity)
        elif param == "reasoning_effort":
            _check_choice(param, effort, model.efforts)
        elif param == "modalities" and "audio" in asked[param]:
            raise OpenAIRefusal("unsupported", param)


def _for_model(param: str, rule: Rule, model: OpenAIModel) -> Rule:
    if param == "n":
        return limited(rule, model.choices)
    if param == "temperature" and model.reasoning:
        return decimal()  # its value is looked at last
    return rule


def _check_choice(param: str, value: str, supported: tuple[str, ...]) -> None:
    if value not in supported:
        raise OpenAIRefusal("effort", param, value=value, supported=listing(supported))


def _check_bias(biases: dict[str, Any]) -> None:
    for token, value in biases.items():
        if not re.fullmatch(r"\d{1,9}", token):
            raise OpenAIRefusal("bias key", "logit_bias", key=token)
        check(value, decimal(-100, 100), f"logit_bias.{token}")


def check_metadata(pairs: dict[str, Any]) -> None:
    if len(pairs) > PAIRS:
        raise OpenAIRefusal("many pairs", "metadata", limit=PAIRS, value=len(pairs))
    for name, value in pairs.items():
        if len(name) > KEY_LENGTH:
            shown = f"{name[:3]}...{name[-3:]}"
            words = {"shown": shown, "limit": KEY_LENGTH, "value": len(name)}
            raise OpenAIRefusal("long name", f"metadata.{name}", **words)
        check(value, text(VALUE_LENGTH), f"metadata.{name}")


def _check_together(asked: dict[str, Any], model: OpenAIModel) -> None:
    for param in ONLY_WITH_TOOLS:
        if param in asked and "tools" not in asked and asked[param] != "none":
            raise OpenAIRefusal("without tools", param)
    if "function_call" in asked and "functions" not in asked:
        raise OpenAIRefusal("without functions", "function_call")
    _check_tool_choice(asked)
    if "stream_options" in asked and not asked.get("stream"):
        raise OpenAIRefusal("stream_options", "stream_options")
    if asked.get("metadata") and not asked.get("store") and model.unknown == "unknown":
        raise OpenAIRefusal("metadata", "metadata")
    for param in ("max_completion_tokens", "max_tokens"):
        if asked.get(param, 0) > model.output:
            raise OpenAIRefusal("large", param, value=asked[param], limit=model.output)
    if (
        model.tools_need_no_effort
        and "tools" in asked
        and model.effort(asked.get("reasoning_effort")) != "none"
    ):
        raise OpenAIRefusal("tools and effort", "reasoning_effort", model=asked["model"])


def _check_tool_choice(asked: dict[str, Any]) -> None:
    wanted = asked.get("tool_choice")
    if not isinstance(wanted, dict):
        return
    known = [tool_name(tool) for tool in asked.get("tools", [])]
    named = [wanted] if wanted["type"] != "allowed_tools" else wanted["allowed_tools"]["tools"]
    for tool in named:
        if tool_name(tool) not in known:
            raise OpenAIRefusal("no such tool", "tool_choice", name=tool_name(tool))


def tool_name(tool: dict[str, Any]) -> str:
    """The name of a tool as Chat Completions writes it, or as Responses does."""
    own = tool.get("function") or tool.get("custom") or tool
    return str(own.get("name", "")) if isinstance(own, dict) else ""


# --- messages -------------------------------------------------------------------------------------


def _check_messages(messages: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    for i, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise OpenAIRefusal("orphan", f"messages.[{i}].role")
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise OpenAIRefusal("unanswered", f"messages.[{i}].role", ids=", ".join(waiting))
        calls = message.get("tool_calls") or []
        waiting += [call["id"] for call in calls]
        if message.get("content") is None and not _may_be_empty(message):
            raise OpenAIRefusal("no content", f"messages.[{i}].content")
    if waiting:
        raise OpenAIRefusal("unanswered", "messages", ids=", ".join(waiting))


def _may_be_empty(message: dict[str, Any]) -> bool:
    instead = ("tool_calls", "function_call", "refusal", "audio")
    return message["role"] == "function" or (
        message["role"] == "assistant" and any(message.get(key) for key in instead)
    )


def _check_parts(message: dict[str, Any], i: int) -> None:
    content = message.get("content")
    for j, part in enumerate(content if isinstance(content, list) else []):
        where = f"messages[{i}].content[{j}]"
        if part["type"] in ("input_audio", "audio"):
            raise OpenAIRefusal("audio part", f"{where}.type")
        if part["type"] == "image_url":
            if message["role"] != "user":
                raise OpenAIRefusal("picture role", f"messages[{i}]", role=message["role"])
            check_picture(part["image_url"]["url"], f"{where}.image_url.url")


def check_picture(url: str, where: str) -> None:
    """Raises OpenAIRefusal unless `url` is a data URL of a picture; this server fetches none."""
    if url.startswith(("http://", "https://")):
        raise OpenAIRefusal("picture url", url=url)
    found = re.match(r"data:image/[\w.+-]+;base64,", url)
    if not found:
        raise OpenAIRefusal("picture data", where)
    try:
        start = decode_base64(url[found.end() :])
    except BadBody:
        raise OpenAIRefusal("picture base64") from None
    if not start.startswith(PICTURE_STARTS):
        raise OpenAIRefusal("picture format")


# --- schemas and sampling ---------------------------------------------------------------------------


def _check_schemas(asked: dict[str, Any]) -> None:
    for i, tool in enumerate(asked.get("tools", [])):
        if tool["type"] == "function":
            check_function(tool["function"], f"tools[{i}].function.parameters")
    for i, function in enumerate(asked.get("functions", [])):
        check_function(function, f"functions[{i}].parameters")
    wanted = asked.get("response_format", {})
    if wanted.get("type") == "json_schema":
        check_format(wanted["json_schema"], "response_format")
    if wanted.get("type") == "json_object":
        said = json.dumps([message.get("content") for message in asked["messages"]])
        if "json" not in said.lower():
            raise OpenAIRefusal("no json word", "messages")


def check_function(function: dict[str, Any], where: str) -> None:
    schema = function.get("parameters")
    if not schema:
        if function.get("strict") and schema is None:
            return
        schema = {"type": "object", "properties": {}} if schema is None else schema
        if schema == {}:
            return
    try:
        check_root(schema)
        (check_strict if function.get("strict") else check_arrays)(schema)
    except (Unsupported, RecursionError) as reason:
        raise OpenAIRefusal("function schema", where, name=function["name"], reason=reason) from None


def check_format(wanted: dict[str, Any], param: str, key: str = "format schema") -> None:
    if "schema" not in wanted:
        return
    try:
        if not wanted.get("strict"):
            check_arrays(wanted["schema"])
            return
        check_strict(wanted["schema"])
    except (Unsupported, RecursionError) as reason:
        raise OpenAIRefusal(key, param, name=wanted["name"], reason=reason) from None


def _check_sampling(asked: dict[str, Any], model: OpenAIModel) -> None:
    thinks = model.effort(asked.get("reasoning_effort")) != "none"
    if thinks:
        for param in model.refuses_reasoning:
            if param in asked:
                raise OpenAIRefusal("unsupported", param)
        temperature = asked.get("temperature", 1)
        check(temperature, CHAT["temperature"], "temperature")
        if temperature != 1:
            raise OpenAIRefusal("only default", "temperature", value=plain(temperature))
    if asked.get("logprobs") and thinks:
        if model.refuses_reasoning:
            raise OpenAIRefusal("unsupported", "logprobs")
        raise OpenAIRefusal("logprobs")
    if "top_logprobs" in asked and not asked.get("logprobs"):
        raise OpenAIRefusal("top_logprobs", "top_logprobs")


def check_input_texts(given: Any) -> list[Any]:
    """What is to be embedded, as a list of texts or of lists of token numbers. Raises OpenAIRefusal."""
    if given == "" or (isinstance(given, list) and "" in given):
        raise OpenAIRefusal("input")
    if given == []:
        raise OpenAIRefusal("input")
    if isinstance(given, str):
        return [given]
    kinds = {kind_of(one) for one in given} if isinstance(given, list) else set()
    if kinds == {"integer"}:
        return [given]
    if kinds == {"string"}:
        return given
    if kinds == {"array"} and all(one and {kind_of(n) for n in one} == {"integer"} for one in given):
        return given
    if isinstance(given, list):
        raise OpenAIRefusal("input")
    wanted = "one of a string or array"
    raise OpenAIRefusal("type", "input", expected=wanted, got=GOT[kind_of(given)])
