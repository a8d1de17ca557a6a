"""A small `ollama` launcher for the PATH of a notebook or terminal that has no real one.

It starts the practice command, which talks to the course's practice server if OLLAMA_HOST does not say
otherwise; so does python -m helpers.practice.launcher ARGS…
"""

from __future__ import annotations

import ntpath
import os
import shlex
import sys
from pathlib import Path
from typing import NoReturn

from . import process

# Unlike python -m, it takes no module from the current folder.
START = (
    "import sys; sys.path = [p for p in sys.path if p]; "
    "from helpers.practice import launcher; launcher.start()"
)
SH = """\
#!/bin/sh
export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}
exec {python} -c '{start}' "$@"
"""
CMD = """\
@echo off
setlocal
set "PYTHONPATH={root};%PYTHONPATH%"
"{python}" -c "{start}" %*
"""


def folder() -> Path:
    """Writes the launcher, if it is not there as it should be, and returns its folder. Raises CourseError."""
    where = process.course_home() / "bin"
    if os.name == "nt":
        path = where / "ollama.cmd"
        content = cmd(sys.executable, str(process.ROOT), str(where)).encode("oem", "replace")
    else:
        path = where / "ollama"
        content = os.fsencode(sh(sys.executable, str(process.ROOT)))
    try:
        if not (path.is_file() and path.read_bytes() == content and os.access(path, os.X_OK)):
            where.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            part.write_bytes(content)
            part.chmod(0o755)
            os.replace(part, path)
    except OSError as error:
        from helpers.errors import CourseError

        raise CourseError(
            f"{where} cannot be written ({error.strerror or error}). "
            "Set COURSE_HOME to a folder you can write."
        ) from None
    return where


def sh(python: str, root: str) -> str:
    """The launcher for a POSIX shell."""
    return SH.format(root=shlex.quote(root), python=shlex.quote(python), start=START)


def cmd(python: str, root: str, where: str) -> str:
    """The launcher for Windows in the folder `where`, from which its paths start: so most are ASCII."""

    def reach(path: str) -> str:
        try:
            path = "%~dp0" + ntpath.relpath(path, where).replace("%", "%%")
        except ValueError:  # another drive
            path = path.replace("%", "%%")
        return path

    return CMD.format(root=reach(root), python=reach(python), start=START).replace("\n", "\r\n")


def start() -> NoReturn:
    """The practice command as a program, with the course's server unless OLLAMA_HOST is set."""
    from . import command

    if not os.environ.get("OLLAMA_HOST"):
        from helpers.errors import CourseError

        try:
            os.environ["OLLAMA_HOST"] = process.ensure().url
        except CourseError as error:
            sys.exit(f"Error: {error}")
        except KeyboardInterrupt:
            sys.exit(command.INTERRUPTED)
    sys.exit(command.program())


if __name__ == "__main__":
    start()
