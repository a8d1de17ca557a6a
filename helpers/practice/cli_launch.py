"""`ollama launch`: what is wrong with its command line. The practice command starts no other programs."""

from __future__ import annotations

import sys

from helpers.errors import CourseError

from .cli_client import Ollama
from .cli_parse import Given
from .command_texts import CLAUDE_DESKTOP, ERRORS, INTEGRATIONS


def launch(given: Given, ollama: Ollama) -> None:
    words, dash = given.words, given.before_dash
    if dash is None and len(words) > 1:
        raise CourseError(ERRORS["integration words"].format(words=" ".join(words[1:])))
    if dash is not None and dash > 1:
        raise CourseError(ERRORS["integration dash"].format(count=dash))
    name = words[0] if words and dash != 0 else ""
    if not name and (given.flags or words):
        raise CourseError(ERRORS["integration name"])
    if not name:
        print(f"Error: {ERRORS['no menu' if sys.stdin.isatty() else 'no terminal']}", file=sys.stderr)
        return
    if name.lower() in CLAUDE_DESKTOP:
        raise CourseError(ERRORS["claude desktop"])
    if name.lower() not in INTEGRATIONS:
        raise CourseError(ERRORS["unknown integration"].format(name=name))
    raise CourseError(ERRORS["no launch"].format(name=name))
