"""The interactive session of `ollama run`: at a terminal, and its line editor byte for byte."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.practice import cli_readline, process
from helpers.terminal import Key, Transcript, Type, session

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="a console's session needs a console: ConPTY is untried"
)

OLLAMA = [sys.executable, "-m", "helpers.practice.command"]
ASKS = ">>> Send a message (/? for help)"
KEYS = json.loads((Path(__file__).parent / "keys.json").read_text("utf-8"))

Talk = Callable[..., Transcript]


@pytest.fixture
def talk(url: str, tmp_path: Path) -> Talk:
    """A session with a model: what the terminal showed, its first and last prompt left away."""

    def play(
        *steps: str | Key | Type, model: str = "llama3.2", flags: tuple[str, ...] = (), **env: str
    ) -> Any:
        environ = {"OLLAMA_HOST": url, "COURSE_HOME": str(tmp_path), "PYTHONPATH": str(process.ROOT), **env}
        return session([*OLLAMA, "run", model, *flags], steps, timeout=30, env=environ)

    return play


def said(seen: Transcript) -> list[str]:
    """The lines between the first prompt and the last."""
    lines = seen.text.split("\n")
    assert lines[-1] == ASKS, seen.text
    return lines[:-1]


def asked(client: httpx.Client, after: int = 0) -> list[dict[str, Any]]:
    """The bodies of what /api/chat was asked after the journal's entry of that number, first to last."""
    entries = client.get("/practice/journal", params={"after": after}).json()["entries"]
    bodies = [entry["body"] for entry in entries if entry["path"] == "/api/chat"]
    return [json.loads(body) if isinstance(body, str) else body for body in bodies]


# --- messages -----------------------------------------------------------------------------------------------


def test_a_message_and_its_answer(talk: Talk, client: httpx.Client) -> None:
    seen = talk("Say hi.", "And again?", Key.CTRL_D)
    assert seen.screens[0] == ASKS
    lines = seen.text.split("\n")
    assert lines[0] == ">>> Say hi." and lines[1] and lines[2] == "" and lines[3] == ">>> And again?"
    assert seen.returncode == 0
    first, second = asked(client)[-2:]
    assert list(first) == ["model", "messages", "options"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][1]["content"].split() == lines[1].split()


def test_lines_between_quotes_are_one_message(talk: Talk, client: httpx.Client) -> None:
    seen = talk('"""', "one", "two", '"""')
    assert seen.screens[1] == '>>> """\n... Press Enter to send'
    assert said(seen)[:4] == ['>>> """', "... one", "... two", '... """']
    assert asked(client)[-1]["messages"][-1]["content"] == "\none\ntwo\n"
    talk('"""three"""')
    assert asked(client)[-1]["messages"][-1]["content"] == "three"


def test_ctrl_j_and_a_paste_make_one_message(talk: Talk, client: httpx.Client) -> None:
    talk(Type("one"), Key.CTRL_J, "two")
    assert asked(client)[-1]["messages"][-1]["content"] == "one\ntwo"
    talk(Type("\x1b[200~three\rfour\x1b[201~"), Key.ENTER)
    assert asked(client)[-1]["messages"][-1]["content"] == "three\nfour"


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        ("/?", True),
        ("/list", True),
        ("/show system", True),
        ("/set quiet", True),
        ("/set format json", True),
        ("/set parameter seed 1", True),
        ("/set nonsense", True),
        ("/set system x", False),
        ("/clear", False),
        ("/nonsense", False),
    ],
)
def test_some_commands_send_what_was_pasted_before_them(
    talk: Talk, client: httpx.Client, command: str, sent: bool
) -> None:
    last = client.get("/practice/journal").json()["last"]
    talk(Type(f"\x1b[200~one\r{command}\x1b[201~"), Key.ENTER)
    messages = [body["messages"][-1]["content"] for body in asked(client, after=last)]
    assert messages == (["one\n"] if sent else [])


def test_an_unusable_format_is_noticed_with_the_first_message(talk: Talk) -> None:
    seen = talk("/set quiet", "hi", flags=("--format", "bogus"))
    assert seen.returncode == 1 and "Set 'quiet' mode." in seen.text
    assert seen.text.replace("\n", "").endswith(
        "Error: json: error calling MarshalJSON for type json.RawMessage: "
        "invalid character 'b' looking for beginning of value"
    )
    mended = said(talk("/set noformat", "hi", flags=("--format", "bogus")))
    assert mended[1] == "Disabled format." and mended[3]


def test_thinking_is_set_apart(talk: Talk) -> None:
    lines = said(talk("What is 17 times 3?", model="qwen3:0.6b"))
    assert lines[1] == "Thinking..."
    done = lines.index("...done thinking.")
    assert lines[2] and done > 2 and lines[done + 1] == "" and lines[done + 2]
    hidden = said(talk("What is 17 times 3?", model="qwen3:0.6b", flags=("--hidethinking",)))
    assert "Thinking..." not in hidden
    never = said(talk("/set nothink", "What is 17 times 3?", model="qwen3:0.6b"))
    assert never[1] == "Set 'nothink' mode." and "Thinking..." not in never


def test_timings(talk: Talk) -> None:
    lines = said(talk("/set verbose", "hi", "/set quiet", "hi"))
    timings = [line.partition(":")[0] for line in lines if line.endswith(("s", "s)")) and ": " in line]
    assert timings == [
        "total duration",
        "load duration",
        "prompt eval count",
        "prompt eval duration",
        "prompt eval rate",
        "eval count",
        "eval duration",
        "eval rate",
    ]


def test_a_picture_by_its_path(talk: Talk, client: httpx.Client, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "my pictures"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    escaped = str(folder / "red.png").replace(" ", "\\ ")
    for written in (f"What is in {escaped} ?", f"{escaped} what is it?", f"And '{folder / 'red.png'}'?"):
        lines = said(talk(written, model="gemma3:4b", flags=("--nowordwrap",)))
        assert any(line.startswith("Added image '") for line in lines), lines
        message = asked(client)[-1]["messages"][-1]
        assert len(message["images"]) == 1 and "red.png" not in message["content"]
    assert "Unknown command '/nope.png'" in talk("/nope.png").text


# --- commands -----------------------------------------------------------------------------------------------

SHOWN = [
    ("/?", "Available Commands:\n  /set            Set session variables\n"),
    ("/help", '  /? shortcuts    Help for keyboard shortcuts\n\nUse """ to begin a multi-line message.\n'),
    ("/? shortcuts", "  Ctrl + g            Open default editor to compose a prompt\n"),
    ("/? set", "  /set nothink           Disable thinking\n"),
    ("/set", "  /set parameter ...     Set a parameter\n"),
    ("/set system", "  /set system <string>   Set system message\n"),
    ("/set parameter", "  /set parameter stop <string> <string> ...   Set the stop parameters\n"),
    ("/set parameter nope 1", "Couldn't set parameter: \"unknown parameter 'nope'\"\n"),
    ("/set parameter temperature hot", 'Couldn\'t set parameter: "invalid float value [hot]"\n'),
    ("/set parameter seed 1 x", "Set parameter 'seed' to '1, x'\n"),
    ("/set format", "Invalid or missing format. For 'json' mode use '/set format json'\n"),
    ("/set x", "Unknown command '/set x'. Type /? for help\n"),
    ("/set think", "warning: model \"llama3.2\" does not support thinking output\nSet 'think' mode.\n"),
    ("/set think high", "Set 'think' mode to 'high'.\n"),
    ("/show", "  /show template     Show prompt template\n"),
    ("/show x", "Unknown command '/show x'. Type /? for help\n"),
    ("/show info", "  Model\n    architecture        llama\n"),
    ("/show license", "Practice stand-in for llama3.2"),
    ("/show modelfile", '# Modelfile generated by "ollama show"\n'),
    ("/show template", "{{"),
    ("/show system", "No system message was specified for this model.\n"),
    ("/load", "Usage:\n  /load <modelname>\n"),
    ("/load nosuch-model", "Loading model 'nosuch-model'\nCouldn't find model 'nosuch-model'\n"),
    ("/save", "Usage:\n  /save <modelname>\n"),
    ("/save foo:", "error: The model name 'foo:' is invalid\n"),
    ("/clear", "Cleared session context\n"),
    ("/list", "NAME "),
    ("/nope at all", "Unknown command '/nope'. Type /? for help\n"),
]


def test_what_commands_say(talk: Talk) -> None:
    seen = talk(*(line for line, _ in SHOWN))
    before = seen.screens[0].removesuffix(ASKS)
    for (line, text), screen in zip(SHOWN, seen.screens[1:], strict=True):
        assert screen.startswith(before)
        answer = screen.removeprefix(before)
        assert answer.startswith(f">>> {line}\n") and text in answer, answer
        before = screen.removesuffix(ASKS)


def test_what_is_set_reaches_the_server(talk: Talk, client: httpx.Client) -> None:
    talk("/set parameter temperature 0.2", "/set parameter stop a b", "/set format json", "hi")
    body = asked(client)[-1]
    assert body["options"] == {"temperature": 0.2, "stop": ["a", "b"]} and body["format"] == "json"
    shown = said(talk("/set parameter temperature 0.2", "/set parameter seed 7", "/show parameters"))
    assert shown[-4:] == [
        "User defined parameters:",
        "  temperature                    0.2",
        "  seed                           7",
        "",
    ]


def test_a_session_is_saved_and_loaded(talk: Talk, client: httpx.Client) -> None:
    name = "course-saved"
    try:
        lines = said(talk("/set system You are a parrot.", "hi", f"/save {name}"))
        assert lines[1] == "Set system message." and lines[-1] == f"Created new model '{name}'"
        saved = client.post("/api/show", json={"model": name}).json()
        assert saved["system"] == "You are a parrot."
        assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
        again = talk(f"/load {name}", "/show system", model="gemma3:1b")
        assert said(again)[-2:] == ["You are a parrot.", ""]
        assert talk(model=name).text.startswith(">>> hi\n")
    finally:
        client.request("DELETE", "/api/delete", json={"model": name})


def test_a_session_that_began_with_thinking_wants_it_of_every_model(talk: Talk, client: httpx.Client) -> None:
    refused = 'error: 400 Bad Request: "llama3.2" does not support thinking'
    seen = talk("/load llama3.2", "hi", "/set nothink", "/load llama3.2", "hi", model="qwen3:0.6b")
    lines = said(seen)
    assert lines[1:5] == ["Loading model 'llama3.2'", refused, ">>> hi", refused]
    assert refused not in lines[5:] and asked(client)[-1]["think"] is False
    talk("/load qwen3:0.6b", "hi", "/load llama3.2", "hi")
    assert "think" not in asked(client)[-1]


def test_a_system_message_over_lines(talk: Talk, client: httpx.Client) -> None:
    seen = talk('/set system """You are', 'a parrot."""', "hi", "/clear", "hi")
    assert seen.screens[2].split("\n")[-2] == "Set system message."
    last = asked(client)[-1]["messages"]
    # Ollama joins the first line to the second.
    assert [message["content"] for message in last] == ["You area parrot.", "hi"]


# --- keys ---------------------------------------------------------------------------------------------------


def test_ways_out(talk: Talk) -> None:
    for way in ("/bye", "/exit", Key.CTRL_D):
        assert talk(way).returncode == 0
    seen = talk(Type("half a line"), Key.CTRL_C)
    assert said(seen) == [">>> half a line", "Use Ctrl + d or /bye to exit."]
    assert seen.returncode is None


def test_ctrl_c_stops_an_answer_and_keeps_the_session(tmp_path: Path, client: httpx.Client) -> None:
    with slow_model() as host:
        env = {"OLLAMA_HOST": host, "COURSE_HOME": str(tmp_path), "PYTHONPATH": str(process.ROOT)}
        steps = [Type("go on", enter=True, until="first"), Key.CTRL_C, "/set quiet", "/bye"]
        seen = session([*OLLAMA, "run", "m"], steps, timeout=30, env=env)
    assert "first" in seen.text and seen.text.endswith("Set 'quiet' mode.\n>>> /bye")
    assert seen.returncode == 0


def test_history_is_kept_in_the_practice_home(talk: Talk, tmp_path: Path) -> None:
    talk("/set quiet", "/set nohistory", "/set verbose", "/bye", HOME=str(tmp_path / "own"))
    history = tmp_path / "history"
    assert history.read_text() == "/set quiet\n/set nohistory\n"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert not (tmp_path / "own").exists()
    assert talk(Key.UP, Key.UP).screens[1:] == (">>> /set nohistory", ">>> /set quiet")
    assert talk("/set quiet", OLLAMA_NOHISTORY="1") and history.read_text() == "/set quiet\n/set nohistory\n"


def test_the_editor(talk: Talk, tmp_path: Path, client: httpx.Client) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncat "$1" > "$0.given"; printf "one\\ntwo\\n" > "$1"\n')
    editor.chmod(0o755)
    talk(Type("draft"), Key.CTRL_G, Key.ENTER, OLLAMA_EDITOR=str(editor))
    assert (tmp_path / "editor.given").read_text() == "draft"
    assert asked(client)[-1]["messages"][-1]["content"] == "one\ntwo"
    missing = talk(Key.CTRL_G, OLLAMA_EDITOR="no-such-editor")
    text = 'error: editor "no-such-editor" not found, set OLLAMA_EDITOR to the path of your preferred editor'
    assert text in missing.text.replace("\n", " ")


@pytest.mark.parametrize("case", KEYS["cases"], ids=lambda case: case["name"])
def test_keys_write_the_same_bytes(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Ollama 0.32.15 wrote to a terminal after each key."""
    history = tmp_path / "history"
    history.write_text("".join(f"{line}\n" for line in KEYS["history"]), "utf-8")
    blocks = iter(case["keys"])
    written: list[str] = []

    class Keyboard:
        letters = ""

        @contextmanager
        def raw(self) -> Iterator[None]:
            yield

        def read(self) -> str:
            if not self.letters:
                written.append(capsys.readouterr().out.replace("\n", "\r\n"))
                self.letters = next(blocks, "")
            letter, self.letters = self.letters[:1], self.letters[1:]
            return letter

        def more(self) -> bool:
            return bool(self.letters)

    monkeypatch.setattr(cli_readline, "Keyboard", Keyboard)
    monkeypatch.setattr(cli_readline, "terminal_size", lambda descriptor: (case["columns"], 24))
    with pytest.raises(EOFError):
        cli_readline.Reader(history).read()
    assert written[1:] == case["written"]


@contextmanager
def slow_model() -> Iterator[str]:
    """A server whose model says one word and then nothing until its client has gone."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.end_headers()
            if self.path == "/api/chat":
                self.wfile.write(b'{"message": {"role": "assistant", "content": "first "}}\n')
                self.wfile.flush()
                self.connection.settimeout(20)
                self.connection.recv(1)
            elif self.command == "POST":
                self.wfile.write(b"{}")

        do_HEAD = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
