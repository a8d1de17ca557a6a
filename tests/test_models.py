"""Models made from models and from files, over HTTP."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from helpers.practice import gguf

BASE = "gemma3:1b"


def create(client: httpx.Client, **asked: Any) -> list[dict[str, str]]:
    reply = client.post("/api/create", json=asked)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def shown(client: httpx.Client, model: str) -> Any:
    return client.post("/api/show", json={"model": model}).json()


def test_a_model_from_a_model_inherits_and_overrides(client: httpx.Client) -> None:
    statuses = create(
        client,
        model="course-parrot",
        **{"from": BASE},
        system="You are a parrot.",
        parameters={"temperature": 0},
    )
    assert [one["status"] for one in statuses[-2:]] == ["writing manifest", "success"]
    assert sum(one["status"].startswith("creating new layer sha256:") for one in statuses) == 2
    made = shown(client, "course-parrot")
    assert made["system"] == "You are a parrot." and made["template"] == shown(client, BASE)["template"]
    assert "temperature                    0" in made["parameters"] and "<end_of_turn>" in made["parameters"]
    said = client.post("/api/generate", json={"model": "course-parrot", "prompt": "Hello", "stream": False})
    assert said.json()["response"].startswith(("Squawk", "Polly"))
    again = create(client, model="course-parrot", **{"from": "course-parrot"})
    assert not [one for one in again if one["status"].startswith("creating")]
    assert client.request("DELETE", "/api/delete", json={"model": "course-parrot"}).status_code == 200
    assert shown(client, BASE)["modelfile"]


def test_a_template_gives_and_takes_capabilities(client: httpx.Client) -> None:
    create(client, model="course-tools", **{"from": BASE}, template="{{ .Tools }}{{ .Prompt }}{{ .Suffix }}")
    assert shown(client, "course-tools")["capabilities"] == ["completion", "tools", "insert"]
    client.request("DELETE", "/api/delete", json={"model": "course-tools"})


def test_a_model_copied_to_itself_need_not_be_there(client: httpx.Client) -> None:
    twice = {"source": "nowhere", "destination": "library/nowhere"}
    assert client.post("/api/copy", json=twice).status_code == 200
    assert client.post("/api/copy", json={**twice, "destination": "elsewhere"}).status_code == 404


def test_a_deleted_model_stays_in_memory_until_its_time_has_passed(client: httpx.Client) -> None:
    create(client, model="course-gone", **{"from": BASE})
    client.post("/api/generate", json={"model": BASE, "keep_alive": 0})
    client.post("/api/generate", json={"model": "course-gone"})
    client.request("DELETE", "/api/delete", json={"model": "course-gone"})
    running = [one["name"] for one in client.get("/api/ps").json()["models"]]
    assert "course-gone:latest" in running
    client.post("/api/generate", json={"model": BASE, "keep_alive": 0})  # it has the same weights
    assert "course-gone:latest" not in [one["name"] for one in client.get("/api/ps").json()["models"]]


def test_options_are_shown_in_the_modelfile_only(client: httpx.Client) -> None:
    asked = {"model": BASE, "options": {"temperature": 2, "stop": ["a", "b"]}}
    made = client.post("/api/show", json=asked).json()
    assert "PARAMETER temperature 2\n" in made["modelfile"] and "PARAMETER stop b\n" in made["modelfile"]
    assert made["parameters"] == shown(client, BASE)["parameters"]


def test_messages_come_before_the_conversation(client: httpx.Client) -> None:
    messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello, Ada!"},
    ]
    create(client, model="course-ada", **{"from": BASE}, messages=messages)
    ask = {
        "model": "course-ada",
        "messages": [{"role": "user", "content": "What is my name?"}],
        "stream": False,
    }
    assert "Ada" in client.post("/api/chat", json=ask).json()["message"]["content"]
    assert shown(client, "course-ada")["messages"] == messages
    client.request("DELETE", "/api/delete", json={"model": "course-ada"})


def test_an_uploaded_gguf_is_shown_from_its_own_header(client: httpx.Client) -> None:
    metadata = {"general.architecture": "tiny", "general.file_type": 1, "tiny.context_length": 128}
    data = gguf.write(metadata, [gguf.Tensor("token_embd.weight", "F16", [8, 1000])])
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = f"/api/blobs/{digest}"
    assert client.head(path).status_code == 404
    assert [client.post(path, content=data).status_code for _ in range(2)] == [201, 200]
    assert client.head(path).status_code == 200
    create(client, model="course-tiny", files={"tiny.gguf": digest})
    made = shown(client, "course-tiny")
    assert made["details"]["family"] == "tiny" and made["details"]["quantization_level"] == "F16"
    assert made["details"]["parameter_size"] == "8K"
    assert made["model_info"]["general.parameter_count"] == 8000
    assert made["tensors"] == [{"name": "token_embd.weight", "type": "F16", "shape": [8, 1000]}]
    client.request("DELETE", "/api/delete", json={"model": "course-tiny"})


def test_a_pull_brings_back_what_was_removed(client: httpx.Client) -> None:
    client.request("DELETE", "/api/delete", json={"model": "qwen3:0.6b"})
    assert "qwen3" not in client.get("/api/tags").text
    for _ in range(2):
        reply = client.post("/api/pull", json={"model": "qwen3:0.6b"})
        assert reply.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in reply.text.splitlines()]
        assert [line["status"] for line in (lines[0], *lines[-3:])] == [
            "pulling manifest",
            "verifying sha256 digest",
            "writing manifest",
            "success",
        ]
        layers = [line for line in lines if "digest" in line]
        assert sum(line["total"] for line in layers) == 522653767
        assert layers[0]["completed"] == layers[0]["total"]
    assert shown(client, "qwen3:0.6b")["capabilities"] == ["completion", "tools", "thinking"]
    whole = client.post("/api/pull", json={"model": "qwen3:0.6b", "stream": False})
    assert whole.text == '{"status":"success"}' and whole.headers["content-type"] == "application/json"


def test_what_the_library_has_not_cannot_be_pulled(client: httpx.Client) -> None:
    reply = client.post("/api/pull", json={"model": "no-such-model"})
    assert [json.loads(line) for line in reply.text.splitlines()] == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    assert client.post("/api/pull", json={"model": "no-such-model", "stream": False}).status_code == 500
    assert client.post("/api/pull", json={}).json() == {"error": "invalid model name"}
    pushed = client.post("/api/push", json={"model": "no/model"}).text.splitlines()
    assert [json.loads(line).get("status") for line in pushed[:2]] == [
        "retrieving manifest",
        "couldn't retrieve manifest",
    ]


def test_a_blob_under_a_wrong_digest_is_refused_and_kept_under_its_own(client: httpx.Client) -> None:
    wrong, right = "sha256:" + "1" * 64, "sha256:" + hashlib.sha256(b"a blob of a test").hexdigest()
    refused = client.post(f"/api/blobs/{wrong}", content=b"a blob of a test")
    assert refused.status_code == 400
    assert refused.json()["error"] == f'digest mismatch, expected "{wrong}", got "{right}"'
    assert client.post(f"/api/blobs/{right}", content=b"a blob of a test").status_code == 200


@pytest.mark.parametrize("digest", ["sha256:zz", "..%2f..%2fetc", "sha512:" + "0" * 64])
def test_a_digest_that_is_none_reaches_no_file(client: httpx.Client, digest: str) -> None:
    assert client.post(f"/api/blobs/{digest}", content=b"x").status_code in (307, 400, 404)
