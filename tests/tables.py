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

from helpers.practice import command_texts, modelfile, options
from helpers.practice.server import build
from helpers.practice.toml import read

NOTES = Path(__file__).resolve().parents[1] / "course_notes.md"
SAID: dict[str, dict[str, str]] = read(Path(__file__).with_name("tables.toml"))
REFUSALS: dict[str, dict[str, Any]] = read(Path(command_texts.__file__).with_name("errors.toml"))
SOURCE = "https://github.com/ollama/ollama/blob/v0.32.15/"
SLOT = re.compile(r"(<!-- table: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)

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
        yield code(name), modelfile.PARAMETERS[name], shown, SAID["options"][name]


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
