"""The process a real model runs in: llama.cpp's own server on a loopback port, until stdin is closed.

The first line of stdin is JSON: the paths to import the runner from, the model's file, and how to run it. The
address is the one line on stdout. The process that started this one holds the other end of stdin, and it
closes however that process ends; so nothing is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for the server
    given = json.loads(sys.stdin.buffer.readline())
    sys.path[:1] = given["path"]  # instead of this file's folder
    runner = import_module("xllamacpp")

    params = runner.CommonParams()
    params.model.path = given["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [given["key"]]
    params.cors_origins = "null"
    params.ui = False
    params.offline = True
    params.verbosity = 0
    params.use_jinja = False
    params.chat_template = "chatml"  # prompts come ready made; this one is never used
    params.cache_ram_mib = 0
    for name, value in given["params"].items():
        setattr(params, name, value)
    params.cpuparams.n_threads = given["threads"]
    server = runner.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
