"""Signing in, cloud models and signing out, all on this machine."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

CLOUD = "gpt-oss:20b-cloud"
COMMAND = {"user-agent": "ollama/0.32.15 (test)"}
ASKED = {"model": CLOUD, "messages": [{"role": "user", "content": "Hi"}], "stream": False}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    """A server of its own: who is signed in is kept in the home."""
    yield from _served(home, {})


def _served(home: Path, environ: dict[str, str]) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "helpers", "practice", "--port", "0", "--home", str(home)]
    server = subprocess.Popen(
        [*command, "--models", "all"], stdout=subprocess.PIPE, text=True, env=os.environ | environ
    )
    assert server.stdout
    with httpx.Client(base_url=server.stdout.readline().strip(), timeout=30, trust_env=False) as client:
        yield client
    server.terminate()
    server.wait(10)


def sign_in(client: httpx.Client, page: str, name: str = "Ada") -> httpx.Response:
    token = re.search(r'name="token" value="([0-9a-f]+)"', client.get(page).text)
    assert token
    return client.post("/practice/signin", data={"account": name, "token": token[1]})


def test_sign_in_cloud_call_sign_out(client: httpx.Client, home: Path) -> None:
    assert client.post("/api/me").status_code == 503  # nobody has wanted an account yet
    assert client.post("/api/signout").json() == {"error": "there was an error signing out"}
    refused = client.post("/api/chat", json=ASKED)
    assert refused.status_code == 401 and refused.json()["error"] == "unauthorized"
    page = refused.json()["signin_url"]
    assert page.startswith(f"{client.base_url}".rstrip("/") + "/practice/signin?name=")
    assert client.post("/api/me").json() == refused.json()
    assert client.post("/api/signout").json() == {"error": "you are not currently signed in"}

    assert "Signed in" in sign_in(client, page).text
    me = client.post("/api/me").json()
    assert (me["name"], me["plan"]) == ("Ada", "free")
    said = client.post("/api/chat", json=ASKED).json()
    assert said["message"]["content"] and said["model"] == "gpt-oss:20b"
    assert client.post("/v1/chat/completions", json=ASKED).json()["choices"]
    assert client.get("/api/ps").json() == {"models": []}
    unknown = client.post("/api/generate", json={"model": "nosuch:cloud", "prompt": "x"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "model 'nosuch' not found"})

    client.post("/api/copy", json={"source": CLOUD, "destination": "mine"})
    said = client.post("/api/chat", json={**ASKED, "model": "mine"}).json()
    assert list(said)[:3] == ["model", "remote_model", "remote_host"] and said["model"] == "mine"

    out = client.post("/api/signout")
    assert (out.status_code, out.text) == (200, "null")
    assert client.post("/api/chat", json=ASKED).status_code == 401
    sign_in(client, page)
    assert client.delete("/api/user/keys/any").status_code == 200


def test_the_command_opens_the_account(client: httpx.Client, home: Path) -> None:
    url = client.post("/api/me", headers=COMMAND).json()["signin_url"]
    key = httpx.URL(url).params["key"]
    public = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()
    assert public == (home / "id_ed25519.pub").read_text().strip() and public.startswith("ssh-ed25519 ")
    private = home / "id_ed25519"
    assert private.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    if sys.platform != "win32":
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert client.post("/api/me", headers=COMMAND).json()["signin_url"] == url


def test_only_the_servers_own_form_signs_in(client: httpx.Client) -> None:
    page = client.post("/api/chat", json=ASKED).json()["signin_url"]
    drawn = client.get(page)
    assert "form-action 'self'" in drawn.headers["content-security-policy"]
    assert '<html lang="en">' in drawn.text and "<label for=" in drawn.text and "color-scheme" in drawn.text
    assert client.post("/practice/signin", data={"account": "Eve", "token": "0" * 64}).status_code == 400
    foreign = client.post("/practice/signin", data={"account": "Eve"}, headers={"origin": "http://evil.com"})
    assert foreign.status_code == 403
    assert client.get("/practice/signin?key=other").status_code == 400
    assert client.post("/api/me").status_code == 401
    assert "<b>" not in sign_in(client, page, "<b>Ada</b>").text


def test_experimental_endpoints_want_an_account(client: httpx.Client) -> None:
    for name, asked in (("web_search", {"query": "x"}), ("web_fetch", {"url": "http://x"})):
        path = f"/api/experimental/{name}"
        assert client.post(path).json() == {"error": "missing request body"}
        refused = client.post(path, json=asked)
        assert refused.status_code == 401 and refused.json()["signin_url"]
        sign_in(client, refused.json()["signin_url"])
        assert client.post(path, json=asked).status_code == 200
        client.post("/api/signout")
    recommended = client.get("/api/experimental/model-recommendations").json()["recommendations"]
    assert recommended[0]["model"].endswith(":cloud")


def test_a_cloud_that_is_switched_off(home: Path) -> None:
    for client in _served(home, {"OLLAMA_NO_CLOUD": "1"}):
        assert client.get("/api/status").json() == {"cloud": {"disabled": True, "source": "env"}}
        off = "ollama cloud is disabled: "
        for path, asked, what in (
            ("chat", ASKED, "remote model is unavailable"),
            ("show", {"model": CLOUD}, "remote model details are unavailable"),
            ("experimental/web_search", {"query": "x"}, "web search is unavailable"),
            ("experimental/web_fetch", {"url": "x"}, "web fetch is unavailable"),
        ):
            refused = client.post(f"/api/{path}", json=asked)
            assert (refused.status_code, refused.json()) == (403, {"error": off + what})


def test_names_say_where_a_model_runs(client: httpx.Client) -> None:
    def delete(model: str) -> tuple[int, str]:
        reply = client.request("DELETE", "/api/delete", json={"model": model})
        return reply.status_code, reply.json()["error"] if reply.content else ""

    assert delete("nosuch:cloud") == (404, "model 'nosuch:cloud' not found")
    assert delete("a:local:cloud") == (400, 'use either :local or :cloud, not both: "a:local:cloud"')
    assert client.post("/api/show", json={"model": CLOUD}).json()["remote_model"] == "gpt-oss:20b"
    assert delete("gpt-oss:20b:cloud") == (200, "")
    assert delete(CLOUD)[0] == 404
    assert client.post("/api/show", json={"model": "llama3.2:local"}).status_code == 200
