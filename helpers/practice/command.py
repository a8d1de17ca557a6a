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
from .command_texts import (
    CLAUDE_DESKTOP,
    ERRORS,
    HELP,
    INTEGRATIONS,
    NOT_SIGNED_IN,
    ROOT,
    SIGN_IN_TO_RUN,
    SIGN_IN_URL,
    SIGNED_IN,
    SIGNED_OUT,
    VERSION,
    Command,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cli_client import Ollama

WORK = {
    "create": ("cli_create", "create"),
    "show": ("cli_show", "show"),
    "run": ("cli_run", "run"),
    "stop": ("cli_models", "stop"),
    "pull": ("cli_models", "pull"),
    "push": ("cli_models", "push"),
    "signin": ("command", "signin"),
    "login": ("command", "signin"),
    "signout": ("command", "signout"),
    "logout": ("command", "signout"),
    "list": ("cli_list", "list_models"),
    "ps": ("cli_list", "list_running"),
    "cp": ("cli_models", "copy"),
    "rm": ("cli_models", "remove"),
    "launch": ("command", "launch"),
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
    if command.name != "launch" or "".join(given.words[:1]).lower() not in CLAUDE_DESKTOP:
        ollama.heartbeat()
    module, function = WORK[command.name]
    getattr(import_module(f".{module}", __package__), function)(given, ollama)


# --- the commands that are not about models -----------------------------------------------------------------


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
        running = Ollama().call("GET", "/api/version")["version"]
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
        print(f"Error: {ERRORS['no menu']}", file=sys.stderr)
    except CourseError as error:
        print(f"Error: {error}", file=sys.stderr)
    return 0


def _serve() -> int:
    import socket

    from .cli_client import host, join

    _, name, port, _ = host()
    if name not in ("127.0.0.1", "localhost"):
        raise CourseError(ERRORS["serve host"].format(address=join(name, port), port=port))
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, int(port)))
        except OSError:
            raise CourseError(ERRORS["port busy"].format(address=join(name, port))) from None
    from . import server

    return server.main(["--port", port])


def signin(given: Given, ollama: Ollama) -> None:
    from .cli_client import SignInNeeded

    try:
        user = ollama.call("POST", "/api/me") or {}
    except SignInNeeded as error:
        print(SIGN_IN_TO_RUN + (SIGN_IN_URL.format(url=error.url) if error.url else ""), end="")
        return
    if user.get("name"):
        print(SIGNED_IN.format(name=user["name"]), end="")


def signout(given: Given, ollama: Ollama) -> None:
    from .cli_client import SignInNeeded

    try:
        ollama.call("POST", "/api/signout")
        print(SIGNED_OUT, end="")
    except SignInNeeded:
        print(NOT_SIGNED_IN, end="")


def launch(given: Given, ollama: Ollama) -> None:
    """The practice command starts no integrations: it only says what is wrong with the command line."""
    words, dash = given.words, given.before_dash
    if dash is None and len(words) > 1:
        raise CourseError(ERRORS["integration words"].format(words=" ".join(words[1:])))
    if dash is not None and dash > 1:
        raise CourseError(ERRORS["integration dash"].format(count=dash))
    name = words[0] if words and dash != 0 else ""
    if not name and (given.flags or words):
        raise CourseError(ERRORS["integration name"])
    if not name:
        print(f"Error: {ERRORS['no menu']}", file=sys.stderr)
        return
    if name.lower() in CLAUDE_DESKTOP:
        raise CourseError(ERRORS["claude desktop"])
    if name.lower() not in INTEGRATIONS:
        raise CourseError(ERRORS["unknown integration"].format(name=name))
    raise CourseError(ERRORS["no launch"].format(name=name))


if __name__ == "__main__":
    sys.exit(program())
