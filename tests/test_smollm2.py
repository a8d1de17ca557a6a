"""The language model in its own process; skipped where its packages are in no folder of PIP_FIND_LINKS."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from helpers.practice import weights

MODEL = "smollm2:135m"
GREEDY = {"temperature": 0, "num_predict": 24}
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
PATIENCE = 60.0  # seconds


def missing_files() -> list[str]:
    table = weights._table()
    wanted = [weights._wheel(table["smollm2"])[0]]
    if weights.runner_path(Path("nowhere")) is None:
        wanted.append(weights._wheel(table["runner"])[0])
    folders = [Path(folder) for folder in os.environ.get("PIP_FIND_LINKS", "").split()]
    return [file for file in wanted if not any((folder / file).is_file() for folder in folders)]


MISSING = missing_files()
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"set PIP_FIND_LINKS to a folder that holds {' and '.join(MISSING)}"
)


def serve(home: Path, **settings: str) -> tuple[subprocess.Popen[str], httpx.Client]:
    server = subprocess.Popen(
        [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--home", str(home)],
        env=os.environ | {"PIP_NO_INDEX": "1"} | settings,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    url = server.stdout.readline().strip()
    return server, httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    home = tmp_path_factory.mktemp("home")
    server, client = serve(home)
    with client.stream("POST", "/api/pull", json={"model": MODEL}) as reply:
        lines = [json.loads(line) for line in reply.iter_lines()]
    assert lines[-1] == {"status": "success"}, lines[-1]
    yield server, client
    client.close()
    server.terminate()
    server.wait(PATIENCE)


@pytest.fixture
def client(pulled: tuple[subprocess.Popen[str], httpx.Client]) -> httpx.Client:
    return pulled[1]


@pytest.fixture
def server(pulled: tuple[subprocess.Popen[str], httpx.Client]) -> psutil.Process:
    return psutil.Process(pulled[0].pid)


def chat(client: httpx.Client, **more: Any) -> dict[str, Any]:
    options = GREEDY | more.pop("options", {})
    body = {"model": MODEL, "messages": QUESTION, "stream": False, "options": options, **more}
    reply = client.post("/api/chat", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-practice"] == "model"  # no script wrote these words
    return reply.json()


def generate(client: httpx.Client, prompt: str, **more: Any) -> dict[str, Any]:
    options = GREEDY | more.pop("options", {})
    body = {"model": MODEL, "prompt": prompt, "stream": False, "options": options, **more}
    reply = client.post("/api/generate", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def test_it_is_what_it_says(client: httpx.Client) -> None:
    shown = client.post("/api/show", json={"model": MODEL}).json()
    assert shown["capabilities"] == ["completion"]
    assert shown["model_info"]["general.parameter_count"] == 134515008
    assert "not a practice stand-in" in shown["license"]


def test_temperature_0_repeats_and_tokens_are_the_models_own(client: httpx.Client) -> None:
    first, second = chat(client), chat(client)
    assert first["message"] == second["message"] and first["message"]["content"]
    assert first["prompt_eval_count"] == 37 and first["eval_count"] == 24
    assert first["done_reason"] == "length"


def test_a_seed_repeats_and_another_one_does_not(client: httpx.Client) -> None:
    hot = {"temperature": 1.5}
    replies = [chat(client, options=hot | {"seed": seed})["message"]["content"] for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_logprobs_name_the_likeliest_tokens(client: httpx.Client) -> None:
    reply = chat(client, logprobs=True, top_logprobs=3)
    assert len(reply["logprobs"]) == reply["eval_count"]
    for one in reply["logprobs"]:
        likeliest = one["top_logprobs"]
        assert len(likeliest) == 3 and likeliest[0]["token"] == one["token"]
        assert 0 >= likeliest[0]["logprob"] >= likeliest[1]["logprob"] >= likeliest[2]["logprob"]


def test_raw_continues_the_text(client: httpx.Client) -> None:
    reply = generate(client, "The quick brown", raw=True)
    assert reply["prompt_eval_count"] == 3 and "context" not in reply
    assert reply["response"].startswith(" fox")


def test_stop_and_limit(client: httpx.Client) -> None:
    whole = generate(client, "The quick brown fox jumps over", raw=True)["response"]
    word = whole.split()[2]
    reply = generate(client, "The quick brown fox jumps over", raw=True, options={"stop": [word]})
    assert reply["response"] == whole[: whole.index(word)] and reply["done_reason"] == "stop"


def test_context_is_remembered(client: httpx.Client) -> None:
    first = generate(client, "My name is Ada.")
    assert first["context"][:3] == [1, 9690, 198]  # <|im_start|>, system, line end
    second = generate(client, "What is my name?", context=first["context"])
    assert second["prompt_eval_count"] > len(first["context"])
    assert second["context"][: len(first["context"])] == first["context"]


def test_json_and_schema(client: httpx.Client) -> None:
    long = {"num_predict": 200}
    reply = generate(client, "Describe a person", format="json", options=long)
    assert reply["response"].startswith("{")
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer"}, "colour": {"enum": ["red", "blue"]}},
        "required": ["age", "colour"],
    }
    made = json.loads(generate(client, "Describe a person", format=schema, options=long)["response"])
    assert set(made) == {"age", "colour"} and isinstance(made["age"], int)
    strange = {"model": MODEL, "prompt": "x", "format": {"type": "strange"}}
    refused = client.post("/api/generate", json=strange)
    assert refused.status_code == 400 and "Unrecognized schema" in refused.json()["error"]


def test_a_prompt_too_long_is_cut_or_refused(client: httpx.Client) -> None:
    body = {"model": MODEL, "prompt": "word " * 700, "stream": False, "options": GREEDY | {"num_ctx": 512}}
    assert client.post("/api/generate", json=body).status_code == 200
    refused = client.post("/api/generate", json=body | {"shift": False})
    assert refused.status_code == 400 and "context length" in refused.json()["error"]


def test_it_streams_token_by_token_on_the_other_surfaces_too(client: httpx.Client) -> None:
    body = {"model": MODEL, "messages": QUESTION, "stream": True, "max_tokens": 12, "temperature": 0}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        frames = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: {")]
    deltas = [frame["choices"][0]["delta"].get("content", "") for frame in frames]
    assert len([text for text in deltas if text]) == 12
    whole = client.post("/v1/chat/completions", json=body | {"stream": False}).json()
    assert whole["choices"][0]["message"]["content"] == "".join(deltas)
    assert whole["usage"] == {"prompt_tokens": 37, "completion_tokens": 12, "total_tokens": 49}
    message = {"model": MODEL, "max_tokens": 12, "messages": QUESTION}
    assert client.post("/v1/messages", json=message).json()["usage"]["input_tokens"] == 37


def test_the_process_comes_with_the_first_request_and_goes_with_keep_alive(
    client: httpx.Client, server: psutil.Process
) -> None:
    client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
    until(lambda: not server.children())
    first = chat(client)
    assert len(server.children()) == 1
    assert first["load_duration"] > 10 * chat(client, keep_alive="100ms")["load_duration"]
    until(lambda: not server.children())
    assert client.get("/api/ps").json() == {"models": []}


def test_a_client_that_goes_away_stops_it(client: httpx.Client) -> None:
    body = {"model": MODEL, "messages": QUESTION, "options": {"num_predict": -1, "num_ctx": 8192}}
    endless = body | {"format": {"type": "array", "items": {"type": "integer"}, "minItems": 20_000}}
    for streaming in (True, False):
        asked = client.stream("POST", "/api/chat", json=endless | {"stream": streaming}, timeout=1.5)
        with pytest.raises(httpx.ReadTimeout), asked as reply:
            for n, _ in enumerate(reply.iter_lines()):
                if n > 20:
                    raise httpx.ReadTimeout("enough")
        began = time.monotonic()
        chat(client, options={"num_ctx": 8192, "num_predict": 1})
        assert time.monotonic() - began < 20


def test_a_crash_is_the_requests_error_and_the_next_one_works(
    client: httpx.Client, server: psutil.Process
) -> None:
    body = {"model": MODEL, "messages": QUESTION, "options": {"num_predict": 2000, "num_ctx": 8192}}
    body["format"] = {"type": "array", "items": {"type": "integer"}, "minItems": 5_000}
    with client.stream("POST", "/api/chat", json=body) as reply:
        lines = reply.iter_lines()
        next(lines)
        server.children()[0].kill()
        last = [json.loads(line) for line in lines][-1]
    assert last == {"error": "an error was encountered while running the model: unexpected EOF"}
    assert chat(client)["message"]["content"]


def test_the_server_does_not_carry_it(server: psutil.Process) -> None:
    if not hasattr(server, "memory_maps"):
        pytest.skip("this system does not tell what a process has loaded")
    assert not [part.path for part in server.memory_maps() if re.search("xllamacpp|gguf", part.path)]


def test_nothing_is_left_when_the_server_is_killed(
    pulled: tuple[subprocess.Popen[str], httpx.Client], tmp_path: Path, client: httpx.Client
) -> None:
    home = Path(psutil.Process(pulled[0].pid).cmdline()[-1])
    client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
    for part in ("models", "runner"):
        if (home / part).exists():
            (tmp_path / part).symlink_to(home / part)
    other, its = serve(tmp_path)
    chat(its)
    child = psutil.Process(other.pid).children()[0]
    os.kill(other.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    other.wait(PATIENCE)
    its.close()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
