"""A server whose every text is hostile, and a canary: a server that only counts who was lured to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TIME = "2027-01-01T00:00:00Z"
WORD = "pelican"  # stands in every hostile text: where it is to be seen, the text was drawn
MARKUP = (
    "<img src='{at}/img' onerror='top.bitten=1'><script>top.bitten=2;fetch('{at}/script')</script>"
    "<iframe srcdoc='<script>parent.bitten=3</script><img src={at}/frame>'></iframe>"
    "<a href='javascript:top.bitten=4'>a</a><form action='{at}/form'><button>go</button></form>"
    "<button data-commandlinker-command='apputils:change-theme' data-commandlinker-args='{{}}'>b</button>"
    "<svg onload='top.bitten=5'><image href='{at}/svg'></svg>"
    "<p style='background:url({at}/css)'>p</p><link rel=stylesheet href='{at}/link'>"
    "</pre></textarea></style><img src={at}/out onerror=top.bitten=6>"
)
MARKDOWN = "\n\n![m]({at}/markdown) [n](javascript:top.bitten=7) ![o][r]\n\n[r]: {at}/reference\n\n"


def text(canary: str) -> str:
    return WORD + (MARKUP + MARKDOWN).format(at=canary) + WORD


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, body: bytes, media_type: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def canary(lured: list[str]) -> Iterator[str]:
    """Yields the address; the path of every request is added to `lured`."""

    class Canary(_Quiet):
        def do_GET(self) -> None:
            lured.append(self.path)
            self.reply(b"", "text/plain")

    with _serving(Canary) as url:
        yield url


@contextmanager
def server(bait: str) -> Iterator[str]:
    """Answers Chat Completions and Ollama's lists with `bait` in every field.

    The model says how: "whole", "refused" (an error), "endless" (a stream without an end), "gone" (a stream
    that breaks off); any other streams if it is asked to.
    """
    ended = threading.Event()

    class Hostile(_Quiet):
        def do_GET(self) -> None:
            one = {"name": bait, "model": bait, "size": 1, "digest": bait, "modified_at": TIME}
            details = {"family": bait, "parameter_size": bait, "quantization_level": bait, "format": bait}
            loaded = {**one, "details": details, "expires_at": TIME, "size_vram": 1, "context_length": 1}
            self.reply(json.dumps({"models": [loaded], "version": bait, "data": [{"id": bait}]}).encode())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model = asked.get("model")
            if self.path.startswith("/api/"):
                fields = ("license", "template", "system", "parameters", "modelfile")
                shown = {name: bait for name in fields} | {"details": {}, "capabilities": [bait]}
                self.reply(json.dumps(shown).encode())
            elif model == "refused":
                error = {"message": bait, "type": bait, "code": bait, "param": bait}
                self.reply(json.dumps({"error": error}).encode(), status=400)
            elif asked.get("stream"):
                self.stream(model)
            else:
                self.reply(json.dumps(completion("message", bait)).encode())

        def stream(self, model: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            count = {"endless": 10**6, "gone": 20}.get(model, 2)
            for number in range(count):
                piece = completion("delta", f"word{number} {bait if number < 2 else ''}")
                if number or count > 2:
                    piece["choices"][0]["finish_reason"] = None
                if count > 2:
                    del piece["choices"][0]["logprobs"], piece["choices"][0]["delta"]["tool_calls"]
                try:
                    self.event(b"data: " + json.dumps(piece).encode() + b"\n\n")
                except OSError:
                    break
                if count > 2 and ended.wait(0.02):
                    break
            else:
                if model != "gone":
                    self.event(b"data: [DONE]\n\n")
                    self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def event(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

    with _serving(Hostile) as url:
        try:
            yield url
        finally:
            ended.set()


def completion(part: str, bait: str) -> dict[str, Any]:
    call = {"index": 0, "id": bait, "type": "function", "function": {"name": bait, "arguments": bait}}
    token = {"token": bait, "logprob": -2.0, "top_logprobs": [{"token": bait + "2", "logprob": -0.2}]}
    words = {"role": "assistant", "content": bait, "reasoning": bait, "refusal": bait, "tool_calls": [call]}
    choice = {"index": 0, part: words, "finish_reason": bait, "logprobs": {"content": [token]}}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, bait: bait}
    return {"id": bait, "object": bait, "model": bait, "choices": [choice], "usage": usage}
