"""The practice registry, and pulls and pushes between servers and against registries that misbehave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.practice.store import LAYER_TYPE, MANIFEST_TYPE, Store, digest_of

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 10  # seconds
WEIGHTS = os.urandom(1 << 20)


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def other_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("other")


@pytest.fixture(scope="module")
def other(other_home: Path) -> Iterator[httpx.Client]:
    """A second server, which is not frozen and lets a stand-in's weights come at 2 GB a second."""
    command = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home", str(other_home)]
    environ = {**os.environ, "COURSE_PULL_SPEED": "2000"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ)
    assert server.stdout
    with httpx.Client(base_url=server.stdout.readline().strip(), timeout=30, trust_env=False) as client:
        yield client
    server.terminate()
    server.wait(10)


def host_of(client: httpx.Client) -> str:
    return client.base_url.netloc.decode()


def lines_of(client: httpx.Client, action: str, model: str, **more: Any) -> list[dict[str, Any]]:
    reply = client.post(f"/api/{action}", json={"model": model, "insecure": True, **more})
    assert reply.status_code == 200 and reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


def pull(client: httpx.Client, model: str, **more: Any) -> list[dict[str, Any]]:
    return lines_of(client, "pull", model, **more)


def listed(client: httpx.Client) -> dict[str, Any]:
    return {one["name"]: one for one in client.get("/api/tags").json()["models"]}


def statuses(lines: list[dict[str, Any]]) -> list[str]:
    """The statuses, each once where it comes several times in a row."""
    found = [line.get("status") or line["error"] for line in lines]
    return [one for one, before in zip(found, ["", *found], strict=False) if one != before]


def remove(client: httpx.Client, *models: str) -> None:
    for model in models:
        assert client.request("DELETE", "/api/delete", json={"model": model}).status_code == 200


# --- the protocol -----------------------------------------------------------------------------------


def test_the_library_is_served_with_true_digests_and_sizes(client: httpx.Client) -> None:
    assert client.get("/v2/").headers["docker-distribution-api-version"] == "registry/2.0"
    assert "library/llama3.2" in client.get("/v2/_catalog").json()["repositories"]
    assert client.get("/v2/library/gemma3/tags/list").json() == {
        "name": "library/gemma3",
        "tags": ["1b", "4b"],
    }
    path = "/v2/library/llama3.2"
    reply = client.get(f"{path}/manifests/latest")
    digest = reply.headers["docker-content-digest"]
    assert digest == digest_of(reply.content) and reply.headers["content-type"] == MANIFEST_TYPE
    assert client.get(f"{path}/manifests/{digest}").content == reply.content
    head = client.head(f"{path}/manifests/latest")
    assert head.headers["content-length"] == str(len(reply.content)) and not head.content
    for entry in [reply.json()["config"], *reply.json()["layers"]]:
        head = client.head(f"{path}/blobs/{entry['digest']}")
        assert head.status_code == 200 and head.headers["content-length"] == str(entry["size"])
        content = client.get(f"{path}/blobs/{entry['digest']}", follow_redirects=True).content
        assert digest_of(content) == entry["digest"] and len(content) == entry["size"]


def test_a_blob_is_a_redirect_to_another_host_name_where_ranges_work(client: httpx.Client) -> None:
    manifest = client.get("/v2/library/llama3.2/manifests/latest").json()
    url = f"/v2/library/llama3.2/blobs/{manifest['config']['digest']}"
    for host, other in (("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")):
        port = client.base_url.port
        reply = client.get(url, headers={"host": f"{host}:{port}"})
        assert reply.status_code == 307
        assert reply.headers["location"].startswith(f"http://{other}:{port}/")
    whole = client.get(url, follow_redirects=True).content
    part = client.get(url, headers={"range": "bytes=2-5"}, follow_redirects=True)
    assert part.status_code == 206 and part.content == whole[2:6]
    assert part.headers["content-range"] == f"bytes 2-5/{len(whole)}"
    beyond = client.get(url, headers={"range": "bytes=99999-"}, follow_redirects=True)
    assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{len(whole)}"
    elsewhere = client.get(url, headers={"host": "course.local"})
    assert elsewhere.status_code == 200 and elsewhere.content == whole


def uploaded(client: httpx.Client, repository: str, data: bytes) -> dict[str, Any]:
    digest = digest_of(data)
    reply = client.post(f"/v2/{repository}/blobs/uploads/", params={"digest": digest}, content=data)
    assert reply.status_code == 201 and reply.headers["docker-content-digest"] == digest
    return {"mediaType": LAYER_TYPE + "model", "digest": digest, "size": len(data)}


def manifest_of(layer: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]}


def test_an_upload_in_pieces(client: httpx.Client) -> None:
    start = client.post("/v2/me/pieces/blobs/uploads/")
    place = start.headers["location"]
    assert start.status_code == 202 and place.startswith("http://")
    first = client.patch(place, content=b"hello ", headers={"content-range": "0-5"})
    assert first.status_code == 202 and first.headers["range"] == "0-5"
    assert client.patch(place, content=b"again", headers={"content-range": "0-4"}).status_code == 416
    assert client.get(place).headers["range"] == "0-5"
    second = client.patch(place, content=b"wor", headers={"content-range": "6-8"})
    digest = digest_of(b"hello world")
    done = client.put(second.headers["location"], params={"digest": digest}, content=b"ld")
    assert done.status_code == 201 and done.headers["location"].endswith(f"/v2/me/pieces/blobs/{digest}")
    assert client.get(done.headers["location"], follow_redirects=True).content == b"hello world"
    assert client.patch(place, content=b"x").status_code == 404
    mounted = client.post("/v2/me/elsewhere/blobs/uploads/", params={"mount": digest, "from": "me/pieces"})
    assert mounted.status_code == 201
    left = client.post("/v2/me/pieces/blobs/uploads/").headers["location"]
    assert client.delete(left).status_code == 204 and client.get(left).status_code == 404
    assert client.delete(f"/v2/me/pieces/blobs/{digest}").status_code == 202
    assert client.head(f"/v2/me/pieces/blobs/{digest}").status_code == 404


def test_a_tag_comes_goes_and_shadows_the_library(client: httpx.Client, home: Path) -> None:
    layer, config = (uploaded(client, "library/all-minilm", data) for data in (b"weights", b"{}"))
    url = "/v2/library/all-minilm/manifests/latest"
    published = client.get(url).content
    for manifest in (manifest_of(layer, config), manifest_of(config, layer)):
        assert client.put(url, json=manifest).status_code == 201
        assert client.get(url).json() == manifest
    assert client.delete(url).status_code == 202
    assert client.get(url).content == published and client.delete(url).status_code == 404
    assert not Store(home / "registry", home / "registry").blob(layer["digest"]).exists()


MISSING = "sha256:" + "0" * 64
WRONG: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "library/nosuch/manifests/latest", {}, 404, "MANIFEST_UNKNOWN"),
    ("GET", "library/nosuch/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("GET", f"library/llama3.2/blobs/{MISSING}", {}, 404, "BLOB_UNKNOWN"),
    ("DELETE", f"library/llama3.2/blobs/{MISSING}", {}, 404, "BLOB_UNKNOWN"),
    ("GET", "library/llama3.2/blobs/sha256:x", {}, 400, "DIGEST_INVALID"),
    ("GET", "library/llama3.2/blobs/..%5c..%5cserver.json", {}, 400, "DIGEST_INVALID"),
    ("GET", "a/b/c/manifests/latest", {}, 400, "NAME_INVALID"),
    ("GET", "x/y/manifests/.hidden", {}, 400, "NAME_INVALID"),
    ("PUT", "x/y/manifests/latest", {"content": b"{"}, 400, "MANIFEST_INVALID"),
    ("PUT", "x/y/manifests/latest", {"content": b"[" * 100_000}, 400, "MANIFEST_INVALID"),
    ("PUT", "x/y/manifests/latest", {"json": {"layers": [{"digest": "../../x"}]}}, 400, "MANIFEST_INVALID"),
    ("PUT", "x/y/manifests/latest", {"content": b"x" * 5_000_000}, 413, "SIZE_INVALID"),
    (
        "PUT",
        "x/y/manifests/latest",
        {"json": {"layers": [], "config": {"digest": MISSING, "size": 1}}},
        400,
        "MANIFEST_BLOB_UNKNOWN",
    ),
    ("POST", f"x/y/blobs/uploads/?digest={MISSING}", {"content": b"x"}, 400, "DIGEST_INVALID"),
    ("POST", "x/y/blobs/uploads/?digest=..", {"content": b"x"}, 400, "DIGEST_INVALID"),
    ("PATCH", "x/y/blobs/uploads/" + "0" * 32, {"content": b"x"}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PUT", "x/y/blobs/uploads/..%5cserver.json", {"content": b"x"}, 404, "BLOB_UPLOAD_UNKNOWN"),
]


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"), WRONG, ids=[f"{w[0]} {w[1]} {w[4]}" for w in WRONG]
)
def test_errors(
    client: httpx.Client, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    reply = client.request(method, f"/v2/{path}", **more)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (status, code)


# --- from server to server --------------------------------------------------------------------------


def test_a_model_goes_from_one_server_to_the_other(client: httpx.Client, other: httpx.Client) -> None:
    name = f"{host_of(client)}/me/traveller:v1"
    assert other.post("/api/copy", json={"source": "llama3.2", "destination": name}).status_code == 200
    pushed = lines_of(other, "push", name)
    assert statuses(pushed)[0] == "retrieving manifest"
    assert statuses(pushed)[-2:] == ["pushing manifest", "success"]
    layers = [line for line in pushed if "digest" in line]
    assert layers[0]["status"] == f"pushing {layers[0]['digest'][7:19]}"
    assert layers[-1]["completed"] == layers[-1]["total"]
    remove(other, name)
    pulled = pull(other, name)
    assert statuses(pulled)[0] == "pulling manifest"
    assert statuses(pulled)[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    ask = {"model": name, "prompt": "Hello", "stream": False}
    assert other.post("/api/generate", json=ask).json()["response"]
    again = pull(other, name)
    assert [line for line in again if "digest" in line] == [
        {**line, "completed": line["total"]} for line in again if "digest" in line
    ]
    remove(other, name)


def test_a_pull_replaces_what_is_old_and_removes_what_is_unused(
    client: httpx.Client, other: httpx.Client
) -> None:
    name = f"{host_of(client)}/me/changing"
    config = uploaded(client, "me/changing", b'{"model_format":"gguf"}')
    for data in (b"old weights", b"new weights"):
        layer = uploaded(client, "me/changing", data)
        url = "/v2/me/changing/manifests/latest"
        assert client.put(url, json=manifest_of(layer, config)).status_code == 201
        said = statuses(pull(other, name))
    assert said[-2:] == ["removing unused layers", "success"]
    assert other.head(f"/api/blobs/{digest_of(b'old weights')}").status_code == 404
    assert other.head(f"/api/blobs/{digest_of(b'new weights')}").status_code == 200
    remove(other, name)


def test_a_stand_in_comes_at_a_set_speed_and_goes_on_where_it_stopped(
    other: httpx.Client, other_home: Path
) -> None:
    def begin() -> dict[str, Any]:
        with other.stream("POST", "/api/pull", json={"model": "gemma3:4b"}) as reply:
            for text in reply.iter_lines():
                line = json.loads(text)
                if line.get("completed", 0) > 600_000_000:
                    return line
        raise AssertionError("it came at once")

    stopped = begin()
    assert stopped["completed"] < stopped["total"] < 3338801804
    assert "gemma3:4b" not in listed(other)
    assert list((other_home / "models" / "blobs").glob("*-partial"))
    went_on = [line for line in pull(other, "gemma3:4b") if line.get("digest") == stopped["digest"]]
    assert went_on[0]["completed"] >= 600_000_000 and went_on[-1]["completed"] == went_on[-1]["total"]
    assert listed(other)["gemma3:4b"]["size"] == 3338801804
    assert not list((other_home / "models" / "blobs").glob("*-partial"))
    remove(other, "gemma3:4b")


def test_two_pulls_of_one_model_share_its_download(other: httpx.Client) -> None:
    said: list[list[dict[str, Any]]] = []
    pulls = [threading.Thread(target=lambda: said.append(pull(other, "gemma3:1b"))) for _ in range(3)]
    for one in pulls:
        one.start()
    for one in pulls:
        one.join()
    assert len(said) == 3 and all(lines[-1] == {"status": "success"} for lines in said)
    remove(other, "gemma3:1b")


# --- registries that misbehave ----------------------------------------------------------------------


class Stub(ThreadingHTTPServer):
    """A registry with one model, `me/x:latest`, that does what a test tells it to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        config = b'{"model_format":"gguf"}'
        self.files = {digest_of(data): data for data in (WEIGHTS, config)}
        entries = [
            {"mediaType": LAYER_TYPE + "model", "digest": d, "size": len(x)} for d, x in self.files.items()
        ]
        self.manifest = json.dumps(manifest_of(*entries)).encode()
        self.weights = entries[0]["digest"]
        self.cuts: list[int] = []  # after how many bytes each next download of the weights ends
        self.stall = threading.Event()
        self.stall.set()
        self.token = ""
        self.realm = ""
        self.asked: list[tuple[str, str]] = []  # path and range
        self.fails: dict[str, int] = {}  # status by the end of a path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class StubHandler(BaseHTTPRequestHandler):
    server: Stub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        stub = self.server
        if self.command == "GET":
            stub.asked.append((self.path, self.headers.get("range", "")))
        if self.path.startswith("/token"):
            return self.say(200, json.dumps({"token": stub.token}).encode())
        if stub.token and self.headers.get("authorization") != f"Bearer {stub.token}":
            realm = stub.realm or f"http://{stub.host}/token"
            challenge = f'Bearer realm="{realm}",service="stub",scope="repository:me/x:pull"'
            return self.say(401, b"{}", {"www-authenticate": challenge})
        for end, status in stub.fails.items():
            if self.path.endswith(end):
                return self.say(status, b"no luck")
        if self.path == "/v2/me/x/manifests/latest":
            return self.say(200, stub.manifest)
        data = stub.files.get(self.path.rpartition("/")[2])
        if data is None:
            return self.say(404, b"{}")
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("range", ""))
        start = int(wanted[1]) if wanted else 0
        headers = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if wanted else {}
        self.say(206 if wanted else 200, data[start:], headers, weights=len(data) == len(WEIGHTS))

    def say(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, weights: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.server.cuts.pop(0) if weights and self.server.cuts else len(data)
        try:
            self.wfile.write(data[:cut])
            self.wfile.flush()
            if cut < len(data):
                self.server.stall.wait(DEADLINE)
                self.close_connection = True
        except OSError:
            pass


@pytest.fixture
def stub(other: httpx.Client) -> Iterator[Stub]:
    server = Stub()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    name = f"{server.host}/me/x:latest"
    if name in listed(other):
        remove(other, name)
    server.stall.set()
    server.shutdown()
    server.server_close()


def partials(home: Path) -> list[Path]:
    return list((home / "models" / "blobs").glob("*-partial"))


def test_a_download_that_is_cut_goes_on(other: httpx.Client, stub: Stub) -> None:
    stub.cuts = [300_000]
    assert statuses(pull(other, f"{stub.host}/me/x"))[-1] == "success"
    ranges = [asked for path, asked in stub.asked if path.endswith(stub.weights)]
    assert len(ranges) == 2 and ranges[0].startswith("bytes=0-") and ranges[1] == "bytes=300000-1048575"


def test_a_client_that_goes_away_leaves_a_part_that_the_next_pull_uses(
    other: httpx.Client, other_home: Path, stub: Stub
) -> None:
    stub.cuts = [300_000]
    stub.stall.clear()
    asked = {"model": f"{stub.host}/me/x", "insecure": True}
    with other.stream("POST", "/api/pull", json=asked) as reply:
        for text in reply.iter_lines():
            if json.loads(text).get("completed") == 300_000:
                break
    assert [path.stat().st_size for path in partials(other_home)] == [300_000]
    assert f"{stub.host}/me/x:latest" not in listed(other)
    stub.stall.set()
    assert statuses(pull(other, f"{stub.host}/me/x"))[-1] == "success"
    ranges = [asked for path, asked in stub.asked if path.endswith(stub.weights)]
    assert ranges[-1] == "bytes=300000-1048575" and not partials(other_home)


def test_bytes_that_are_not_the_digests_are_thrown_away(
    other: httpx.Client, other_home: Path, stub: Stub
) -> None:
    wrong = b"x" * len(WEIGHTS)
    stub.files[stub.weights] = wrong
    said = pull(other, f"{stub.host}/me/x")
    assert statuses(said)[-2] == "verifying sha256 digest"
    mismatch = f"digest mismatch, file must be downloaded again: want {stub.weights}, got {digest_of(wrong)}"
    assert said[-1] == {"error": mismatch}
    assert f"{stub.host}/me/x:latest" not in listed(other)
    assert not [path for path in partials(other_home) if stub.weights[7:] in path.name]
    assert other.head(f"/api/blobs/{stub.weights}").status_code == 404


def test_a_token_is_fetched_where_one_is_wanted(other: httpx.Client, stub: Stub) -> None:
    stub.token = "a-token-of-a-test"
    said = pull(other, f"{stub.host}/me/x")
    assert said[-1] == {"status": "success"}
    asked = [path for path, _ in stub.asked if path.startswith("/token")]
    assert len(asked) == 1 and "service=stub&scope=repository%3Ame%2Fx%3Apull&ts=" in asked[0]
    assert stub.token not in json.dumps(said) + other.get("/practice/journal").text


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"token": "t", "realm": "http://elsewhere.invalid/token"},
        'realm host "elsewhere.invalid" does not match original host "{host}"',
    ),
    ({"fails": {"latest": 404}}, "file does not exist"),
    ({"fails": {"latest": 500}}, "500: no luck"),
    ({"manifest": b"<html>"}, "invalid character '<' looking for beginning of value"),
    ({"manifest": b'{"layers":[]}'}, "invalid manifest"),
    (
        {"manifest": json.dumps(manifest_of({"digest": "../../../x", "size": 1}, {})).encode()},
        "invalid manifest",
    ),
]


@pytest.mark.parametrize(("how", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_a_manifest_that_cannot_be_had(
    other: httpx.Client, stub: Stub, how: dict[str, Any], text: str
) -> None:
    for name, value in how.items():
        setattr(stub, name, value)
    said = pull(other, f"{stub.host}/me/x")
    assert said == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: " + text.replace("{host}", stub.host)},
    ]
    whole = other.post("/api/pull", json={"model": f"{stub.host}/me/x", "insecure": True, "stream": False})
    assert whole.status_code == 500 and whole.json() == said[1]


def test_where_no_registry_is(other: httpx.Client, stub: Stub) -> None:
    url = f"https://{stub.host}/v2/me/x/manifests/latest"
    said = pull(other, f"{stub.host}/me/x", insecure=False)[-1]["error"]
    assert said == f'pull model manifest: Get "{url}": http: server gave HTTP response to HTTPS client'
    said = pull(other, "127.0.0.1:1/me/x")[-1]["error"]
    assert said.endswith('latest": dial tcp 127.0.0.1:1: connect: connection refused')


# --- pushes that are refused ------------------------------------------------------------------------


def test_pushes_that_are_refused(client: httpx.Client, other: httpx.Client) -> None:
    said = lines_of(other, "push", "me/nosuch")
    assert statuses(said)[:2] == ["retrieving manifest", "couldn't retrieve manifest"]
    assert re.fullmatch(r"open .*me.nosuch.latest: no such file or directory", said[-1]["error"])
    assert "access denied" in lines_of(other, "push", "llama3.2")[-1]["error"]
    assert other.post("/api/push", json={}).json() == {"error": "model is required"}
    name = "127.0.0.1:1/me/x"
    assert other.post("/api/copy", json={"source": "all-minilm", "destination": name}).status_code == 200
    said = lines_of(other, "push", name)
    assert said[-1]["error"].endswith("dial tcp 127.0.0.1:1: connect: connection refused")
    remove(other, name)


def test_who_is_signed_in_pushes_to_a_namespace_of_their_own(other: httpx.Client) -> None:
    models = ("ada/parrot", "someone/parrot")
    for name in models:
        assert other.post("/api/copy", json={"source": "all-minilm", "destination": name}).status_code == 200
    other.post("/api/me", headers={"user-agent": "ollama/0.32.15"})
    page = other.get("/practice/signin")
    form = dict(re.findall(r'name="(key|token)" value="([^"]*)"', page.text)) | {"account": "Ada"}
    assert "signed in as <strong>Ada" in other.post("/practice/signin", data=form).text
    assert statuses(lines_of(other, "push", "ada/parrot"))[-2:] == ["pushing manifest", "success"]
    assert "access denied" in lines_of(other, "push", "someone/parrot")[-1]["error"]
    remove(other, *models)
    assert pull(other, "ada/parrot")[-1] == {"status": "success"}
    assert pull(other, "someone/parrot")[-1] == {"error": "pull model manifest: file does not exist"}
    remove(other, "ada/parrot")


# --- another's registry -----------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="Debian's docker-registry is not installed")
def test_debians_registry(other: httpx.Client, client: httpx.Client, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
        host = f"127.0.0.1:{free.server_address[1]}"
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}}}}}\nhttp: {{addr: {host}}}\n"
    )
    with open(tmp_path / "log", "wb") as log:
        registry = subprocess.Popen(["docker-registry", "serve", str(settings)], stdout=log, stderr=log)
    try:
        until(lambda: b"listening on" in (tmp_path / "log").read_bytes())
        name = f"{host}/me/mini:v1"
        assert other.post("/api/copy", json={"source": "all-minilm", "destination": name}).status_code == 200
        assert lines_of(other, "push", name)[-1] == {"status": "success"}
        assert lines_of(client, "pull", name)[-1] == {"status": "success"}
        assert name in listed(client)
        remove(client, name)
        remove(other, name)
    finally:
        registry.terminate()
        registry.wait(10)
