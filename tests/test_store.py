"""The store survives: servers that are killed, disks that are full, names and digests that mean harm."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.practice import library, names
from helpers.practice.errors import Refusal
from helpers.practice.store import LAYER_TYPE, Store, digest_of, digests_of

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("COURSE_TEST_KILLS", "24"))  # the whole measure is 200
HOUR_AGO = time.time() - 3700

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="servers are forked")


def named(text: str) -> names.Name:
    name = names.parse(text)
    assert name
    return name


def make(store: Store, name: str, system: str, modified_ns: int = 1) -> None:
    data = system.encode()
    layer = {"mediaType": LAYER_TYPE + "system", "digest": store.add_blob(data), "size": len(data)}
    store.save(named(name), {"model_format": "gguf"}, [layer], modified_ns)


def blobs(store: Store) -> set[str]:
    return {path.name for path in store.blobs.iterdir()}


def check(home: Path) -> dict[str, str]:
    """Every model of a home by name, with its digest; fails if one is not whole."""
    store = Store(home)
    files = [path for path in store.manifests.rglob("*") if path.is_file()]
    found = {model.name.short: model.digest for model in store.all()}
    assert len(found) == len(files), (found, files)
    for model in store.all():
        for digest in digests_of(model.manifest):
            assert digest_of(store.blob(digest).read_bytes()) == digest, (model.name, digest)
        assert isinstance(model.config, dict) and isinstance(model.system, str)
    return found


# --- killed -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forks() -> Iterator[Any]:
    environ = {**os.environ, "COURSE_PULL_SPEED": "20000"}
    nest = subprocess.Popen(
        [sys.executable, "-m", "tests.forks"],
        cwd=ROOT,
        env=environ,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def start(home: Path) -> tuple[int, http.client.HTTPConnection]:
        """A server on `home` that answers, and a connection to it."""
        assert nest.stdin and nest.stdout
        print(home, file=nest.stdin, flush=True)
        pid, port = nest.stdout.readline().split()
        wire = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        wire.request("GET", "/api/version")
        wire.getresponse().read()
        return int(pid), wire

    yield start
    assert nest.stdin
    nest.stdin.close()
    nest.wait(10)


def do(wire: http.client.HTTPConnection, action: str, target: str, number: int) -> bool:
    """Ask for one change; whether the server said it was done."""
    asked: dict[str, Any] = {
        "create": {"model": target, "from": "llama3.2", "system": f"You are number {number}. " * 20_000},
        "pull": {"model": target},
        "copy": {"source": "all-minilm", "destination": target},
        "delete": {"model": target},
    }[action]
    try:
        wire.request("DELETE" if action == "delete" else "POST", f"/api/{action}", json.dumps(asked))
        reply = wire.getresponse()
        said = reply.read()
    except (OSError, http.client.HTTPException):
        return False
    return reply.status == 200 and (not said or b'"success"' in said.splitlines()[-1])


TARGETS = {
    "create": ["mine:a", "mine:b"],
    "pull": ["qwen3:0.6b", "gemma3:1b"],
    "copy": ["copied:a", "mine:a"],
    "delete": ["mine:a", "mine:b", "copied:a", "qwen3:0.6b", "gemma3:1b"],
}


@needs_fork
@pytest.mark.timeout(900)
def test_a_killed_server_leaves_every_model_whole(forks: Any, tmp_path: Path) -> None:
    """Kills are spread evenly over the time that each action is seen to take; some come just too late."""
    chance, pool = random.Random(7), ThreadPoolExecutor(1)
    pid, wire = forks(tmp_path)
    before = check(tmp_path)
    took = {"create": 0.05, "pull": 0.05, "copy": 0.006, "delete": 0.006}  # seconds
    cut, changed = Counter[str](), Counter[str]()
    for number in range(KILLS):
        action = list(TARGETS)[number % len(TARGETS)]
        there = [name for name in TARGETS["delete"] if name in before]
        target = chance.choice((there if action == "delete" else []) or TARGETS[action])
        asking = pool.submit(do, wire, action, target, number)
        wait([asking], chance.uniform(0, took[action]))
        os.kill(pid, signal.SIGKILL)
        said = asking.result()
        took[action] *= 0.7 if said else 1.3  # about where half of them are cut
        pid, wire = forks(tmp_path)
        wire.request("GET", "/api/tags")
        listed = json.loads(wire.getresponse().read())["models"]
        after = check(tmp_path)
        assert {one["name"]: one["digest"] for one in listed} == after
        for name in before.keys() | after.keys():
            assert name == target or before.get(name) == after.get(name), (action, target, name)
        if said:
            assert (target in after) == (action != "delete") or target not in there
        elif action != "delete":
            assert target in after or target not in before
        if action == "create" and said:
            model = Store(tmp_path).find(named(target))
            assert model and model.system.startswith(f"You are number {number}. ")
        cut[action] += not said
        changed[action] += not said and before.get(target) != after.get(target)
        before = after
    os.kill(pid, signal.SIGKILL)
    print(f"{KILLS} kills; cut short: {dict(cut)}; of these changed all the same: {dict(changed)}")
    assert cut.total() > KILLS / 8


@needs_fork
def test_what_a_kill_leaves_behind_goes_when_it_is_old(forks: Any, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, "kept", "kept")
    orphan = store.blob(store.add_blob(b"nobody needs this"))
    young = store.blob(store.add_blob(b"nobody needs this yet"))
    broken = [store.blobs / "tmpabc.part", store.blobs / f"{young.name}-partial"]
    for path in broken:
        path.write_bytes(b"half")
    for path in [orphan, *broken, *(store.blob(one) for one in digests_of(store.all()[0].manifest))]:
        os.utime(path, (HOUR_AGO, HOUR_AGO))
    (store.manifests / "registry.ollama.ai" / "library" / "gone").mkdir()
    pid, _ = forks(tmp_path)
    os.kill(pid, signal.SIGKILL)
    assert not orphan.exists() and young.exists() and not any(path.exists() for path in broken)
    assert not (store.manifests / "registry.ollama.ai" / "library" / "gone").exists()
    assert list(check(tmp_path)) == ["kept:latest"]


def test_nothing_goes_while_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, "kept", "kept")
    orphan = store.blob(store.add_blob(b"nobody needs this"))
    os.utime(orphan, (HOUR_AGO, HOUR_AGO))
    store.manifest_path(named("kept")).write_text("{")
    store.prune()
    assert orphan.exists() and store.all() == []


# --- a full disk ------------------------------------------------------------------------------------


@needs_fork
def test_a_full_disk_is_said_and_harms_no_model(forks: Any, small_disk: Path, url: str) -> None:
    pid, wire = forks(small_disk)
    with httpx.Client(base_url=f"http://127.0.0.1:{wire.port}", timeout=30, trust_env=False) as client:
        before = check(small_disk)
        big = os.urandom(4_000_000)
        full = "no space left on device"
        upload = client.post(f"/api/blobs/{digest_of(big)}", content=big)
        assert upload.status_code == 500 and full in upload.json()["error"]
        asked = {"model": "big", "from": "llama3.2", "system": big.hex()}
        assert full in json.loads(client.post("/api/create", json=asked).text.splitlines()[-1])["error"]
        pushed_to = url.removeprefix("http://")
        push(url, f"{pushed_to}/me/big", big)
        lines = client.post("/api/pull", json={"model": f"{pushed_to}/me/big", "insecure": True})
        error = json.loads(lines.text.splitlines()[-1])["error"]
        assert error.startswith("write ") and error.endswith("-partial: " + full)
        assert check(small_disk) == before
        filler = small_disk / "filler"
        with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        copied = client.post("/api/copy", json={"source": "llama3.2", "destination": "again"})
        assert copied.status_code == 500 and full in copied.json()["error"]
        assert check(small_disk) == before
        assert client.request("DELETE", "/api/delete", json={"model": "all-minilm"}).status_code == 200
        filler.unlink()
        for path in (small_disk / "models" / "blobs").glob("*-partial"):
            path.unlink()
        assert "success" in client.post("/api/pull", json={"model": "all-minilm"}).text
        assert check(small_disk) == before
    os.kill(pid, signal.SIGKILL)


def push(registry: str, model: str, weights: bytes) -> None:
    """Put a model with these bytes as its weights into a registry."""
    name = named(model)
    with httpx.Client(base_url=f"{registry}/v2/{name.namespace}/{name.model}", trust_env=False) as client:
        entries = []
        for kind, data in ((LAYER_TYPE + "model", weights), ("application/json", b'{"model_format":"gguf"}')):
            digest = digest_of(data)
            assert client.post("/blobs/uploads/", params={"digest": digest}, content=data).status_code == 201
            entries.append({"mediaType": kind, "digest": digest, "size": len(data)})
        manifest = {"schemaVersion": 2, "config": entries[1], "layers": entries[:1]}
        assert client.put(f"/manifests/{name.tag}", json=manifest).status_code == 201


# --- the store by itself ----------------------------------------------------------------------------


def test_a_manifest_never_names_what_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layer = {"mediaType": LAYER_TYPE + "system", "digest": digest_of(b"missing"), "size": 7}
    with pytest.raises(Refusal, match="no such file"):
        store.save(named("half"), {}, [layer], 1)
    assert store.all() == [] and not any(path.is_file() for path in store.manifests.rglob("*"))


def test_a_removal_leaves_what_others_need_or_wait_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("one", "two"):
        make(store, name, "shared")
    make(store, "three", "awaited")
    one, two, three = (store.find(named(name)) for name in ("one", "two", "three"))
    assert one and two and three
    store.remove(one)
    assert store.find(named("two")) == two
    with store.hold([digest_of(b"awaited")]):
        store.remove(three)
    assert store.blob(digest_of(b"awaited")).exists()
    store.remove(two)
    assert not store.blob(digest_of(b"shared")).exists()
    assert [path for path in store.manifests.rglob("*")] == []


def test_a_replaced_model_is_seen_even_in_the_same_instant(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for system in ("first", "other"):
        make(store, "same", system, modified_ns=1_000)
        found = store.find(named("same"))
        assert found and found.system == system


def test_a_copy_has_the_digest_of_its_source(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, "Source", "x")
    source = store.find(named("source"))
    assert source and source.name.model == "Source"
    store.copy(source, named("target"), 2)
    store.copy(source, named("SOURCE"), 2)
    assert {model.name.short: model.digest for model in store.all()} == {
        "target:latest": source.digest,
        "Source:latest": source.digest,
    }


def test_adopt_takes_only_what_has_the_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for data, fits in ((b"right", True), (b"wrong", False)):
        part = store.blobs / "x-partial"
        part.write_bytes(data)
        if fits:
            store.adopt(part, digest_of(b"right"))
        else:
            with pytest.raises(Refusal, match="digest mismatch, file must be downloaded again: want sha256:"):
                store.adopt(part, digest_of(b"other"))
        assert not part.exists()
    assert blobs(store) == {f"sha256-{hashlib.sha256(b'right').hexdigest()}"}


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "../x", "sha256:" + "g" * 64, "sha256-" + "0" * 63 + "/", "x" * 71]
)
def test_a_digest_is_a_digest_or_nothing(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ValueError, match="invalid digest format"):
        Store(tmp_path).blob(digest)


NAMES = {
    "llama3.2": "registry.ollama.ai/library/llama3.2:latest",
    "me/x:v1": "registry.ollama.ai/me/x:v1",
    "127.0.0.1:5000/me/x": "127.0.0.1:5000/me/x:latest",
    "http://127.0.0.1:5000/me/x:y": "127.0.0.1:5000/me/x:y",
    **dict.fromkeys(
        ["", "..", "../x", "a/..", "a/../b", "/etc/passwd", "a//b", "x:", ":x", "a/b/c/d", "x:a:b"]
    ),
    **dict.fromkeys(["http://x", "a.b/c", "-x", "x\0y", "x y", "C:\\x\\y", "..%2fx", "x" * 81, "é"]),
}


@pytest.mark.parametrize("text", NAMES)
def test_names(text: str) -> None:
    name = names.parse(text)
    assert (str(name) if name else None) == NAMES[text]
    if name:
        assert ".." not in name.path().parts and names.from_path(name.path()) == name


PULLED_AS = {
    "gpt-oss:20b-cloud": "gpt-oss:20b-cloud",
    "gpt-oss:20b:cloud": "gpt-oss:20b-cloud",
    "gpt-oss:cloud": "gpt-oss:cloud",
    "x:local": "x:latest",
}


@pytest.mark.parametrize("text", PULLED_AS)
def test_names_with_a_place(text: str) -> None:
    name = names.pull_name(text)
    assert name and name.short == PULLED_AS[text]
    with pytest.raises(names.BothSources):
        names.pull_name("x:local:cloud")


def test_every_model_of_the_library_adds_up_to_its_published_size() -> None:
    for name in library.offered():
        offer = library.offer(name)
        assert offer
        manifest = json.loads(offer.manifest)
        size = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
        assert size == offer.entry.get("size", size)
        missing = digests_of(manifest) - set(offer.blobs)
        assert not missing or "wheel" in offer.entry
