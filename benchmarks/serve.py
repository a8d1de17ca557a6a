"""How fast the practice server answers, beside @copilotkit/aimock, a bare Starlette application, and nothing.

    python benchmarks/serve.py [SECONDS]

Measures chat replies a second and stream events a second with 1, 16 and 256 clients that keep their
connections, the processor time each reply costs its server, the time to a stream's first byte, the cost of a
streamed token in short and long replies, the start and the memory at rest; prints ratios.

All are asked the same and send about as many bytes of text in as many events; the padding that
api.openai.com adds to events is switched off, because only the practice server has it. What differs is the
work: aimock looks up a fixed text, the bare application sends fixed bytes, and the practice server checks
every field of the request, draws every token, and counts them. "No work" is a fixed reply sent by a parser
and nothing else: what the load (benchmarks/load.py, a process of its own) can ask for at most.

On a busy machine look at the processor time: replies a second then depend on who else runs.

aimock is installed from npm into a temporary folder; without npm its column is left out.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
LOAD = ROOT / "benchmarks" / "load.py"
AIMOCK = "@copilotkit/aimock@1.43.0"
CLIENTS = (1, 16, 256)
ROUNDS = 3  # the best of them counts: a busy machine only ever makes a server slower
STARTS = 3
SAMPLE = 200  # replies of ours, whose average length the others get
TEXT = "Octopuses have three hearts, and two of them stop beating when they swim."  # what ours says, about
AROUND = 3  # events of a stream without text: the role, the reason of the end, [DONE]
CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me a fun fact"}],
}
STREAM = {"stream": True, "stream_options": {"include_obfuscation": False}}
LENGTHS = (100, 1_000, 10_000, 100_000)  # tokens of a streamed reply

BARE = """
import asyncio, json, socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
reply, event, count = sys.argv[1].encode(), sys.argv[2].encode() + b"\\n\\n", int(sys.argv[3])
async def chat(request):
    asked = json.loads(await request.body())
    if not asked.get("stream"):
        return Response(reply, media_type="application/json")
    async def events():
        for _ in range(count):
            yield event
    return StreamingResponse(events(), media_type="text/event-stream")
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(2048)
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
config = uvicorn.Config(app, log_level="error", access_log=False, ws="none", lifespan="off")
asyncio.run(uvicorn.Server(config).serve([listener]))
"""

NO_WORK = """
import asyncio, httptools, sys
reply = sys.argv[1].encode()
whole = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(reply), reply)
events = (sys.argv[2] + "\\n\\n").encode() * int(sys.argv[3])
stream = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(events), events)
class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser, self.said = transport, httptools.HttpRequestParser(self), whole
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_body(self, body):
        self.said = stream if b'"stream": true' in body else whole
    def on_message_complete(self):
        self.transport.write(self.said)
async def serve():
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
    print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
try:
    from uvloop import run
except ImportError:
    run = asyncio.run
run(serve())
"""


class Server:
    """A server to be measured: where its chat is, how long it took to start, its memory then.

    `command` prints its URL first, or is found at `url`. The quickest of STARTS starts counts.
    """

    def __init__(self, name: str, command: list[str], chat: str, url: str = "") -> None:
        self.name, self.started = name, 1e9
        for _ in range(STARTS - 1):
            self._start(command, chat, url)
            self.stop()
        self._start(command, chat, url)
        self.memory = psutil.Process(self.process.pid).memory_info().rss / 1e6

    def _start(self, command: list[str], chat: str, url: str) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout
        self.url = (url or self.process.stdout.readline().strip()) + chat
        while True:
            try:
                ask(self.url, CHAT).read()
                break
            except OSError:
                time.sleep(0.005)
        self.started = min(self.started, time.perf_counter() - began)

    @property
    def busy(self) -> float:
        """Seconds of processor time it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


def ask(url: str, asked: dict[str, Any]) -> Any:
    headers = {"content-type": "application/json", "authorization": "Bearer sk-practice"}
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), headers))


@contextmanager
def servers() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        command = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home", home]
        ours = Server("practice", command, "/openai/v1/chat/completions")
        made = [ours]
        stack.callback(ours.stop)
        whole = ask(ours.url, CHAT).read().decode()
        streams = [ask(ours.url, {**CHAT, **STREAM}).read().decode() for _ in range(SAMPLE)]
        events = streams[0].split("\n\n")
        count = round(sum(one.count("data: ") for one in streams) / SAMPLE)
        fixed = [whole, events[len(events) // 2], str(count)]
        for name, program in (("no work", NO_WORK), ("bare Starlette", BARE)):
            made.append(Server(name, [sys.executable, "-c", program, *fixed], "/v1/chat/completions"))
            stack.callback(made[-1].stop)
        if mock := aimock(Path(home), count):
            made.append(mock)
            stack.callback(mock.stop)
        yield made


def aimock(folder: Path, events: int) -> Server | None:
    """aimock with one reply of TEXT, a stream of as many `events`."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        print("npm is not installed: aimock is left out.")
        return None
    install = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", AIMOCK]
    if subprocess.run(install).returncode:
        print(f"npm could not install {AIMOCK}: it is left out.")
        return None
    fixture = {"match": {"userMessage": "fun fact"}, "response": {"content": TEXT}}
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "chat.json").write_text(json.dumps({"fixtures": [fixture]}))
    port = free_port()
    program = folder / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    chunk = ["-c", str(math.ceil(len(TEXT) / (events - AROUND))), "--log-level", "silent"]
    command = [node, str(program), "-p", str(port), "-f", str(folder / "fixtures"), *chunk]
    return Server("aimock", command, "/v1/chat/completions", f"http://127.0.0.1:{port}")


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def load(server: Server, clients: int, seconds: float, stream: bool) -> dict[str, float]:
    command = [sys.executable, str(LOAD), server.url, str(clients), str(seconds)]
    body = json.dumps({**CHAT, **STREAM} if stream else CHAT)
    busy = server.busy
    done = subprocess.run(command, input=body, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{server.name}: {done.stderr}")
    got = json.loads(done.stdout)
    return {**got, "cost": (server.busy - busy) / got["replies"] * 1e6}


def measure(made: list[Server], seconds: float) -> None:
    print(f"{'':34}" + "".join(f"{one.name:>16}" for one in made) + "   practice / each other")
    bound = {}
    for clients in CLIENTS:
        for stream, what, unit in ((False, "chats", "replies"), (True, "events", "events")):
            best = [0.0] * len(made)
            first, cost = [1e9] * len(made), [1e9] * len(made)
            for _ in range(ROUNDS):  # side by side, so that a slow moment meets all of them
                for i, one in enumerate(made):
                    got = load(one, clients, seconds, stream)
                    best[i] = max(best[i], got[unit] / got["seconds"])
                    first[i] = min(first[i], got["first"])
                    cost[i] = min(cost[i], got["cost"])
            row(f"{what}/s, {clients} clients", best, "{:.0f}")
            row("  processor time a reply, µs", cost, "{:.0f}")
            bound[what] = ", ".join(f"{one.name} {spent:.0f}" for one, spent in zip(made, cost, strict=True))
            if stream and clients == 1:
                row("  first byte, ms", first, "{:.2f}")
    row("start to first reply, s", [one.started for one in made], "{:.2f}")
    row("memory at rest, MB", [one.memory for one in made], "{:.0f}")
    print("What bounds it is processor time in one thread, in µs a reply:")
    for what, costs in bound.items():
        print(f"  {what}: {costs}")
    print("  What practice needs beyond no work is Python: a framework's share is bare Starlette's, the rest")
    print("  checks the request, draws and counts its tokens, and spells the reply.")


def row(what: str, numbers: list[float], form: str) -> None:
    ratios = ", ".join(f"{numbers[0] / other:.2f}" for other in numbers[1:])
    print(f"{what:34}" + "".join(f"{form.format(number):>16}" for number in numbers) + f"   {ratios}")


def lengths(ours: Server) -> None:
    """Microseconds a token in replies of LENGTHS tokens, as a client sees it."""
    url = ours.url.replace("/openai/v1/chat/completions", "/api/chat")
    story = [{"role": "user", "content": "Write a story of 100000 words."}]
    costs = []
    for tokens in LENGTHS:
        options = {"num_predict": tokens, "num_ctx": 2 * LENGTHS[-1]}
        took = []
        for _ in range(max(ROUNDS, 10_000 // tokens)):
            began = time.perf_counter()
            lines = ask(url, {"model": "llama3.2", "messages": story, "options": options}).read().count(b"\n")
            took.append((time.perf_counter() - began) / lines * 1e6)
        costs.append(min(took))
    text = ", ".join(f"{cost:.0f} µs in {n}" for cost, n in zip(costs, LENGTHS, strict=True))
    print(f"a streamed token costs {text} tokens")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with servers() as made:
        measure(made, seconds)
        lengths(made[0])


if __name__ == "__main__":
    main()
