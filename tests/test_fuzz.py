"""Whatever is sent, the server answers with a reply or an error of its own: no crash, no hang, no growth.

COURSE_FUZZ_EXAMPLES makes the run longer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.served import Served, raw, served

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = int(os.environ.get("COURSE_FUZZ_EXAMPLES", "30"))
MB = 1024 * 1024
LIMIT = 5.0  # seconds for any reply

few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def described() -> dict[str, Any]:
    """tests/openapi.toml as an OpenAPI document."""
    table = tomllib.loads(Path(__file__).with_name("openapi.toml").read_text("utf-8"))
    bodies = table.pop("bodies")

    def field(named: str) -> dict[str, Any]:
        one = {"$ref": f"#/components/schemas/{named.removesuffix('*')}"}
        return {"type": "array", "items": one, "maxItems": 4} if named.endswith("*") else one

    def operation(fields: dict[str, str]) -> dict[str, Any]:
        schema = {"type": "object", "properties": {name: field(kind) for name, kind in fields.items()}}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        return {"post": {"requestBody": body, "responses": {"200": {"description": "a reply"}}}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "the practice server", "version": "1"},
        "paths": {path: operation(fields) for path, fields in bodies.items()},
        "components": {"schemas": table},
    }


DESCRIBED = described()
PATHS = list(DESCRIBED["paths"])
schema = schemathesis.openapi.from_dict(DESCRIBED)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that must not have said a word of trouble, nor have grown, when all is over."""
    with served(tmp_path_factory.mktemp("fuzz") / "home", "--models", "all") as one:
        for path in PATHS:
            httpx.post(one.url + path, json={}, trust_env=False)
        before = one.rss()
        yield one
        assert one.process.poll() is None
        assert one.rss() - before < 60 * MB
        assert "Traceback" not in one.errors.read_text()


@pytest.fixture(scope="module")
def client(own: Served) -> Iterator[httpx.Client]:
    key = {"authorization": "Bearer sk-practice"}
    with httpx.Client(base_url=own.url, timeout=LIMIT, trust_env=False, headers=key) as one:
        yield one


def sound(reply: httpx.Response) -> None:
    """A reply, or an error in a shape that clients know."""
    if reply.status_code >= 400 and reply.request.method != "HEAD":
        assert reply.headers["content-type"].startswith("application/json"), reply.text
        assert "error" in reply.json(), reply.text
    else:
        assert reply.status_code < 300


@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(few, max_examples=max(6, EXAMPLES // 3))
def test_bodies_of_the_right_form(client: httpx.Client, case: schemathesis.Case) -> None:
    asked = case.body if isinstance(case.body, dict) else {}
    if isinstance(asked.get("options"), dict):
        asked["options"].setdefault("num_predict", 20)
    sound(client.post(case.path, content=json.dumps(asked).encode("utf-8", "surrogatepass")))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("path", PATHS)
@few
@given(body=st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_bodies_of_any_form(client: httpx.Client, path: str, body: bytes) -> None:
    if path in ("/api/me", "/api/signout"):
        return  # they read no body
    reply = client.post(path, content=body)
    sound(reply)


HI = b'"model": "llama3.2", "prompt": "x", "messages": [{"role": "user", "content": "x"}]'
ODD = {
    "deep lists": b'{"model": "llama3.2", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep objects": b'{"model": "llama3.2", "format": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    "open lists": b"[" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "deep schema": b"{" + HI + b', "format": ' + b'{"type":"array","items":' * 400
    + b"{}"
    + b"}" * 401,
    "lone surrogate": rb'{"model": "llama3.2", "messages": [{"role": "user", "content": "\udfff"}]}',
    "lone surrogate key": rb'{"\ud800": 1, "model": "\udc00"}',
    "huge number": b'{"model": "llama3.2", "options": {"seed": 1' + b"0" * 5000 + b', "temperature": 1e999}}',
    "huge exponent": b'{"model": "llama3.2", "max_tokens": 1e400, "keep_alive": 1e308, "n": 1e308}',
    "minus huge": b'{"model": "llama3.2", "max_tokens": -99999999999999999999, "keep_alive": -1e308}',
    "duplicate keys": b'{"model": "none", "model": "llama3.2", "messages": 1, "messages": [], "MODEL": ""}',
    "not a number": b'{"model": "llama3.2", "temperature": NaN, "top_p": Infinity}',
    "many keys": b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(50_000)) + b"}",
    "same start keys": b"{" + b",".join(b'"%064d":0' % i for i in range(20_000)) + b"}",
    "long string": b'{"model": "' + b"m" * 1_000_000 + b'"}',
    "nul": b'{"model": "llama3.2\\u0000", "prompt": "\\u0000"}',
    "raw nul": b"\0" * 1000,
    "utf-16": '{"model": "llama3.2"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + b'{"model": "llama3.2"}',
    "bad utf-8": b'{"model": "\xff\xfe", "prompt": "\xc3"}',
    "trailing": b'{"model": "none"} trailing',
    "many messages": b'{"model": "llama3.2", "max_tokens": 5, "messages": ['
    + b",".join([b'{"role": "user", "content": "hello there"}'] * 3000)
    + b"]}",
    "backtracking": b'{"model": "llama3.2", "max_tokens": 5, "messages": [{"role": "user", "content": "'
    + b"my name is " * 20_000
    + b'"}]}',
    "bad pattern": b"{" + HI + b', "format": {"type": "string", "pattern": "^(a+)+$((("}}',
    "endless schema": b"{" + HI + b', "options": {"num_predict": 50}, "format": {"$ref": "#"}}',
    "huge schema": b"{" + HI + b', "max_tokens": 50, "options": {"num_predict": 50}, '
    b'"format": {"type": "array", "minItems": 1000000000}}',
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", PATHS)
def test_odd_bodies(client: httpx.Client, path: str, odd: str) -> None:
    body = ODD[odd]
    if path.startswith("/openai/"):
        body = body.replace(b"llama3.2", b"gpt-4o-mini")
    if path not in ("/api/me", "/api/signout"):
        sound(client.post(path, content=body))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30)


@few
@given(name=names)
def test_names(client: httpx.Client, name: str) -> None:
    for path in ("/api/show", "/api/chat", "/api/generate", "/api/embed"):
        sound(client.post(path, json={"model": name}))
    sound(client.post("/api/copy", json={"source": name, "destination": name + "x"}))
    sound(client.request("DELETE", "/api/delete", json={"model": f"{name}-none"}))


WORDS = [
    "FROM x",
    "SYSTEM",
    "PARAMETER stop",
    "MESSAGE user",
    "temperature 0",
    "\n",
    " ",
    '"',
    "#",
    "\r",
    "\t",
    "é",
]


@few
@given(text=st.lists(st.sampled_from(WORDS)).map("".join) | st.text(max_size=60))
def test_modelfiles(text: str) -> None:
    from helpers.errors import CourseError
    from helpers.practice import modelfile

    try:
        parsed = modelfile.parse(text)
    except CourseError as error:
        assert str(error)
    else:
        assert modelfile.parse(modelfile.render(parsed)) == parsed


@few
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    extension=st.sampled_from([b"", b";a=b"]),
)
def test_a_body_in_chunks_is_the_same_body(own: Served, sizes: list[int], extension: bytes) -> None:
    body = json.dumps({"model": "none", "messages": [{"role": "user", "content": "x" * 300}]}).encode()
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunked, left = b"", body
    while left:
        size = sizes[len(left) % len(sizes)]
        part, left = left[:size], left[size:]
        chunked += b"%x%b\r\n%b\r\n" % (len(part), extension, part)
    got = raw(own.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + b"0\r\n\r\n", LIMIT)
    assert got.startswith(b"HTTP/1.1 404 ") and got.endswith(b'{"error":"model \'none\' not found"}')


tokens = st.text("abcXYZ019-_", min_size=1, max_size=20)


@few
@given(headers=st.dictionaries(tokens, st.binary(max_size=40), max_size=6), path=st.binary(max_size=30))
def test_heads(own: Served, headers: dict[str, bytes], path: bytes) -> None:
    lines = [b"GET /" + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close"]
    lines += [name.encode() + b": " + value for name, value in headers.items()]
    got = raw(own.port, b"\r\n".join(lines) + b"\r\n\r\n", LIMIT)
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
    assert not got.startswith(b"HTTP/1.1 5") or got.startswith(b"HTTP/1.1 501")


@few
@given(noise=st.binary(min_size=1, max_size=300))
def test_noise(own: Served, noise: bytes) -> None:
    got = raw(own.port, noise, LIMIT, hang_up=True)
    assert got == b"" or got.startswith(b"HTTP/1.1 4")
