"""The practice `ollama` command: what it prints where, what it sends, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.errors import CourseError
from helpers.practice import cli_client, cli_format, command, launcher, modelfile, process
from helpers.session import Key, session

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FRAME = re.compile(r"\x1b\[\?2026h(.*?)\x1b\[\?2026l", re.DOTALL)
NOWHERE = "127.0.0.1:9"
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and pseudo-terminals of POSIX")

Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line in this process: exit code, stdout, stderr."""

    def run(*argv: str, host: str = NOWHERE, stdin: str = "") -> Outcome:
        monkeypatch.setenv("OLLAMA_HOST", host)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = command.main(list(argv))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def as_program(*argv: str, host: str = NOWHERE, **options: Any) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "OLLAMA_HOST": host, "PYTHONPATH": str(process.ROOT), **options.pop("env", {})}
    line = [sys.executable, "-m", "helpers.practice.command", *argv]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, env=environ, **{**pipes, **options})


class Scripted:
    """A server that answers each method and path with what a test laid down, and keeps what it was sent."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, Any]] = {"HEAD /": (200, "")}
        self.asked: list[tuple[str, Any]] = []
        self.hold = threading.Event()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = f"{self.command} {self.path}"
                scripted.asked.append((key, json.loads(body) if body else None))
                status, content = scripted.replies.get(key, (404, "404 page not found"))
                self.send_response(status)
                self.end_headers()
                lines = content if isinstance(content, list) else [content]
                for line in lines:
                    if line is scripted.hold:
                        scripted.hold.wait(20)
                        continue
                    text = line if isinstance(line, str) else json.dumps(line)
                    self.wfile.write(text.encode() + (b"\n" if isinstance(content, list) else b""))

            do_GET = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    one = Scripted()
    yield one
    one.hold.set()
    one.server.shutdown()
    one.server.server_close()


# --- help, flags and arguments: no server -------------------------------------------------------------------

ROOT_HELP = """\
Large language model runner

Usage:
  ollama [flags]
  ollama [command]

Available Commands:
  serve        Start Ollama
  create       Create a model
  show         Show information for a model
  run          Run a model
  stop         Stop a running model
  pull         Pull a model from a registry
  push         Push a model to a registry
  signin       Sign in to ollama.com
  signout      Sign out from ollama.com
  list         List models
  ps           List running models
  cp           Copy a model
  rm           Remove a model
  launch       Launch the Ollama menu or an integration
  help         Help about any command

Flags:
  -h, --help         help for ollama
      --nowordwrap   Don't wrap words to the next line automatically
      --verbose      Show timings for response
  -v, --version      Show version information

Use "ollama [command] --help" for more information about a command.
"""
LIST_HELP = """\
List models

Usage:
  ollama list [flags]

Aliases:
  list, ls

Flags:
  -h, --help   help for list

Environment Variables:
      OLLAMA_HOST                   IP Address for the ollama server (default 127.0.0.1:11434)
"""
SIGNIN_HELP = """\
Sign in to ollama.com

Usage:
  ollama signin [flags]

Flags:
  -h, --help   help for signin
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--help", ROOT_HELP),
        ("help", ROOT_HELP),
        ("--help ls", ROOT_HELP),
        ("ls --help", LIST_HELP),
        ("help list", LIST_HELP),
        ("list x y -h", LIST_HELP),
        ("signin --help", SIGNIN_HELP),
    ],
)
def test_help(ollama: Command, line: str, expected: str) -> None:
    assert ollama(*line.split()) == (0, expected, "")


def test_help_of_flags_with_values(ollama: Command) -> None:
    text = ollama("run", "--help")[1]
    assert '\n      --think string[="true"]   Enable thinking mode: true/false or high/medium/low' in text
    assert "\n  -h, --help                    help for run\n" in text
    assert text.endswith("\n      OLLAMA_NOHISTORY              Do not preserve readline history\n")


def test_unknown_help_topic(ollama: Command) -> None:
    code, out, err = ollama("help", "a", "b")
    assert (code, out) == (0, "")
    assert err.startswith("Unknown help topic [`a` `b`]\nUsage:\n  ollama [flags]\n")
    assert "--help  " not in err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("foo", 'unknown command "foo" for "ollama"'),
        ("pul", 'unknown command "pul" for "ollama"\n\nDid you mean this?\n\trun\n\tpull\n\tpush\n\tps\n'),
        ("foo --help", 'unknown command "foo" for "ollama"'),
        ("run", "requires at least 1 arg(s), only received 0"),
        ("show a b", "accepts 1 arg(s), received 2"),
        ("ls --x", "unknown flag: --x"),
        ("--foo ls", "unknown flag: --foo"),
        ("--verbose ls", "unknown flag: --verbose"),
        ("run -xyz", "unknown shorthand flag: 'x' in -xyz"),
        ("show -vx", "unknown shorthand flag: 'x' in -x"),
        ("create -f", "flag needs an argument: 'f' in -f"),
        ("create --file", "flag needs an argument: --file"),
        ("run ---x", "bad flag syntax: ---x"),
        (
            "run --dimensions=x m",
            'invalid argument "x" for "--dimensions" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            "show -v=x m",
            'invalid argument "x" for "-v, --verbose" flag: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        ("ls", "could not connect to ollama server, run 'ollama serve' to start it"),
        ("run m hi", "could not connect to ollama server, run 'ollama serve' to start it"),
    ],
)
def test_refused_command_line(ollama: Command, line: str, text: str) -> None:
    assert ollama(*line.split()) == (1, "", f"Error: {text}\n")


def test_version(ollama: Command, url: str) -> None:
    assert ollama("-v", host=url) == (0, "ollama version is 0.32.15\n", "")
    down = "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.32.15\n"
    assert ollama("--version") == (0, down, "")


def test_alone_without_server(ollama: Command) -> None:
    text = "Error: could not connect to ollama server, run 'ollama serve' to start it\n"
    assert ollama() == (0, "", text)


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("", "http://127.0.0.1:11434"),
        (" '10.0.0.7' ", "http://10.0.0.7:11434"),
        ("10.0.0.7:80", "http://10.0.0.7:80"),
        ("http://box", "http://box:80"),
        ("https://box/pre/", "https://box:443/pre"),
        ("ollama.com", "https://ollama.com:443"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:9", "http://[::1]:9"),
        (":9", "http://:9"),
    ],
)
def test_where_the_server_is(monkeypatch: pytest.MonkeyPatch, host: str, base: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert cli_client.Ollama().base == base


def test_bad_port_is_replaced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:99999")
    assert cli_client.host() == ("http", "127.0.0.1", "80", "")
    assert capsys.readouterr().err.endswith("WARN invalid port, using default port=99999 default=80\n")


# --- against the practice server ----------------------------------------------------------------------------


def test_list(ollama: Command, url: str) -> None:
    code, out, err = ollama("ls", host=url)
    header, *rows = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert all(row.endswith("    ") and len(row) == len(header) + 3 for row in rows)
    row = next(row for row in rows if row.startswith("llama3.2:latest"))
    assert re.search(r"    [0-9a-f]{12}    2\.0 GB    .* ago", row)
    assert ollama("list", "LLAMA3", host=url)[1].count("\n") == 2
    assert ollama("ls", "nosuch", host=url) == (0, "NAME    ID    SIZE    MODIFIED \n", "")


def test_run_ps_stop(ollama: Command, url: str) -> None:
    assert ollama("run", "gemma3:1b", host=url)[:2] == (0, "")
    code, out, _ = ollama("ps", "gemma3:1b", host=url)
    assert out.splitlines()[0].split() == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert "    100% CPU     4096       " in out.splitlines()[1]
    assert ollama("stop", "gemma3:1b", host=url)[:2] == (0, "")
    assert ollama("ps", "gemma3:1b", host=url)[1].count("\n") == 1
    assert ollama("stop", "nosuch", host=url)[2].endswith('Error: couldn\'t find model "nosuch" to stop\n')


def test_show(ollama: Command, url: str) -> None:
    code, out, err = ollama("show", "all-minilm", host=url)
    assert (code, err) == (0, "")
    assert re.match(r"  Model\n    architecture        bert +\n    parameters          \w+ +\n", out)
    assert all(line.endswith("    ") for line in out.splitlines() if line.startswith("    "))
    assert "\n\n  Capabilities\n    embedding    \n\n" in out
    assert "  Metadata\n" in ollama("show", "-v", "all-minilm", host=url)[1]
    two = ollama("show", "--license", "--system", "llama3.2", host=url)
    assert two[2].startswith("Error: only one of '--license', '--modelfile', '--parameters', '--system'")
    assert ollama("show", "nosuch", host=url) == (1, "", "Error: model 'nosuch:latest' not found\n")


def test_copy_and_remove(ollama: Command, url: str) -> None:
    assert ollama("cp", "gemma3:1b", "twin", host=url) == (0, "copied 'gemma3:1b' to 'twin'\n", "")
    code, out, err = ollama("rm", "twin", host=url)
    assert (code, out, ESCAPES.sub("", err)) == (0, "deleted 'twin'\n", "")
    code, out, err = ollama("rm", "twin", host=url)
    assert (code, out, ESCAPES.sub("", err)) == (1, "", "Error: model 'twin' not found\n")


def sent(client: httpx.Client) -> dict[str, Any]:
    """The body of the last question that was put to the model."""
    entries = client.get("/practice/journal").json()["entries"]
    body = [e for e in entries if e["path"] in ("/api/generate", "/api/embed")][-1]["body"]
    return json.loads(body) if isinstance(body, str) else body


def test_prompt_is_stdin_then_words(ollama: Command, url: str, client: httpx.Client) -> None:
    code, out, _ = ollama("run", "llama3.2", "sum", "it  up", host=url, stdin="one\ntwo\n")
    assert code == 0 and out.strip() and out.endswith("\n\n")
    assert sent(client)["prompt"] == "one\ntwo\n sum it  up"


def test_words_are_wrapped_unless_told_otherwise(ollama: Command, scripted: Scripted) -> None:
    text = "I'm here to help with your creative endeavors. What can I assist with today? Good."
    pieces = [{"response": text[i : i + 4], "done": False} for i in range(0, len(text), 4)]
    scripted.replies["POST /api/show"] = 200, {"capabilities": ["completion"]}
    scripted.replies["POST /api/generate"] = 200, [*pieces, {"response": "", "done": True}]
    wrapped = ollama("run", "m", "hi", host=scripted.host)[1]
    assert wrapped == text.replace("today", "today\x1b[5D\x1b[K\ntoday") + "\n\n"
    assert ollama("run", "m", "hi", "--nowordwrap", host=scripted.host)[1] == text + "\n\n"


def test_thinking(ollama: Command, url: str, client: httpx.Client) -> None:
    out = ollama("run", "qwen3:0.6b", "hi", host=url)[1]
    assert re.fullmatch(r"Thinking\.\.\.\n.+\n\.\.\.done thinking\.\n\n.+\n\n", out, re.DOTALL)
    assert sent(client)["think"] is True
    hidden = ollama("run", "qwen3:0.6b", "hi", "--hidethinking", host=url)[1]
    assert "hinking" not in hidden and out.endswith(hidden)
    assert "hinking" not in ollama("run", "qwen3:0.6b", "hi", "--think=false", host=url)[1]
    assert sent(client)["think"] is False
    refused = ollama("run", "gemma3:1b", "hi", "--think", host=url)
    assert refused[0] == 1 and 'Error: 400 Bad Request: "gemma3:1b" does not support thinking\n' in refused[2]


def test_flags_of_run_reach_the_server(ollama: Command, url: str, client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    out = ollama(
        "run", "llama3.2", "--format", json.dumps(schema), "--keepalive", "90s", "a number", host=url
    )[1]
    assert isinstance(json.loads(ESCAPES.sub("", out))["n"], int)
    assert sent(client)["format"] == schema
    assert sent(client)["keep_alive"] == "1m30s"
    ollama("run", "llama3.2", "--format=json", "--keepalive=-1s", "x", host=url)
    assert (sent(client)["format"], sent(client)["keep_alive"]) == ("json", -1)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--think=x", 'invalid value for --think: "x" (must be true, false, high, medium, low, or max)'),
        ("--keepalive=abc", 'time: invalid duration "abc"'),
        ("--keepalive=10", 'time: missing unit in duration "10"'),
        (
            "--format=xml",
            "json: error calling MarshalJSON for type json.RawMessage: "
            "invalid character 'x' looking for beginning of value",
        ),
        (
            '--format={"a":1} x',
            "json: error calling MarshalJSON for type json.RawMessage: "
            "invalid character 'x' after top-level value",
        ),
    ],
)
def test_bad_flags_of_run(ollama: Command, url: str, flag: str, text: str) -> None:
    code, out, err = ollama("run", "llama3.2", flag, "hi", host=url)
    assert (code, out) == (1, "")
    assert ESCAPES.sub("", err) == f"Error: {text}\n"


def test_verbose_goes_to_stderr(ollama: Command, url: str) -> None:
    code, out, err = ollama("run", "llama3.2", "--verbose", "hi", host=url)
    assert "duration" not in out
    names = re.findall(r"^([a-z ]+:) +", ESCAPES.sub("", err), re.MULTILINE)
    assert names == [
        "total duration:",
        "load duration:",
        "prompt eval count:",
        "prompt eval duration:",
        "prompt eval rate:",
        "eval count:",
        "eval duration:",
        "eval rate:",
    ]


def test_embedding_model(ollama: Command, url: str, client: httpx.Client) -> None:
    code, out, err = ollama("run", "all-minilm", "--dimensions", "3", "why", host=url)
    assert (code, err) == (0, "")
    assert out.endswith("]\n") and len(json.loads(out)) == 3
    assert sent(client)["dimensions"] == 3
    text = 'Error: embedding models require input text. Usage: ollama run all-minilm "your text here"\n'
    assert ollama("run", "all-minilm", host=url) == (1, "", text)


def test_image_by_path(ollama: Command, scripted: Scripted, tmp_path: Path) -> None:
    picture = tmp_path / "a b.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    written = picture.as_posix().replace(" ", "\\ ")
    scripted.replies["POST /api/show"] = 200, {"capabilities": ["completion", "vision"]}
    scripted.replies["POST /api/generate"] = 200, [{"response": "a dog", "done": True}]
    code, out, err = ollama("run", "m", f"what is {written} and ./nope.png?", host=scripted.host)
    assert (code, out) == (0, "a dog\n\n")
    assert f"Added image '{picture.as_posix()}'\n" in err
    body = scripted.asked[-1][1]
    assert body["prompt"] == "what is  and ./nope.png?"
    assert body["images"] == ["iVBORw0KGgo="]


# --- create -------------------------------------------------------------------------------------------------


def test_create(ollama: Command, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Modelfile").write_text(
        'FROM gemma3:1b\nPARAMETER temperature 0.2\nPARAMETER mirostat 1\nSYSTEM """You are\na parrot."""\n'
    )
    code, out, err = ollama("create", "parrot", host=url)
    assert (code, out) == (0, "warning: parameter mirostat is deprecated\n")
    lines = [ESCAPES.sub("", line) for line in FRAME.findall(err)[-1].split("\n")]
    assert lines[0] == "gathering model components "
    assert lines[-2:] == ["writing manifest ", "success "]
    assert ollama("show", "--system", "parrot", host=url)[1] == "You are\na parrot."
    shown = ollama("show", "--modelfile", "parrot", host=url)[1]
    assert modelfile.Command("temperature", "0.2") in modelfile.parse(shown)
    assert ollama("rm", "parrot", host=url)[0] == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FOO x\n", '(line 1): command must be one of "from", "license", "template", "system"'),
        ("SYSTEM hi\n", "no FROM line"),
        ('FROM x\nSYSTEM """hi\n', "unexpected EOF"),
        ("FROM x\nPARAMETER nope 1\n", "unknown parameter 'nope'"),
        ("FROM x\nPARAMETER temperature hot\n", "invalid float value [hot]"),
        (None, "no Modelfile or safetensors files found"),
    ],
)
def test_create_from_a_bad_modelfile(
    ollama: Command,
    scripted: Scripted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("Modelfile").write_text(text)
    code, out, err = ollama("create", "x", host=scripted.host)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"Error: {error}")
    assert [key for key, _ in scripted.asked] == ["HEAD /"]


def test_create_needs_a_valid_name(ollama: Command, scripted: Scripted) -> None:
    assert ollama("create", "a b", host=scripted.host)[2].endswith("\nError: invalid model name: a b\n")


# --- against laid-down replies ------------------------------------------------------------------------------

DIGEST = "sha256:dde5aa3fc5ffc17176b5e8bdc82f587b24b2678c6c66101bf7da77af9f7ccdff"


def test_pull_draws_on_stderr(ollama: Command, scripted: Scripted) -> None:
    layer = {"status": "pulling dde5aa3fc5ff", "digest": DIGEST, "total": 2019377376}
    scripted.replies["POST /api/pull"] = (
        200,
        [{"status": "pulling manifest"}, layer, {**layer, "completed": 2019377376}, {"status": "success"}],
    )
    code, out, err = ollama("pull", "m", host=scripted.host)
    assert (code, out) == (0, "")
    bar = "pulling dde5aa3fc5ff: 100% ▕" + "█" * 18 + "▏ 2.0 GB" + " " * 25
    picture = f"pulling manifest \x1b[K\n{bar}\x1b[K\nsuccess \x1b[K"
    assert FRAME.findall(err)[-1] == f"\x1b[?25l\x1b[1G{picture}\x1b[?25h"
    assert err.endswith("\x1b[?2026l\n")
    assert scripted.asked[-1][1] == {"model": "", "username": "", "password": "", "name": "m"}


def test_pull_of_an_unknown_model(ollama: Command, scripted: Scripted) -> None:
    missing = "pull model manifest: file does not exist"
    scripted.replies["POST /api/pull"] = 200, [{"status": "pulling manifest"}, {"error": missing}]
    assert ollama("pull", "x", host=scripted.host)[2].endswith(f"\nError: {missing}\n")
    scripted.replies["POST /api/show"] = 200, {}
    hint = f'\nError: {missing}\n\n"x:cloud" is available as a cloud model. Try:\n  ollama pull x:cloud\n'
    assert ollama("pull", "x", host=scripted.host)[2].endswith(hint)
    assert ollama("pull", "x:1b", host=scripted.host)[2].endswith(f"\nError: {missing}\n")


@posix_only
@pytest.mark.parametrize(
    ("keys", "pulled"),
    [
        ([Key.ENTER], True),
        ([Key.RIGHT, Key.LEFT, Key.ENTER], True),
        ([Key.RIGHT, Key.ENTER], False),
        ([Key.ESCAPE], False),
        ([Key.CTRL_C], False),
    ],
)
def test_a_terminal_is_asked_whether_the_clouds_model_was_meant(
    scripted: Scripted, tmp_path: Path, keys: list[Key], pulled: bool
) -> None:
    missing = "pull model manifest: file does not exist"
    scripted.replies["POST /api/pull"] = 200, [{"status": "pulling manifest"}, {"error": missing}]
    scripted.replies["POST /api/show"] = 200, {}
    environ = {"OLLAMA_HOST": scripted.host, "COURSE_HOME": str(tmp_path), "PYTHONPATH": str(process.ROOT)}
    command = [sys.executable, "-m", "helpers.practice.command", "pull", "x"]
    seen = session(command, keys, timeout=30, prompt="esc cancel$", env=environ)
    asked = ['Did you mean "x:cloud"?', "", "   Yes    No", "", "←/→ navigate • enter confirm • esc cancel"]
    assert seen.screens[0].split("\n") == asked
    assert seen.text.endswith(f"Error: {missing}") and "Did you" not in seen.text
    names = [body["name"] for path, body in scripted.asked if path == "POST /api/pull"]
    assert names == (["x", "x:cloud"] if pulled else ["x"])


def test_push(ollama: Command, scripted: Scripted) -> None:
    scripted.replies["POST /api/push"] = 200, [{"status": "retrieving manifest"}, {"status": "success"}]
    out = ollama("push", "box.example/me/m", host=scripted.host)[1]
    assert out == "\nYou can find your model at:\n\n\tbox.example/me/m:latest\n"
    scripted.replies["POST /api/me"] = 401, {"error": "unauthorized", "signin_url": "https://x/y"}
    out = ollama("push", "me/m", host=scripted.host)[1]
    assert out.startswith("You need to be signed in to push models to ollama.com.\n\nIf your browser")
    assert out.endswith("\n    https://x/y\n\n")


def test_signing_in_and_out(ollama: Command, scripted: Scripted) -> None:
    scripted.replies["POST /api/me"] = 401, {"error": "unauthorized", "signin_url": "https://x/y"}
    scripted.replies["POST /api/signout"] = 401, {"error": "you are not currently signed in"}
    assert ollama("signin", host=scripted.host) == (
        0,
        "You need to be signed in to Ollama to run Cloud models.\n\n"
        "If your browser did not open, navigate to:\n    https://x/y\n\n",
        "",
    )
    assert ollama("signout", host=scripted.host)[1] == "You are not signed in to ollama.com\n\n"
    scripted.replies["POST /api/me"] = 200, {"name": "ada"}
    scripted.replies["POST /api/signout"] = 200, "null"
    assert ollama("login", host=scripted.host)[1] == "You are already signed in as user 'ada'\n\n"
    assert ollama("logout", host=scripted.host)[1] == "You have signed out of ollama.com\n\n"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ((500, {"error": "boom"}), "boom"),
        ((500, "plain words"), "plain words"),
        ((500, {"error": {"message": "x"}}), '{"error": {"message": "x"}}'),
        ((500, {}), "something went wrong, please see the ollama server logs for details"),
        ((401, {"error": "x"}), "something went wrong, please see the ollama server logs for details"),
    ],
)
def test_errors_of_a_whole_reply(
    ollama: Command, scripted: Scripted, reply: tuple[int, Any], text: str
) -> None:
    scripted.replies["GET /api/tags"] = reply
    assert ollama("ls", host=scripted.host) == (1, "", f"Error: {text}\n")


def test_a_server_that_is_no_ollama(ollama: Command, scripted: Scripted) -> None:
    scripted.replies["GET /api/tags"] = 200, "<html>"
    text = "Error: invalid character '<' looking for beginning of value\n"
    assert ollama("ls", host=scripted.host) == (1, "", text)
    scripted.replies["GET /api/tags"] = 200, {"models": [{"name": "x"}]}
    code, out, err = ollama("ls", host=scripted.host)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"Error: http://\S+ does not answer as an Ollama server does .*OLLAMA_HOST\n", err)


@pytest.mark.parametrize(
    ("reply", "out", "text"),
    [
        ((400, {"error": "no"}), "", "400 Bad Request: no"),
        ((502, "bad gateway"), "", "502 Bad Gateway: bad gateway"),
        ((200, [{"response": "par"}, {"error": "boom"}]), "par", "boom"),
        ((200, [{"response": "par"}, "not json"]), "par", "not json"),
    ],
)
def test_errors_of_a_stream(
    ollama: Command, scripted: Scripted, reply: tuple[int, Any], out: str, text: str
) -> None:
    scripted.replies["POST /api/show"] = 200, {}
    scripted.replies["POST /api/generate"] = reply
    code, printed, err = ollama("run", "m", "hi", host=scripted.host)
    assert (code, printed) == (1, out)
    assert ESCAPES.sub("", err) == f"Error: {text}\n"


def test_a_missing_model_is_pulled_first(ollama: Command, scripted: Scripted) -> None:
    scripted.replies["POST /api/show"] = 404, {"error": "model 'm' not found"}
    scripted.replies["POST /api/pull"] = 200, [{"error": "no network"}]
    assert ollama("run", "m", "hi", host=scripted.host)[2].endswith("\nError: no network\n")
    assert [key for key, _ in scripted.asked] == ["HEAD /", "POST /api/show", "POST /api/pull"]


def test_a_show_reply_without_metadata(ollama: Command, scripted: Scripted) -> None:
    details = {"family": "test", "parameter_size": "7B", "quantization_level": "FP16"}
    license = "MIT\n\nsecond\nthird\n"
    scripted.replies["POST /api/show"] = 200, {"details": details, "license": license}
    assert ollama("show", "m", host=scripted.host)[1] == (
        "  Model\n    architecture    test    \n    parameters      7B      \n"
        "    quantization    FP16    \n\n"
        "  License\n    MIT       \n    second    \n    ...       \n\n"
    )


# --- a Modelfile's grammar, and how things are written ------------------------------------------------------


def test_modelfile_values() -> None:
    text = '# note\nfrom x\r\nSYSTEM say "hi"\nTEMPLATE "a\nb"\nMESSAGE user a: b\nPARAMETER stop <|x|>\n'
    assert modelfile.parse(text) == [
        ("model", "x"),
        ("system", 'say "hi"'),
        ("template", "a\nb"),
        ("message", "user: a: b"),
        ("stop", "<|x|>"),
    ]


@pytest.mark.parametrize("value", ["plain", "two\nlines", ' spaced "and quoted" ', 'a "quote"\nin two', "#x"])
def test_modelfile_round_trip(value: str) -> None:
    commands = [modelfile.Command("model", "x"), modelfile.Command("system", value)]
    assert modelfile.parse(modelfile.render(commands)) == commands


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FROM x\nSYSTEM\n", "(line 3): command must be one of "),
        ("FROM x\nMESSAGE bob hi\n", '(line 2): message role must be one of "system", "user"'),
        ("FROM x\nMESSAGE user: hi\n", "unexpected EOF: user"),
        ("FROM x\nPARAMETER x\n", "unexpected EOF: x"),
        ('FROM x\nSYSTEM "hi" there\n', "unexpected EOF"),
    ],
)
def test_modelfile_errors(text: str, error: str) -> None:
    with pytest.raises(CourseError, match=f"^{re.escape(error)}"):
        modelfile.parse(text)


def test_modelfile_encodings() -> None:
    assert modelfile.decode("FROM é".encode("utf-16")) == "FROM é"
    assert modelfile.decode("FROM é".encode("utf-8-sig")) == "FROM é"


def test_sizes_ages_and_durations() -> None:
    sizes = {999: "999 B", 2 * 10**9: "2 GB", 4_900_000_000: "4.9 GB", 12_900_000_000: "12 GB"}
    assert {size: cli_format.human_bytes(size) for size in sizes} == sizes
    day = 86400
    ages = {
        0.5: "Less than a second",
        61: "About a minute",
        3599: "59 minutes",
        5300: "About an hour",
        47 * 3600: "47 hours",
        13 * day: "13 days",
        59 * day: "8 weeks",
        100 * day: "3 months",
        800 * day: "2 years",
    }
    assert {age: cli_format.human_time(1e9 - age, 1e9) for age in ages} == {
        age: f"{text} ago" for age, text in ages.items()
    }
    assert cli_format.human_time(None, 0) == "Never"
    assert cli_format.human_time(25 * 365 * day, 0) == "Forever"
    texts = ["1.234567891s", "291.851547ms", "165.298µs", "5m0s", "1h0m1s", "0s", "17ns"]
    assert [cli_format.duration(cli_format.parse_duration(text)) for text in texts] == texts


def test_numbers_as_go_writes_them() -> None:
    numbers = [8e9, 131072.0, 1e-5, 0.5, 134515008.0]
    texts = ["8e+09", "131072", "1e-05", "0.5", "1.34515008e+08"]
    assert [cli_format.general(number) for number in numbers] == texts


# --- as a program -------------------------------------------------------------------------------------------


def test_starts_without_what_it_does_not_need() -> None:
    check = (
        "import sys; from helpers.practice import command; "
        "assert command.main(['ls', '--help']) == 0; assert 'httpx' not in sys.modules; "
        "assert command.main(['ls']) == 1; assert 'click' not in sys.modules; "
        "assert not {'helpers.practice.server', 'helpers.practice.cli_run', 'starlette'} & set(sys.modules)"
    )
    environ = {**os.environ, "OLLAMA_HOST": NOWHERE, "PYTHONPATH": str(process.ROOT)}
    subprocess.run([sys.executable, "-c", check], env=environ, check=True, capture_output=True)


def test_any_console_encoding(scripted: Scripted) -> None:
    scripted.replies["POST /api/show"] = 200, {}
    scripted.replies["POST /api/generate"] = 200, [{"response": "naïve ☃ \ud83d", "done": True}]
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    out, err = as_program("run", "m", "hi", host=scripted.host, env=env).communicate(timeout=20)
    assert out == "naïve ☃ ?\n\n".encode()
    assert b"Traceback" not in err


@posix_only
def test_a_reader_that_has_enough(scripted: Scripted) -> None:
    scripted.replies["POST /api/show"] = 200, {}
    scripted.replies["POST /api/generate"] = 200, [{"response": "x" * 1000}] * 200
    program = as_program("run", "m", "hi", host=scripted.host)
    assert program.stdout and program.stderr
    program.stdout.close()
    assert b"Traceback" not in program.stderr.read()
    assert program.wait(20) == 141


@posix_only
@pytest.mark.parametrize(("path", "argv", "code"), [("generate", "run m hi", 0), ("pull", "pull m", 130)])
def test_interrupted(scripted: Scripted, path: str, argv: str, code: int) -> None:
    scripted.replies["POST /api/show"] = 200, {}
    scripted.replies[f"POST /api/{path}"] = 200, [{"response": "begun", "status": "begun"}, scripted.hold]
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a background job ignores it
    program = as_program(*argv.split(), host=scripted.host, **heed)
    assert program.stderr
    seen = b""
    while b"begun" not in seen and path == "pull" or not seen:
        seen += os.read(program.stderr.fileno(), 1000)
    if path == "generate":
        assert program.stdout and program.stdout.read(5) == b"begun"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=20)
    assert program.returncode == code
    assert b"Traceback" not in err and b"Error" not in err
    if path == "pull":
        assert b"\n" not in err  # what was drawn stands as it was


@posix_only
def test_a_terminal_of_its_own_width(scripted: Scripted) -> None:
    import fcntl
    import pty
    import struct
    import termios

    scripted.replies["POST /api/show"] = 200, {}
    scripted.replies["POST /api/generate"] = 200, [{"response": "one two three four", "done": True}]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 15, 0, 0))
    program = as_program("run", "m", "hi", host=scripted.host, stdout=theirs)
    _, err = program.communicate(timeout=20)
    os.close(theirs)
    out = os.read(ours, 1000).decode()
    os.close(ours)
    assert out == "one two th\x1b[2D\x1b[K\r\nthree four\r\n\r\n", err


def test_serve_on_an_address_that_cannot_be_had(ollama: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        text = f"Error: listen tcp {host}: bind: address already in use\n"
        ollama("serve", host=host)  # the first time it makes a key pair, and says so
        assert ollama("serve", host=host) == (1, "", text)
    text = "Error: listen tcp 192.0.2.7:80: bind: cannot assign requested address\n"
    assert ollama("serve", host="192.0.2.7:80") == (1, "", text)


STARTED = re.compile(
    r'time=\S+ level=INFO source=routes.go:1951 msg="server config" env="map\[CUDA_VISIBLE_DEVICES: .*"\n'
    r'time=\S+ level=INFO source=routes.go:1953 msg="Ollama cloud disabled: false"\n'
    r'time=\S+ level=INFO source=images.go:919 msg="total blobs: [1-9]\d*"\n'
    r'time=\S+ level=INFO source=images.go:926 msg="total unused blobs removed: 0"\n'
    r'time=\S+ level=INFO source=routes.go:2008 msg="Listening on (127.0.0.1:\d+) \(version 0.32.15\)"\n'
)


@posix_only
def test_serve(tmp_path: Path) -> None:
    """With the variables of a real server: a free port, models elsewhere, how long they stay."""
    settings = {
        "COURSE_HOME": tmp_path / "home",
        "OLLAMA_MODELS": tmp_path / "models",
        "OLLAMA_KEEP_ALIVE": "-1",
    }
    env = {name: str(value) for name, value in settings.items()}
    program = as_program("serve", host="127.0.0.1:0", env=env)
    assert program.stdout and program.stderr
    log = ""
    while not (started := STARTED.match(log)):
        line = program.stderr.readline().decode()
        assert line, log
        log += line
    assert "OLLAMA_KEEP_ALIVE:2562047h47m16.854775807s OLLAMA_KV_CACHE_TYPE: " in log
    assert f"OLLAMA_MODELS:{tmp_path / 'models'} " in log
    assert (tmp_path / "models" / "manifests").is_dir() and not (tmp_path / "home" / "models").exists()
    assert httpx.get(f"http://{started[1]}/", trust_env=False).text == "Ollama is running"
    key = b"".join(program.stdout.readline() for _ in range(5)).decode()
    assert re.fullmatch(
        rf"Couldn't find '{tmp_path}/home/id_ed25519'\. Generating new private key\.\n"
        r"Your new public key is: \n\nssh-ed25519 \S+\n\n",
        key,
    )
    line = program.stdout.readline().decode()
    assert re.fullmatch(
        r'\[GIN\] \d{4}/\d\d/\d\d - \d\d:\d\d:\d\d \| 200 \| +\S+s \| +127.0.0.1 \| GET      "/"\n', line
    )
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=10)
    assert program.returncode == 0


# --- launch -------------------------------------------------------------------------------------------------

LAUNCHES = [
    (
        ["claude"],
        "Claude Code is not installed. Install now? requires confirmation; re-run with --yes to continue",
    ),
    (["codex"], "codex is not installed, install from https://developers.openai.com/codex/cli/"),
    (["CODE"], "vscode is not installed, install from https://code.visualstudio.com"),
    (["moltbot", "-y"], "headless --yes launch for openclaw requires --model <model>"),
    (["claude", "--restore"], "claude does not support --restore"),
    (
        ["codex", "--restore", "--model", "x"],
        "--restore cannot be combined with --model, --config, or extra args",
    ),
    (
        ["claude", "--model", "x", "-y"],
        "the practice ollama command starts no other programs; 'ollama launch claude' needs the real one",
    ),
    (["nope"], "unknown integration: nope"),
    (
        ["-y"],
        "flags and extra args require an integration name, "
        "for example: 'ollama launch claude --model qwen3.5'",
    ),
]


@pytest.mark.parametrize(("words", "error"), LAUNCHES)
def test_launch(
    ollama: Command, monkeypatch: pytest.MonkeyPatch, url: str, words: list[str], error: str
) -> None:
    monkeypatch.setenv("PATH", "")
    host = url.removeprefix("http://")
    assert ollama("launch", *words, host=host) == (1, "", f"Error: {error}\n")
    code, _, said = ollama("launch", "", host=host)
    assert code == 0 and "could not open a new TTY" in said


@pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="what is said where there is no such desktop app"
)
def test_launch_of_a_desktop_app(ollama: Command, url: str) -> None:
    error = "Error: ChatGPT launch is only supported on macOS and Windows\n"
    assert ollama("launch", "chatgpt", host=url.removeprefix("http://")) == (1, "", error)


def test_experimental_create_needs_no_server(
    ollama: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = "is not a supported safetensors model directory (needs config.json + *.safetensors)"
    assert ollama("create", "x", "--experimental")[2].endswith(f"Error: . {folder}\n")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("")
    assert "leave the flag out" in ollama("create", "x", "--experimental")[2]
    wrong = {
        "SYSTEM hi\n": "failed to parse Modelfile: no FROM line",
        "FROM .\nPARAMETER nope 1\n": "unknown parameter 'nope'",
        "FROM .\nREQUIRES x\n": "requires must be a valid semver (e.g. 0.14.0)",
    }
    for text, error in wrong.items():
        (tmp_path / "Modelfile").write_text(text)
        assert ollama("create", "x", "--experimental")[2].endswith(f"\nError: {error}\n")


def test_a_parameter_that_json_cannot_hold(
    ollama: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, shown in (("inf", "+Inf"), ("-inf", "-Inf"), ("nan", "NaN")):
        (tmp_path / "Modelfile").write_text(f"FROM gemma3:1b\nPARAMETER temperature {given}\n")
        code, _, said = ollama("create", "x", host=url.removeprefix("http://"))
        assert code == 1 and said.endswith(f"Error: json: unsupported value: {shown}\n")


# --- the launcher -------------------------------------------------------------------------------------------


@posix_only
def test_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    python = tmp_path / "py 'th on"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "ho me"))
    monkeypatch.setenv("OLLAMA_HOST", url)
    monkeypatch.setattr(sys, "executable", str(python))
    folder = launcher.folder()
    assert folder == tmp_path / "ho me" / "bin"
    program = shutil.which("ollama", path=str(folder))
    assert program
    written = os.stat(program).st_mtime_ns
    assert launcher.folder() == folder and os.stat(program).st_mtime_ns == written
    assert os.listdir(folder) == ["ollama"]
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    done = subprocess.run([program, "show", "a  b"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Error: invalid model name\n")


def test_launcher_for_windows() -> None:
    course = r"C:\Users\Zoë 100%\course"
    text = launcher.cmd(rf"{course}\.venv\Scripts\python.exe", course, rf"{course}\.practice\bin")
    assert text.isascii()
    assert '\r\n"%~dp0..\\..\\.venv\\Scripts\\python.exe" -c "import sys; ' in text
    assert text.endswith('" %*\r\n')
    assert '"D:\\100%% py\\python.exe" -c' in launcher.cmd(r"D:\100% py\python.exe", course, course)


def test_launcher_in_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.raises(CourseError, match="cannot be written .* Set COURSE_HOME"):
        launcher.folder()
