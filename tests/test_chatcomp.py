"""my_code/chat_completion/chatcomp.py, run as a learner runs it, against tiny servers of one answer each."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[1] / "my_code" / "chat_completion" / "chatcomp.py"
KEY = "sk-practice-0123456789abcdef"
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-5-nano-2025-08-07",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Honig hält ewig 🍯"}}],
    "system_fingerprint": "fp_ollama",
}
SILENCE = "no answer until the test is over"
CUT = "hang up without an answer"

Serve = Callable[..., SimpleNamespace]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(status, body, headers) starts a server with this answer; .url is its base, .seen its requests."""
    servers: list[ThreadingHTTPServer] = []
    over = threading.Event()

    def start(
        status: int = 200, body: object = REPLY, headers: dict[str, str] | None = None
    ) -> SimpleNamespace:
        seen: list[dict[str, object]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = self.rfile.read(int(self.headers["content-length"]))
                seen.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(request)})
                if body == SILENCE:
                    over.wait()
                if body in (SILENCE, CUT):
                    return
                data = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/v1", seen=seen)

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A copy of the script with an empty .env beside it, so that nobody's real .env is found."""
    copy = tmp_path / "my code é" / SCRIPT.name
    copy.parent.mkdir()
    copy.write_bytes(SCRIPT.read_bytes())
    copy.with_name(".env").touch()
    return copy


def run(command: list[object], url: str | None = None, key: str | None = KEY, **more: str) -> SimpleNamespace:
    """One run in a clean environment, outside the script's folder; KEY must not be in the output."""
    ours = ("OPENAI_", "OLLAMA_", "PYTHON", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    environ = {k: v for k, v in os.environ.items() if not k.upper().startswith(ours)}
    environ |= {"NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"} | more
    if url is not None:
        environ["OPENAI_BASE_URL"] = url
    if key is not None:
        environ["OPENAI_API_KEY"] = key
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, env=environ, cwd=Path.home(), timeout=30
    )
    out, err = (stream.decode("utf-8").replace("\r\n", "\n") for stream in (done.stdout, done.stderr))
    assert KEY not in out + err
    assert "Traceback" not in err
    return SimpleNamespace(code=done.returncode, out=out, err=err)


def test_sends_the_payload_it_shows_and_prints_the_reply(serve: Serve, script: Path) -> None:
    server = serve()
    result = run([script], server.url)
    assert (result.code, result.err) == (0, "")

    [request] = server.seen
    payload = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "Tell me a fun fact"}]}
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["Authorization"] == f"Bearer {KEY}"
    assert request["headers"]["Content-Type"] == "application/json"
    assert request["body"] == payload

    banner, shown = result.out.split("📦 Payload:\n")
    assert banner.splitlines()[0] == banner.splitlines()[2] == "=" * 60
    shown_payload, shown_reply = shown.split("\n\n📬 Reply:\n")
    assert shown_payload == json.dumps(payload, indent=2)
    assert shown_reply == json.dumps(REPLY, indent=2, ensure_ascii=False) + "\n"


def test_an_argument_names_another_model(serve: Serve, script: Path) -> None:
    server = serve()
    assert run([script, "llama3.2"], server.url + "/").code == 0
    assert (server.seen[0]["path"], server.seen[0]["body"]["model"]) == ("/v1/chat/completions", "llama3.2")


def test_a_scripted_reply_is_called_scripted(serve: Serve, script: Path) -> None:
    result = run([script], serve(headers={"x-practice": "scripted"}).url)
    assert "scripted, not a model's" in result.out


def test_a_key_that_the_server_echoes_is_replaced(serve: Serve, script: Path) -> None:
    result = run([script], serve(body={"you sent": f"Bearer {KEY}"}).url)
    assert json.loads(result.out.split("Reply:\n")[1]) == {"you sent": "Bearer [your key]"}


def test_the_placeholder_key_ollama_hides_nothing(serve: Serve, script: Path) -> None:
    assert '"fp_ollama"' in run([script], serve().url, key="ollama").out


def test_the_env_file_is_found_from_any_folder_and_wins(serve: Serve, script: Path) -> None:
    server = serve()
    script.with_name(".env").write_text(
        f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={server.url}\n", encoding="utf-8"
    )
    assert run([script], url="http://127.0.0.1:1", key="sk-from-the-environment").code == 0
    assert server.seen[0]["headers"]["Authorization"] == f"Bearer {KEY}"


def test_a_console_without_emoji_does_not_crash(serve: Serve, script: Path) -> None:
    result = run([script], serve().url, PYTHONIOENCODING="ascii")
    assert result.code == 0
    assert "Honig h?lt ewig ?" in result.out


@pytest.mark.parametrize("key", [None, "", "  "])
def test_no_key(script: Path, key: str | None) -> None:
    result = run([script], "http://127.0.0.1:1", key=key)
    assert result.code == 1
    assert "OPENAI_API_KEY is not set" in result.err
    assert "sk-practice" in result.err


@pytest.mark.parametrize("key", [KEY + " x", KEY + "\nx", "“" + KEY + "”"])
def test_a_key_pasted_wrongly(script: Path, key: str) -> None:
    result = run([script], "http://127.0.0.1:1", key=key)
    assert result.code == 1
    assert "which no key has" in result.err


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}, "provided: [your key]."),
        (401, {"error": {"message": "no"}}, "Check OPENAI_API_KEY"),
        (401, {"error": {"message": None}}, "HTTP 401"),
        (404, {"error": {"message": "model 'gpt-5-nano' not found"}}, "model 'gpt-5-nano' not found"),
        (404, {"error": {"message": "no"}}, "chatcomp.py llama3.2"),
        (429, {"error": {"message": "Rate limit reached"}}, "Rate limit reached"),
        (500, {"error": "out of memory"}, "HTTP 500"),
        (500, {"error": "out of memory"}, "out of memory"),
        (400, {"detail": "a shape of its own"}, "a shape of its own"),
        (400, ["not an object"], "not an object"),
        (503, "<h1>Busy</h1>", "<h1>Busy</h1>"),
        (502, "", "Bad Gateway"),
        (307, "", "HTTP 307"),
    ],
)
def test_an_http_error_shows_the_servers_own_message(
    serve: Serve, script: Path, status: int, body: object, said: str
) -> None:
    result = run([script], serve(status, body).url)
    assert result.code == 1
    assert said in result.err
    assert "Reply" not in result.out


def test_a_reply_that_is_no_json(serve: Serve, script: Path) -> None:
    result = run([script], serve(body="<html>a login page</html>").url)
    assert result.code == 1
    assert "but '<html>a login page</html>'" in result.err


def test_a_server_that_hangs_up(serve: Serve, script: Path) -> None:
    result = run([script], serve(body=CUT).url)
    assert result.code == 1
    assert "No reply from http://127.0.0.1" in result.err


def test_a_time_out(serve: Serve, script: Path) -> None:
    impatient = (
        "import httpx, runpy, sys; post = httpx.post;"
        "httpx.post = lambda url, timeout, **more: post(url, timeout=timeout / 300, **more);"
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    result = run(["-c", impatient, script], serve(body=SILENCE).url)
    assert result.code == 1
    assert "did not answer in time" in result.err


def test_a_refused_connection(script: Path) -> None:
    with socket.socket() as held:  # bound but not listening: nobody else gets this port, and it refuses
        held.bind(("127.0.0.1", 0))
        result = run([script], f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    assert result.code == 1
    assert "Is the server running" in result.err


@pytest.mark.parametrize(
    "url", ["localhost:11434/v1", "api.openai.com", "ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:x/v1"]
)
def test_a_bad_base_url(script: Path, url: str) -> None:
    result = run([script], url)
    assert result.code == 1
    assert "it should look like https://api.openai.com/v1" in result.err


def test_the_default_server_is_openais(script: Path) -> None:
    """Seen without a request leaving the machine: a stand-in for httpx.post says where it would have gone."""
    stand_in = (
        "import httpx, runpy, sys; httpx.post = lambda url, **more: sys.exit('to ' + url);"
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    assert "to https://api.openai.com/v1/chat/completions" in run(["-c", stand_in, script]).err
