"""The practice `ollama` command: python -m helpers.practice.command ARGS…

It speaks HTTP to OLLAMA_HOST and nothing else, so it works with the practice server and with a real one. What
does the work is imported when it is asked for: the command has to start fast.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from helpers.errors import CourseError

from . import cli_parse
from .cli_format import quote_words
from .cli_parse import Given
from .command_texts import ERRORS, HELP, ROOT, VERSION, Command

WORK = {
    "create": ("cli_create", "create"),
    "show": ("cli_show", "show"),
    "run": ("cli_run", "run"),
    "stop": ("cli_models", "stop"),
    "pull": ("cli_models", "pull"),
    "push": ("cli_models", "push"),
    "signin": ("cli_account", "signin"),
    "login": ("cli_account", "signin"),
    "signout": ("cli_account", "signout"),
    "logout": ("cli_account", "signout"),
    "list": ("cli_list", "list_models"),
    "ps": ("cli_list", "list_running"),
    "cp": ("cli_models", "copy"),
    "rm": ("cli_models", "remove"),
    "launch": ("cli_launch", "launch"),
}
INTERRUPTED = 130  # exit codes of a process ended by SIGINT and by SIGPIPE
BROKEN_PIPE = 141


def main(argv: list[str]) -> int:
    """Runs one command line, without the program's name, and returns its exit code."""
    try:
        code = _run([_clean(word) for word in argv])
        sys.stdout.flush()
        return code
    except CourseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return BROKEN_PIPE
    except OSError as error:
        _give_up_stdout()
        print(f"Error: write /dev/stdout: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1


def program() -> int:
    """`main` as a program: the process's arguments, UTF-8 whatever the console's encoding."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace", newline="\n")  # type: ignore[union-attr]
    if sys.platform == "win32":
        os.system("")  # makes a Windows console understand escape codes
    return main(sys.argv[1:])


def _give_up_stdout() -> None:
    """What is still in the buffer has nowhere to go, and must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _clean(word: str) -> str:
    """A word of the command line without what cannot be sent as UTF-8."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _run(argv: list[str]) -> int:
    command, words = cli_parse.find(argv)
    given = cli_parse.parse(command, words)
    if given.flags.get(cli_parse.HELP_FLAG):
        print(cli_parse.help_text(command), end="")
        return 0
    cli_parse.check_count(command, given.words)
    if command is ROOT:
        return _version() if given.flags.get("version") else _menu()
    if command is HELP:
        return _help(given.words)
    if command.name == "serve":
        return _serve()
    _work(command, given)
    return 0


def _work(command: Command, given: Given) -> None:
    from .cli_client import Ollama

    ollama = Ollama()
    module = import_module(f".{WORK[command.name][0]}", __package__)
    needs_server = getattr(module, "needs_server", None)
    if needs_server is None or needs_server(given):
        ollama.heartbeat()
    work = getattr(module, WORK[command.name][1])
    try:
        work(given, ollama)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CourseError(ERRORS["not ollama"].format(base=ollama.base, error=repr(error))) from error


# --- the commands that need no server -----------------------------------------------------------------------


def _help(topics: list[str]) -> int:
    try:
        print(cli_parse.help_text(cli_parse.find(topics)[0]), end="")
    except CourseError:
        print(ERRORS["unknown help topic"].format(topics=quote_words(topics)), file=sys.stderr)
        print(cli_parse.usage_text(ROOT, list(ROOT.flags)), end="", file=sys.stderr)
    return 0


def _version() -> int:
    from .cli_client import Ollama

    running = ""
    try:
        running = Ollama().call("GET", "/api/version").get("version", "")
    except CourseError:
        print("Warning: could not connect to a running Ollama instance")
    if running:
        print(f"ollama version is {running}")
    if running != VERSION:
        print(f"Warning: client version is {VERSION}")
    return 0


def _menu() -> int:
    """`ollama` alone opens a menu in the real command, whose failure does not count as the command's."""
    from .cli_client import Ollama

    try:
        Ollama().heartbeat()
        print(f"Error: {ERRORS['no menu' if sys.stdin.isatty() else 'no terminal']}", file=sys.stderr)
    except CourseError as error:
        print(f"Error: {error}", file=sys.stderr)
    return 0


def _serve() -> int:
    from .cli_serve import serve

    return serve()


if __name__ == "__main__":
    sys.exit(program())
