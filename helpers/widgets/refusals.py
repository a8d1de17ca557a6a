"""What a server would refuse in a payload, and what it would ignore: all of it at once, each with its path.

Nothing here knows a rule. The practice server's own checks are asked; a field that was refused is taken out,
and they are asked again. So the words are the server's, and what is an error here is one there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from helpers import fields
from helpers.practice import capabilities, compat, library, names, shapes
from helpers.practice.engines import llamacpp
from helpers.practice.errors import OpenAIRefusal, Refusal, refuse_format
from helpers.practice.gguf import Header
from helpers.practice.gojson import BadBody, List, Map, Struct, decode
from helpers.practice.openai_checks import check_chat, check_picture
from helpers.practice.openai_fields import CHAT
from helpers.practice.openai_models import BY_NAME, MODELS, OpenAIModel
from helpers.practice.openai_rules import check
from helpers.practice.options import OPTIONS, BadOption, complete
from helpers.practice.toml import read

from .json_text import Path

NEUTRAL: list[dict[str, Any]] = [{"role": "user", "content": "json"}]  # messages that no rule refuses
BY_MODEL = ("reasoning_effort", "verbosity")  # fields of which nothing is known without the model
UNKNOWN = ("unknown", "unknown parameter", "unknown member")  # keys of errors.toml: no such name
MOST = 100  # troubles told of one payload
TOGETHER = {  # with the first field out of the way, the others would be refused for its absence alone
    "tools": ("tool_choice", "parallel_tool_calls"),
    "functions": ("function_call",),
    "stream": ("stream_options",),
    "logprobs": ("top_logprobs",),
    "store": ("metadata",),
    "reasoning_effort": ("tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "logprobs",
                         "top_logprobs", "presence_penalty", "frequency_penalty"),
}  # fmt: skip
SHAPES = {
    "/chat/completions": compat.CHAT,
    "/completions": compat.COMPLETION,
    "/embeddings": compat.EMBED,
    "/api/chat": shapes.CHAT,
    "/api/generate": shapes.GENERATE,
    "/api/embed": shapes.EMBED,
    "/api/embeddings": shapes.EMBEDDING,
}


class Trouble(NamedTuple):
    """Something about the value at `path`; a path that goes further than the payload means: missing there."""

    path: Path
    message: str
    severity: str = "error"
    of_name: bool = False  # the name is at fault, not its value


# --- as api.openai.com ---------------------------------------------------------------------------------


def openai(payload: dict[str, Any], model: str = "", deployment: bool = False) -> Iterator[Trouble]:
    """What api.openai.com would say of a chat request; `model` is the one to go by if the payload names none.

    A `deployment` may have any name, so nothing is said of one that is not known; the path may name it alone.
    """
    asked = {name: value for name, value in payload.items() if value is not None}
    name = asked.get("model")
    if not name and not (model and deployment):
        yield Trouble(("model",), OpenAIRefusal("no model").args[0])
    elif name and not isinstance(name, str):
        yield Trouble(("model",), OpenAIRefusal("json").args[0])
        name = ""
    facts = BY_NAME.get(name or model)
    if facts and not facts.output:
        yield Trouble(("model",), OpenAIRefusal("model", model=name).args[0])
        facts = None
    elif name and facts is None and not deployment:
        yield Trouble(("model",), _unknown_model(name), "warning")
    yield from _openai_fields({**asked, "model": name or model}, facts)


def _unknown_model(name: str) -> str:
    known = [one for one, facts in MODELS.items() if facts.output]
    close = get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}What {name} refuses is not known here. The practice server has {', '.join(known)}."


def _openai_fields(asked: dict[str, Any], facts: OpenAIModel | None) -> Iterator[Trouble]:
    if facts is None:  # take it for a model that refuses little
        asked = {name: value for name, value in asked.items() if name not in BY_MODEL}
        facts = replace(MODELS["gpt-4o-mini"], output=2**62, refuses=())
    for _ in range(MOST):
        try:
            check_chat(asked, facts)
            return
        except OpenAIRefusal as refusal:
            path = _path_of(refusal, asked)
            yield _refused(refusal, path)
            if path[0] == "messages" and len(path) > 1:
                yield from _other_messages(asked["messages"], int(path[1]))
        told, asked = asked, _without(asked, str(path[0]))
        if asked == told:
            return


def _without(asked: dict[str, Any], name: str) -> dict[str, Any]:
    if name == "messages":
        return {**asked, "messages": NEUTRAL}
    gone = (name, *TOGETHER.get(name, ()))
    return {key: value for key, value in asked.items() if key not in gone}


def _other_messages(messages: list[Any], told: int) -> Iterator[Trouble]:
    rule = CHAT["messages"].item
    assert rule
    for index, message in enumerate(messages):
        try:
            check(message, rule, f"messages[{index}]")
        except OpenAIRefusal as refusal:
            if index != told:
                yield _refused(refusal, resolve(refusal.body["error"]["param"], {"messages": messages}))


def _path_of(refusal: OpenAIRefusal, asked: dict[str, Any]) -> Path:
    param = refusal.body["error"]["param"]
    if refusal.key == "tools and effort" and "reasoning_effort" not in asked:
        return ("tools",)
    if refusal.key == "logprobs":
        return ("logprobs",)
    if refusal.key.startswith("picture ") and param is None:
        return _bad_picture(asked["messages"])
    if refusal.key == "unknown":
        return (refusal.args[0].rpartition(": ")[2],)
    return resolve(param, asked) if param else ("messages",)


def _bad_picture(messages: list[Any]) -> Path:
    for i, message in enumerate(messages):
        for j, part in enumerate(message["content"] if isinstance(message.get("content"), list) else []):
            if part["type"] == "image_url":
                try:
                    check_picture(part["image_url"]["url"], "")
                except OpenAIRefusal:
                    return ("messages", i, "content", j, "image_url", "url")
    return ("messages",)


def _refused(refusal: OpenAIRefusal, path: Path) -> Trouble:
    message = refusal.args[0]
    if refusal.key not in UNKNOWN:
        return Trouble(path, message)
    hint = fields.instead_of(str(path[-1]), "openai", path)
    return Trouble(path, f"{message.removesuffix('.')}. {hint}".rstrip(), of_name=True)


def resolve(param: str, value: Any) -> Path:
    """The path that an error's `param` means: messages[0].content, messages.[3].role, metadata.a.b."""
    path: list[str | int] = []
    rest = param
    while rest:
        item = re.match(r"\.?\[(\d+)\]\.?", rest)
        if item and isinstance(value, list):
            index = int(item[1])
            path.append(index)
            value, rest = (value[index] if index < len(value) else None), rest[item.end() :]
        else:
            known = sorted(value, key=len, reverse=True) if isinstance(value, dict) else []
            begun = (one for one in known if rest == one or rest.startswith((f"{one}.", f"{one}[")))
            step = next(begun, "") or re.split(r"[.\[]", rest)[0]
            if not step and rest[0] != ".":
                break  # an index, where no list is
            rest = rest[len(step) :].removeprefix(".")
            value = value.get(step) if isinstance(value, dict) else None
            path.append(step)
    return tuple(path)


# --- as Ollama -----------------------------------------------------------------------------------------


def ollama(payload: dict[str, Any], path: str, model: str = "") -> Iterator[Trouble]:
    """What Ollama would refuse or ignore in a payload for `path`; an unknown path gives nothing."""
    shape = SHAPES.get(path)
    if shape is None:
        return
    asked = {**payload, "model": model} if model else dict(payload)
    for trouble in [*_misfits(asked, shape, (), shape, path)]:
        yield trouble
        if trouble.severity == "error":
            asked.pop(str(trouble.path[0]), None)
    fitted = decode(json.dumps(asked).encode(), shape)
    if path == "/chat/completions":
        yield from _compatible(fitted)
    elif path in ("/api/chat", "/api/generate"):
        yield from _native(fitted, path)


def _misfits(value: Any, wanted: Any, at: Path, shape: Struct, where: str) -> Iterator[Trouble]:
    if value is None:
        return
    if isinstance(wanted, Struct) and isinstance(value, dict):
        for name, item in value.items():
            inner = wanted.fields.get(name, wanted.fields.get(name.lower()))
            if inner is not None:
                yield from _misfits(item, inner, (*at, name), shape, where)
            elif "parameters" not in at:  # a schema may say more than is read of it
                hint = fields.instead_of(name, fields.surface("ollama", where), (*at, name))
                yield Trouble((*at, name), f"Ollama ignores {name!r} here. {hint}".rstrip(), "warning", True)
    elif isinstance(wanted, List) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _misfits(item, wanted.item, (*at, index), shape, where)
    elif isinstance(wanted, Map) and isinstance(value, dict):
        for name, item in value.items():
            yield from _misfits(item, wanted.item, (*at, name), shape, where)
    else:
        whole = value
        for step in reversed(at):
            whole = [whole] if isinstance(step, int) else {step: whole}
        try:
            decode(json.dumps(whole).encode(), shape)
        except BadBody as error:
            yield Trouble(at, str(error))


def _compatible(asked: dict[str, Any]) -> Iterator[Trouble]:
    """Ollama's /v1/chat/completions: what its translation refuses, then what the model would."""
    messages = asked.get("messages") or []
    if not messages:
        yield Trouble(("messages",), Refusal("no messages").text)
    native: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        try:
            native += compat.native_chat({"messages": [message]})["messages"]
        except Refusal as refusal:
            member = "tool_calls" if refusal.key == "arguments" else "content"
            yield Trouble(("messages", index, member), refusal.text)
    try:
        rest = compat.native_chat({**asked, "messages": NEUTRAL})
    except Refusal as refusal:
        field = (
            "stop" if refusal.key == "stop" else "reasoning" if "reasoning" in asked else "reasoning_effort"
        )
        yield Trouble((field,), refusal.text)
        return
    back = {"think": "reasoning_effort", "format": "response_format"}
    for trouble in _native({**rest, "messages": native}, "/api/chat"):
        yield trouble._replace(path=(back.get(str(trouble.path[0]), trouble.path[0]), *trouble.path[1:]))


def _native(asked: dict[str, Any], path: str) -> Iterator[Trouble]:
    """/api/chat and /api/generate, in the server's order."""
    generate = path == "/api/generate"
    if not 0 <= asked.get("top_logprobs", 0) <= 20:
        yield Trouble(("top_logprobs",), Refusal("top_logprobs").text)
    typed = asked.get("model", "")
    if not typed.strip():
        refusal = Refusal("not found", model=typed) if generate else Refusal("model required")
        yield Trouble(("model",), refusal.text)
    elif names.parse(typed) is None:
        yield Trouble(("model",), Refusal("name").text)
    elif typed in BY_NAME:
        told = f"{typed} is a model of OpenAI; an Ollama has it only if you named one so."
        yield Trouble(("model",), told, "warning")
    given = asked.get("prompt" if generate else "messages")
    if not given and asked.get("keep_alive") == 0:
        return
    if generate and asked.get("raw") and any(asked.get(one) for one in ("template", "system", "context")):
        yield Trouble(("raw",), Refusal("raw").text)
    yield from _capable(asked, typed, generate)
    options: dict[str, Any] = {}
    for name, value in (asked.get("options") or {}).items():
        try:
            complete({name: value})
            options[name] = value
        except BadOption as error:
            yield Trouble(("options", name), str(error))
        if name not in OPTIONS:
            hint = fields.instead_of(name, "native", ("options", name))
            told = f"Ollama has no option {name!r} and ignores it. {hint}".rstrip()
            yield Trouble(("options", name), told, "warning", True)
    wanted = asked.get("format")
    if not given or wanted in (None, ""):
        wanted = None
    elif wanted != "json" and not isinstance(wanted, dict):
        raw = json.dumps(wanted, ensure_ascii=False, separators=(",", ":"))  # as it will be sent
        yield Trouble(("format",), refuse_format(raw).text)
    if given and (text := llamacpp.refusal(wanted, complete(options))):
        others = ({key: one for key, one in options.items() if key != name} for name in options)
        at_fault = (not llamacpp.refusal(wanted, complete(other)) for other in others)
        option = next((name for name, blamed in zip(options, at_fault, strict=True) if blamed), None)
        yield Trouble(("options", option) if option else ("format",), text)


def _capable(asked: dict[str, Any], typed: str, generate: bool) -> Iterator[Trouble]:
    able = capable(typed)
    if able is None:
        return
    full = names.parse(typed)
    if asked.get("think") and "thinking" not in able:
        yield Trouble(("think",), Refusal("thinking", model=typed).text)
    if "completion" not in able:
        yield Trouble(("model",), Refusal("generate" if generate else "chat", model=typed).text)
    if asked.get("tools") and "tools" not in able:
        yield Trouble(("tools",), Refusal("tools", full=full).text)
    if asked.get("suffix") and "insert" not in able:
        yield Trouble(("suffix",), Refusal("insert", full=full).text)
    if "vision" not in able:
        if asked.get("prompt") and asked.get("images"):
            yield Trouble(("images",), Refusal("pictures").text)
        for index, message in enumerate(asked.get("messages") or []):
            if message.get("images"):
                yield Trouble(("messages", index), Refusal("pictures").text)


def capable(model: str) -> tuple[str, ...] | None:
    """What a model of the practice library can do; None for any other model, of which nothing is known."""
    name = names.parse(model)
    return _library().get(name.folded()) if name else None


@cache
def _library() -> dict[tuple[str, ...], tuple[str, ...]]:
    made = {}
    for entry in read(library.PATH)["model"]:
        name = names.parse(entry["name"])
        if name and "metadata" in entry:
            header = Header(entry["metadata"], [])
            config = {"model_family": entry["family"]}
            made[name.folded()] = tuple(capabilities.of(config, header, [], entry.get("template", "")))
    return made


def library_names() -> list[str]:
    """The models of the practice library, without those that run elsewhere."""
    return [entry["name"] for entry in read(library.PATH)["model"] if "metadata" in entry]
