"""Who may reach the server, and that no request reaches a file outside its home."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.served import Served, raw, served

CANARY = "canary-" + "5e1f" * 8


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose home lies beside a file with the canary."""
    folder = tmp_path_factory.mktemp("security")
    (folder / "secret.txt").write_text(CANARY)
    with served(folder / "home", "--log") as one:
        yield one


@pytest.fixture
def client(own: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own.url, trust_env=False) as one:
        yield one


def test_it_listens_on_loopback_only(own: Served) -> None:
    process = psutil.Process(own.process.pid)
    listening = [one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize("path", ["/", "/api/tags", "/api/chat", "/v1/models", "/openai/v1/models", "/nope"])
def test_a_rebound_name_gets_nothing(own: Served, path: str) -> None:
    for method in (b"GET", b"POST", b"DELETE", b"OPTIONS"):
        head = b"%b %b HTTP/1.1\r\nHost: attacker.example:%d\r\n" % (method, path.encode(), own.port)
        got = raw(own.port, head + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 403 ") and got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/practice/journal", "/practice/owners/1", "/practice/signin", "/v2/"])
def test_nor_do_the_servers_own_pages_answer_a_strange_page(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, path, headers={"origin": "http://attacker.example"}).status_code == 403
        assert client.request(method, path, headers={"host": "attacker.example"}).status_code == 403


OUT = [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "..\\secret.txt",
    "..%5csecret.txt", "....//secret.txt", "/etc/passwd", "%2fetc%2fpasswd", "sha256:../../secret.txt",
    "sha256-..%2f..%2fsecret.txt", "%00", "secret.txt%00.gguf", "~/secret.txt", "file:///etc/passwd",
    "library/../../../secret.txt", "a:../../secret.txt", "../../../../../../etc/passwd", "C:\\secret.txt",
    "\\\\host\\share", "sha256:" + "0" * 63 + "/", "sha256:" + "g" * 64, "con", "nul:latest",
]  # fmt: skip


def no_canary(reply: httpx.Response) -> None:
    assert reply.status_code < 500 or reply.headers["content-type"].startswith("application/"), reply.text
    assert CANARY not in reply.text and "root:" not in reply.text
    assert "Traceback" not in reply.text


@pytest.mark.parametrize("name", OUT)
def test_no_path_reaches_a_file(own: Served, client: httpx.Client, name: str) -> None:
    for start in (
        "/",
        "/api/blobs/",
        "/v1/models/",
        "/openai/v1/models/",
        "/v2/library/x/blobs/",
        "/practice/",
    ):
        path = (start + name).replace(" ", "%20").replace("\\", "%5c")
        for method in (b"GET", b"HEAD"):
            head = b"%b %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (method, path.encode())
            got = raw(own.port, head)
            assert CANARY.encode() not in got and b"root:" not in got
            assert not got.startswith(b"HTTP/1.1 2") or b"secret" not in got


@pytest.mark.parametrize("name", OUT)
def test_no_name_in_a_body_reaches_a_file(own: Served, client: httpx.Client, name: str) -> None:
    home = Path(own.errors).parent / "home"
    before = outside(home)
    digest = "sha256:" + hashlib.sha256(CANARY.encode()).hexdigest()
    asks: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/show", {"model": name}),
        ("POST", "/api/copy", {"source": "llama3.2", "destination": name}),
        ("POST", "/api/copy", {"source": name, "destination": "x"}),
        ("DELETE", "/api/delete", {"model": name}),
        ("POST", "/api/create", {"model": name, "from": "llama3.2", "stream": False}),
        ("POST", "/api/create", {"model": "x", "from": name, "stream": False}),
        ("POST", "/api/create", {"model": "x", "files": {name: digest}, "stream": False}),
        ("POST", "/api/create", {"model": "x", "files": {"a.gguf": name}, "stream": False}),
        (
            "POST",
            "/api/create",
            {"model": "x", "from": "llama3.2", "adapters": {name: name}, "stream": False},
        ),
        ("POST", "/api/pull", {"model": f"127.0.0.1:1/{name}", "insecure": True, "stream": False}),
        ("POST", "/api/chat", {"model": name, "messages": [{"role": "user", "content": "Hi"}]}),
        ("POST", "/api/embed", {"model": name, "input": "x"}),
    ]
    for method, path, asked in asks:
        no_canary(client.request(method, path, content=json.dumps(asked)))
    assert outside(home) == before


def outside(home: Path) -> dict[str, int]:
    """Every file beside the home, with its size."""
    found = {}
    for folder, _, files in os.walk(home.parent):
        if not Path(folder).is_relative_to(home):
            found |= {os.path.join(folder, one): os.path.getsize(os.path.join(folder, one)) for one in files}
    return {path: size for path, size in found.items() if not path.endswith(".err")}


def test_a_wider_network_is_warned_of_in_one_sentence(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--host", "0.0.0.0") as own:
        assert own.url.startswith("http://0.0.0.0:")
        local = f"http://127.0.0.1:{own.port}"
        reply = httpx.get(f"{local}/api/tags", headers={"host": "my-machine.example"}, trust_env=False)
        assert reply.status_code == 200  # as in the real server, the Host rule is for loopback only
        page = {"origin": "http://attacker.example"}
        assert httpx.get(f"{local}/api/tags", headers=page, trust_env=False).status_code == 403
    said = own.errors.read_text()
    assert said == "Anyone who can reach 0.0.0.0 can use this server; it checks no key.\n"


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--host", "my-machine"], "my-machine is no address to listen on; use 127.0.0.1"),
        (["--port", "99999"], "Port 99999 on 127.0.0.1 cannot be taken"),
        (["--host", "192.0.2.1"], "on 192.0.2.1 cannot be taken"),
    ],
)
def test_where_it_cannot_listen_it_says_so(tmp_path: Path, flags: list[str], said: str) -> None:
    command = [sys.executable, "-m", "helpers.practice.server", "--home", str(tmp_path / "home"), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and ended.stdout == ""
    assert said in ended.stderr and ended.stderr.count("\n") == 1
