"""The front door: `python3 -m helpers COMMAND`.

Old Pythons read this file too, to say that they are too old: no syntax newer than Python 3.6 may stand here.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit(
        f"This course needs Python 3.10 or newer; this one is {sys.version.split()[0]} ({sys.executable}). "
        "Get a newer one from https://www.python.org/downloads/ and run the same command with it."
    )

import difflib
import importlib
import io

from helpers import environment
from helpers.errors import CourseError

COMMANDS = {  # name: the module whose main(argv) it is, what it does
    "lab": ("helpers.lab", "open the lessons in JupyterLab"),
    "test": ("helpers.checks", "check everything: style, types, helpers, every notebook"),
    "doctor": ("helpers.doctor", "say what is installed, what is wrong, and the fix for each"),
    "clean": ("helpers.clean", "delete the models that lessons made (their names begin with course-)"),
    "practice": ("helpers.practice.server", "run the practice server in this terminal"),
}


def contents() -> str:
    lines = [f"  {environment.COMMAND} {name:<10}{does}" for name, (_, does) in COMMANDS.items()]
    return "\n".join(
        (
            "Learn the Ollama command line and raw Chat Completions payloads, in notebooks that really run.",
            "",
            *lines,
            "",
            "Put --help after a command to read more. The first lab or test installs its packages in .venv;",
            "a Python that has them all already is used as it is.",
        )
    )


def main(argv: list[str]) -> int:
    """Run one command and return its exit code; 2 if there is no such command. Raises CourseError."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(contents())
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"The commands are {', '.join(COMMANDS)}."
        print(f"There is no command {name!r}. {hint}", file=sys.stderr)
        return 2
    module = COMMANDS[name][0]
    if rest[:1] in (["-h"], ["--help"]) and name != "practice":  # practice reads its own options
        print(importlib.import_module(module).__doc__)
        return 0
    environment.enter(argv, make=name != "doctor")
    return importlib.import_module(module).main(rest)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for consoles that lack some letters
    try:
        sys.exit(main(sys.argv[1:]))
    except CourseError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
