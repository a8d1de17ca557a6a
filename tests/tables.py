"""Write the tables of course_notes.md that say what the practice command and server know as data.

    python -m tests.tables

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the rest of the file is left as it is.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from starlette.routing import Route

from helpers import fields
from helpers.fields import Field
from helpers.practice import command_texts, faults, modelfile, options
from helpers.practice.server import build
from helpers.practice.toml import read

NOTES = Path(__file__).resolve().parents[1] / "course_notes.md"
SAID: dict[str, dict[str, str]] = read(Path(__file__).with_name("tables.toml"))
REFUSALS: dict[str, dict[str, Any]] = read(Path(command_texts.__file__).with_name("errors.toml"))
SOURCE = "https://github.com/ollama/ollama/blob/v0.32.15/"
SLOT = re.compile(r"(<!-- table: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Fields of a message's parts that Ollama's /v1 reads; compat.py reads them without a table.
PARTS = {
    f"messages[].content[].{name}"
    for name in ("type", "text", "image_url", "image_url.url", "input_audio", "input_audio.data")
}

Rows = Iterable[tuple[str, ...]]


def commands() -> Rows:
    yield "Command", "Flag", "Meaning"
    for one in (command_texts.ROOT, *command_texts.COMMANDS):
        use = one.use if one is command_texts.ROOT else f"ollama {one.use}"
        names = [use, *(f"ollama {alias}" for alias in one.aliases)]
        yield ", ".join(map(code, names)), "", one.short
        for flag in one.flags:
            short = f", {code('-' + flag.short)}" if flag.short else ""
            yield "", code(f"--{flag.name}") + short, flag.usage


def environment() -> Rows:
    yield "Variable", "Read by", "Meaning"
    for name, meaning in command_texts.ENVIRONMENT.items():
        readers = [one.name for one in command_texts.COMMANDS if name in one.env]
        yield code(name), ", ".join(map(code, readers)), meaning


def parameters() -> Rows:
    yield "Option", "Type", "Default", "Meaning"
    for name, (_, default) in options.OPTIONS.items():
        shown = "by machine" if default is None else code(str(default).lower())
        yield code(name), modelfile.PARAMETERS[name], shown, fields.TABLE["options"][name]


def instructions() -> Rows:
    yield "Instruction", "Meaning"
    for name in modelfile.INSTRUCTIONS:
        yield code(name.upper()), SAID["modelfile"][name]


def endpoints() -> Rows:
    yield "Request", "Meaning"
    with tempfile.TemporaryDirectory() as home:
        routes = [route for route in build(Path(home)).routes if isinstance(route, Route)]
    for route in routes:
        if route.path.startswith(("/practice", "/openai", "/v2")):
            continue
        method = min((route.methods or set()) - ({"HEAD"} if len(route.methods or ()) > 1 else set()))
        request = f"{method} {route.path}"
        yield code(request), SAID["endpoints"][request]


def server_errors() -> Rows:
    yield "Status", "Text"
    texts = {(str(status), text) for status, text in REFUSALS["ollama"].values() if text != "{text}"}
    for status, text in sorted(texts):
        yield status, code(text.replace("{{", "{").replace("}}", "}"))


def openai_errors() -> Rows:
    yield "Status", "`type`", "`code`", "`message`"
    rows = {(str(status), kind, name, text) for status, kind, name, text in REFUSALS["openai"].values()}
    for status, kind, name, text in sorted(rows):
        yield status, code(kind), code(name) if name else "`null`", code(text)


def command_errors() -> Rows:
    yield ("Text",)
    for text in command_texts.ERRORS.values():
        if "practice" not in text:
            yield (code(text),)


def modelfile_errors() -> Rows:
    yield ("Text",)
    for text in modelfile.ERRORS.values():
        yield (code(text),)


def request_fields() -> Rows:
    """The fields of Chat Completions, then what only Ollama's /v1 has."""
    yield "Field", "Type, range", "Default", "Meaning", "Ollama `/v1`", "Refused by", "Source"
    known, ollama = fields.request("openai"), fields.request("ollama")
    for one in (known | {place: ollama[place] for place in ollama if place not in known}).values():
        if "." in one.place or "[" in one.place:
            continue
        taken = one.place in ollama
        refused = ", ".join(map(code, fields.refused_by(one.place))) if one.place in known else "OpenAI"
        yield (
            code(one.place),
            shape(one),
            one.default,
            meaning(one),
            "yes" if taken else "ignored",
            refused,
            link(one.source),
        )


def inner_fields() -> Rows:
    yield "Field", "Type, range", "Default", "Meaning", "Ollama `/v1`", "Source"
    twice = tuple(fields.TABLE["same"])
    known, ollama = fields.request("openai"), fields.request("ollama")
    every = [*known.values(), *(ollama[place] for place in ollama if place not in known)]
    for one in sorted(every, key=lambda one: one.place.partition(".")[0].removesuffix("[]")):
        if ("." in one.place or "[" in one.place) and not one.place.startswith(twice):
            taken = "yes" if one.place in ollama or one.place in PARTS else "ignored"
            yield code(one.place), shape(one), one.default, meaning(one), taken, link(one.source)


def native_fields() -> Rows:
    yield "Field", "Type, range", "Default", "Meaning", "`/api/chat`", "`/api/generate`"
    chat, generate = fields.request("native", "/api/chat"), fields.request("native", "/api/generate")
    for one in (chat | generate).values():
        if not one.place.startswith("options."):
            here = ["yes" if one.place in known else "" for known in (chat, generate)]
            yield code(one.place), shape(one), one.default, meaning(one), *here


def words(place: str) -> Rows:
    yield f"`{place.rpartition('.')[2]}`", "Meaning"
    for place_of, said in fields.TABLE["values"].items():
        if place_of.startswith(f"{place}="):
            yield code(place_of.partition("=")[2]), said


def roles() -> Rows:
    return words("messages[].role")


def content_parts() -> Rows:
    return words("messages[].content[].type")


def reply_fields() -> Rows:
    return replies("reply")


def chunk_fields() -> Rows:
    return replies("chunk")


def replies(section: str) -> Rows:
    yield "Field", "Meaning", "OpenAI, gpt-5-nano", "Ollama `/v1`", "Source"
    for place, said in fields.TABLE[section].items():
        sources = ", ".join(link(fields.TABLE["sources"][name]) for name in said["source"])
        yield code(place), said["meaning"], said.get("openai", ""), said.get("ollama", ""), sources


def native_reply() -> Rows:
    yield "Field", "Meaning"
    for place, said in fields.TABLE["native_reply"].items():
        yield code(place), said


def finish_reasons() -> Rows:
    return said("finish", "`finish_reason`", "The model ended because")


def statuses() -> Rows:
    return said("statuses", "Status", "Meaning", again="Try again?")


def error_types() -> Rows:
    return said("error_types", "`type`", "Meaning", who="Who")


def error_codes() -> Rows:
    return said("error_codes", "`code`", "Meaning")


def headers() -> Rows:
    return said("headers", "Header", "Meaning", on="Of a")


def said(section: str, *head: str, **more: str) -> Rows:
    yield (*head, *more.values(), "Source")
    for name, one in fields.TABLE[section].items():
        source = fields.TABLE["sources"].get(one["source"])
        yield code(name.strip()), one["meaning"], *(one[key] for key in more), link(source) if source else ""


def faults_on_demand() -> Rows:
    yield "Value", "Settings, with their defaults", "What happens"
    for name, settings in faults.SETTINGS.items():
        given = "; ".join(f"{key}={value}" for key, value in settings.items())
        yield code(name), code(given) if given else "", SAID["faults"][name]


def shape(one: Field) -> str:
    either = one.shape.range or ", ".join(map(code, one.shape.choices))
    return f"{one.shape.kind}; {either}" if either else one.shape.kind


def meaning(one: Field) -> str:
    return f"{one.meaning}. Deprecated, instead: {one.instead}" if one.instead else one.meaning


def link(address: str) -> str:
    """An address as a link named after its last part."""
    return f"[{address.partition('#')[0].rstrip('/').rpartition('/')[2]}]({address})"


TABLES: dict[str, Callable[[], Rows]] = {
    made.__name__: made
    for made in (
        commands,
        environment,
        parameters,
        instructions,
        endpoints,
        server_errors,
        openai_errors,
        command_errors,
        modelfile_errors,
        request_fields,
        inner_fields,
        native_fields,
        native_reply,
        roles,
        content_parts,
        reply_fields,
        chunk_fields,
        finish_reasons,
        statuses,
        error_types,
        error_codes,
        headers,
        faults_on_demand,
    )
}


def code(text: str) -> str:
    """Text as code in a table's cell: a bar and a line's end would end the cell."""
    text = text.strip("\n").replace("\n", " ⏎ ").replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(name: str) -> str:
    head, *rows = TABLES[name]()
    lines = [head, ("---",) * len(head), *rows]
    source = SAID["sources"].get(name)
    under = f"\nSource: [{source}]({SOURCE}{source}), v0.32.15.\n" if source else ""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + under


def filled(notes: str) -> str:
    """The notes with each slot's table made anew. Raises KeyError for a slot without a table."""
    return SLOT.sub(lambda slot: slot[1] + table(slot[2]) + slot[3], notes)


if __name__ == "__main__":
    NOTES.write_text(filled(NOTES.read_text("utf-8")), "utf-8")
    sys.exit(0)
