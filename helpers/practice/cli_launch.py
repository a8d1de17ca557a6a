"""`ollama launch`: what is wrong with its command line. The practice command starts no other programs."""

from __future__ import annotations

import shutil
import sys

from helpers.errors import CourseError

from .cli_client import Ollama
from .cli_parse import Given
from .command_texts import (
    CLAUDE_DESKTOP,
    DESKTOP_ONLY,
    ERRORS,
    INTEGRATION_ALIASES,
    INTEGRATIONS,
    RESTORABLE,
)


def needs_server(given: Given) -> bool:
    """Whether the server is asked first."""
    return not given.flags.get("restore") and _known_as("".join(given.words[:1])) != CLAUDE_DESKTOP


def launch(given: Given, ollama: Ollama) -> None:
    words, dash, flags = given.words, given.before_dash, given.flags
    if dash is None and len(words) > 1:
        raise CourseError(ERRORS["integration words"].format(words=" ".join(words[1:])))
    if dash is not None and dash > 1:
        raise CourseError(ERRORS["integration dash"].format(count=dash))
    typed = words[0] if words and dash != 0 else ""
    extra = words[dash:] if dash is not None else []
    if not typed and (flags or extra):
        raise CourseError(ERRORS["integration name"])
    if not typed:
        print(f"Error: {ERRORS['no menu' if sys.stdin.isatty() else 'no terminal']}", file=sys.stderr)
        return
    name = _known_as(typed)
    if name == CLAUDE_DESKTOP and not flags.get("restore"):
        raise CourseError(ERRORS["claude desktop"])
    if name not in INTEGRATIONS:
        raise CourseError(ERRORS["unknown integration"].format(name=typed))
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    if flags.get("restore"):
        _check_restore(name, bool(flags.get("model") or flags.get("config") or extra))
    elif flags.get("yes") and not interactive and not flags.get("model"):
        raise CourseError(ERRORS["headless"].format(name=name))
    if name in DESKTOP_ONLY and sys.platform not in ("darwin", "win32"):
        raise CourseError(ERRORS["desktop only"].format(name=DESKTOP_ONLY[name]))
    program, way = INTEGRATIONS[name]
    if not interactive and not shutil.which(program) and not (flags.get("config") or flags.get("restore")):
        if not way.endswith("?"):
            raise CourseError(ERRORS["not installed"].format(name=name, place=way))
        if not flags.get("yes"):
            raise CourseError(ERRORS["confirm"].format(question=way))
    raise CourseError(ERRORS["no launch"].format(name=typed))


def _known_as(typed: str) -> str:
    return INTEGRATION_ALIASES.get(typed.lower(), typed.lower())


def _check_restore(name: str, more: bool) -> None:
    if more:
        raise CourseError(ERRORS["restore alone"])
    if name not in RESTORABLE:
        raise CourseError(ERRORS["no restore"].format(name=name))
