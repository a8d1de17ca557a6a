"""Forks practice servers from one process that has imported them already, so that each starts in a few ms.

Standard input gets the path of a home per line; standard output answers with process id and port.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from helpers.practice import server


def main() -> None:
    for line in sys.stdin:
        listener = socket.create_server(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            os.close(0)
            server.run(server.build(Path(line.strip())), listener)
            os._exit(0)
        print(pid, listener.getsockname()[1], flush=True)
        listener.close()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    main()
