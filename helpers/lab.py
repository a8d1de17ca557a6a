"""`python3 -m helpers lab`: JupyterLab, opened on the first lesson.

  lab                  opens it in the browser; Ctrl-C ends it and all that it started
  lab --no-browser     only prints its address
  lab --port 9000      on another port

Any other argument goes to JupyterLab as it is.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

from helpers.environment import COMMAND
from helpers.errors import CourseError

CONFIG = Path(__file__).resolve().parent / "jupyter-config"


def main(argv: list[str]) -> int:
    """Run JupyterLab in this process until it is told to stop. Raises CourseError if its port is taken."""
    port = asked_port(argv)
    if port:
        refuse_taken(port)
        argv = [*argv, "--ServerApp.port_retries=0"]
    set_environment()
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

    from helpers.practice import process

    try:
        server = LabApp.initialize_server(argv=argv)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: server.stop(from_signal=True))
        said = f"\nJupyterLab is at\n\n    {server.public_url}\n\nCtrl-C ends it.\n"
        server.io_loop.add_callback(print, said, flush=True)  # once it really answers
        server.identity_provider.token_generated = False  # or Jupyter prints the address once more
        server.start()
    finally:
        process.leave(owner=os.getpid())
    print("JupyterLab has ended; nothing of it is left running.")
    return 0


def asked_port(argv: list[str]) -> int | None:
    """The port that the arguments ask for, if they do and it is a number."""
    found = re.search(r"(?:^| )--(?:ServerApp\.)?port[= ](\d+)(?: |$)", " ".join(argv))
    return int(found[1]) if found else None


def refuse_taken(port: int) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                if os.name != "nt":  # there the option would share the port instead of testing it
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise CourseError(
                    f"Port {port} cannot be had ({error.strerror}); perhaps another lab still runs there. "
                    f"End that one, or take another port: {COMMAND} lab --port {port + 1}"
                ) from None


def set_environment() -> None:
    """Set what kernels and terminals inherit: our Jupyter settings, this Python, an `ollama` that works."""
    from helpers.practice import launcher

    paths = [os.environ.get("PATH", os.defpath)]
    if sys.prefix != sys.base_prefix:
        paths.insert(0, str(Path(sys.executable).parent))
    if shutil.which("ollama") is None:
        paths.append(str(launcher.folder()))
    os.environ["PATH"] = os.pathsep.join(paths)
    os.environ["COURSE_OWNER"] = str(os.getpid())
    configs = [str(CONFIG), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(configs)
