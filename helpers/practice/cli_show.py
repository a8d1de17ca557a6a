"""What `ollama show MODEL` prints: sections of aligned columns."""

from __future__ import annotations

import re
from typing import Any

from helpers.errors import CourseError

from .cli_client import Ollama
from .cli_format import human_number, table, value_text, width
from .cli_parse import Given
from .command_texts import ERRORS

SHORT_TEXTS = 2  # lines of System and License that are shown
ARRAY_WIDTH = 10  # columns for the values of an array in Metadata


def show(given: Given, ollama: Ollama) -> None:
    asked = [
        field
        for field in ("license", "modelfile", "parameters", "system", "template")
        if given.flags.get(field)
    ]
    if len(asked) > 1:
        raise CourseError(ERRORS["show one"])
    verbose = given.flags.get("verbose", False)
    reply = ollama.call("POST", "/api/show", show_request(name=given.words[0], verbose=verbose))
    if "image" in (reply.get("capabilities") or []):
        raise CourseError(ERRORS["image model"])
    if not asked:
        print(sections(reply, verbose), end="")
        return
    field = asked[0]
    print(reply.get(field, ""), end="" if field in ("system", "template") else "\n")


def show_request(
    model: str = "",
    name: str = "",
    verbose: bool = False,
    system: str = "",
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a POST to /api/show, its fields as the command sends them."""
    return {
        "model": model,
        "system": system,
        "template": "",
        "verbose": verbose,
        "options": options,
        "name": name,
    }


def sections(reply: dict[str, Any], verbose: bool) -> str:
    """The sections of an /api/show reply; `verbose` adds Metadata and Tensors."""
    info = reply.get("model_info")
    text = _section("Model", _model(reply, info))
    if reply.get("capabilities"):
        text += _section("Capabilities", [[name] for name in reply["capabilities"]])
    if reply.get("projector_info") is not None:
        text += _section("Projector", _projector(reply["projector_info"]))
    if reply.get("parameters"):
        text += _section("Parameters", [line.split() for line in reply["parameters"].split("\n") if line])
    if verbose and info is not None:
        text += _section("Metadata", [[key, _metadata(info[key])] for key in sorted(info)])
    if verbose and reply.get("tensors"):
        rows = [[t["name"], t["type"], f"[{' '.join(map(str, t['shape']))}]"] for t in reply["tensors"]]
        text += _section("Tensors", rows)
    for title in ("System", "License"):
        if reply.get(title.lower()):
            text += _section(title, _head(reply[title.lower()]), wrap=100)
    return text


def _section(title: str, rows: list[list[str]], wrap: int = 30) -> str:
    return f"  {title}\n{table([['', *row] for row in rows], wrap=wrap)}\n"


def _model(reply: dict[str, Any], info: dict[str, Any] | None) -> list[list[str]]:
    details = reply.get("details") or {}
    size = details.get("parameter_size", "")
    rows = []
    if reply.get("remote_host"):
        rows += [["Remote model", reply.get("remote_model", "")], ["Remote URL", reply["remote_host"]]]
    if info is None:
        rows += [["architecture", details.get("family", "")], ["parameters", size]]
    else:
        family = _text(info.get("general.architecture"))
        count = _number(info.get("general.parameter_count"))
        if not size and count is not None:
            size = human_number(int(count))
        if family:
            rows.append(["architecture", family])
        if size:
            rows.append(["parameters", size])
        for name in ("context length", "embedding length"):
            value = _number(info.get(f"{family}.{name.replace(' ', '_')}"))
            if value is not None:
                rows.append([name, _plain(value)])
    rows.append(["quantization", details.get("quantization_level", "")])
    if reply.get("requires"):
        rows.append(["requires", reply["requires"]])
    return rows


def _projector(info: dict[str, Any]) -> list[list[str]]:
    family = _text(info.get("general.architecture"))
    rows = []
    if family:
        rows.append(["architecture", family])
    count = _number(info.get("general.parameter_count"))
    if count is not None:
        rows.append(["parameters", human_number(int(count))])
    for name, key in (("embedding length", "embedding_length"), ("dimensions", "projection_dim")):
        values = [_number(info.get(f"{family}.{sense}.{key}")) for sense in ("vision", "audio")]
        found = [value for value in values if value is not None]
        if found:
            rows.append([name, _plain(found[0])])
    return rows


def _metadata(value: Any) -> str:
    if not isinstance(value, list):
        return "map[string]interface {}" if isinstance(value, dict) else value_text(value)
    shown, used = 0, 1
    for item in value:
        used += width(value_text(item)) + (2 if shown else 0)
        if used > ARRAY_WIDTH and shown:
            break
        shown += 1
    more = len(value) - shown
    return f"{value_text(value[:shown])[:-1]} ...+{more} more]" if more else value_text(value)


def _head(text: str) -> list[list[str]]:
    lines = [line.strip() for line in re.split(r"\r?\n", text) if line.strip()]
    return [[line] for line in lines[:SHORT_TEXTS]] + ([["..."]] if len(lines) > SHORT_TEXTS else [])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _plain(number: float) -> str:
    """A number without an exponent and without a needless fraction."""
    return str(int(number)) if number == int(number) else format(number, "f").rstrip("0")
