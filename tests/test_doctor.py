"""The doctor, asked as a lesson and a terminal ask it: what it sees, what it advises, what it never says."""

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

import pytest

from helpers import doctor, environment
from helpers.doctor import Finding

SECRET = "sk-a-real-key-0123456789"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout in a shell that sets nothing."""
    monkeypatch.setattr(doctor, "CHECKOUT", tmp_path)
    for name in (*doctor.SETTINGS, "PYTHON_DOTENV_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    return tmp_path


def found(name: str) -> list[Finding]:
    """What one check finds: the others may wait for a server that does not answer."""
    return [Finding(name, *result) for result in doctor.safely(doctor.CHECKS[name])]


def write(checkout: Path, text: str | bytes) -> None:
    (checkout / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())


# What it looks at, and how it says it


def test_a_sound_course_has_no_problem(checkout: Path) -> None:
    findings = doctor.examine()
    assert [finding for finding in findings if finding.state == "problem"] == []
    assert [finding.name for finding in findings] == [name for name in doctor.CHECKS if name != "models"]
    assert {finding.state for finding in findings} <= set(doctor.COLOURS)


def test_the_report_is_plain_text_and_says_each_fix(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor.report()
    said = capsys.readouterr().out
    assert "\x1b" not in said
    for finding in doctor.examine():
        assert finding.name in said and finding.fix in said
    assert said.splitlines()[-1] == "No problem found."


def test_the_exit_code_tells_a_problem_and_json_has_it(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([]) == 0
    write(checkout, "COURSE_LANE=cluod\n")
    capsys.readouterr()
    assert doctor.main(["--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == 1
    assert {"name": "lane", "state": "problem"}.items() <= next(
        finding for finding in said["findings"] if finding["state"] == "problem"
    ).items()


def test_a_screen_gets_colours_unless_it_asks_for_none(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.delenv("NO_COLOR", raising=False)
    doctor.main([])
    assert "\x1b[32mok" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    doctor.main([])
    assert "\x1b" not in capsys.readouterr().out


def test_without_any_package_it_still_looks_at_the_rest() -> None:
    """A Python that sees the standard library and this checkout only."""
    program = f"""
import sys
sys.path.insert(0, {str(environment.CHECKOUT)!r})
from helpers import doctor
doctor.report()
"""
    said = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    lines = {line[9:].split("  ")[0]: line for line in said.stdout.splitlines()}
    assert lines["packages"].startswith("problem")
    assert lines["memory"].startswith("note") and "psutil" in lines["memory"]
    assert lines["disk"].split()[0] in ("ok", "note")


def test_a_console_of_an_old_windows_can_show_it(checkout: Path) -> None:
    for finding in doctor.examine():
        (finding.name + finding.text + finding.fix).encode("cp1252")


# Packages and kernel


def test_a_missing_package_is_a_problem_and_another_version_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "missing", lambda: ["httpx 1.0 (here is 0.9)"])
    assert found("packages")[0].state == "note"
    monkeypatch.setattr(environment, "missing", lambda: ["httpx 1.0 (here is 0.9)", "starlette 1.0"])
    (finding,) = found("packages")
    assert finding.state == "problem" and "starlette 1.0" in finding.text and finding.fix


def test_a_kernel_of_another_python_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("kernel")[0].state == "ok"
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    other = str(tmp_path / "bin" / "python")
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": [other], "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (finding,) = found("kernel")
    assert finding.state == "problem" and other in finding.text and "kernelspec remove" in finding.fix


# Ollama


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, object]], str]]:
    """Start a server that answers some paths with JSON; gives its address."""
    running = []

    def start(answers: dict[str, object]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in answers else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answers.get(self.path)).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_an_ollama_is_named_with_what_it_lacks(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[dict[str, object]], str]
) -> None:
    models = {"models": [{"name": "llama3.2:latest"}, {"name": "mine:1b\x1b[31m"}]}
    address = serve({"/api/version": {"version": "0.32.15"}, "/api/tags": models})
    monkeypatch.setenv("OLLAMA_HOST", address)
    assert found("ollama server") == [
        Finding("ollama server", "ok", f"Ollama 0.32.15 at http://{address}"),
    ]
    (finding,) = found("models")
    assert finding.state == "note" and "llama3.2, mine:1b" in finding.text
    assert "ollama pull all-minilm" in finding.fix and "pull llama3.2" not in finding.fix
    assert "\x1b" not in finding.text


def test_no_ollama_is_a_note_but_a_problem_if_it_was_asked_for(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("ollama server")[0].state == "note"
    monkeypatch.setenv("COURSE_LANE", "ollama")
    assert found("ollama server")[0].state == "problem"


def test_the_cloud_is_never_asked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(doctor, "ask", lambda url: asked.append(url))
    monkeypatch.setenv("OLLAMA_HOST", "https://ollama.com")
    write(
        checkout, f"COURSE_LANE=cloud\nOPENAI_API_KEY={SECRET}\nOPENAI_BASE_URL=https://api.example.com/v1\n"
    )
    doctor.examine()
    assert [url for url in asked if "127.0.0.1" not in url] == []


def test_a_real_command_is_told_from_the_practice_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("ollama command")[0].text == "the practice one"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "none" in found("ollama command")[0].text
    if os.name != "nt":
        (tmp_path / "ollama").write_text("#!/bin/sh\necho 'ollama version is 0.32.15'\n")
        (tmp_path / "ollama").chmod(0o755)
        assert found("ollama command")[0].text == f"0.32.15, {tmp_path / 'ollama'}"


def test_the_port_may_be_held_by_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(socket.socket):
        def connect_ex(self, address: object) -> int:
            return 0

    monkeypatch.setattr(doctor.socket, "socket", Held)
    monkeypatch.setattr(doctor, "ask", lambda url: None)
    (finding,) = doctor.safely(doctor.port_11434)
    assert finding[0] == "note" and "11435" in finding[2]


# Proxies


def test_a_proxy_that_catches_this_machine_is_shown_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://user:pa@ss@proxy.school:3128")
    (finding,) = found("proxy")
    assert finding.state == "note" and "http://proxy.school:3128" in finding.text
    assert "user" not in finding.text and "pa@ss" not in finding.text and "NO_PROXY=127.0.0.1" in finding.fix
    monkeypatch.setenv("NO_PROXY", "example.com, 127.0.0.1")
    assert found("proxy")[0].state == "ok"
    monkeypatch.setenv("all_proxy", "socks://proxy.school:1080")
    (finding,) = found("proxy")
    assert finding.state == "problem" and "cannot use the proxy in all_proxy" in finding.text and finding.fix


# .env


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'OPENAI_API_KEY="{SECRET}', "line 1 cannot be read"),
        (f"# mine\n\nOPENAI_API_KEY\nOLLAMA_HOST: {SECRET}\n", "line 3 cannot be read"),
        (f"OPENAI_API_KEY=“{SECRET}”\n", "OPENAI_API_KEY has typographic quotes"),
        (f"OPENAI_API_KEY='\"{SECRET}\"'\n", "OPENAI_API_KEY begins or ends with a quote"),
        (f"OPENAI_API_KEY={SECRET} {SECRET}\n", "OPENAI_API_KEY has a space"),
        (f"OPENAI_API_KEY=Bearer-{SECRET}\n", "begins with Bearer"),
        ("OPENAI_API_KEY=sk-...\n", "is still the example's"),
        ("OPENAI_BASE_URL=https://YOUR-RESOURCE.openai.azure.com/openai/v1\n", "is still the example's"),
        (f"\ufeffOPENAI_API_KEY={SECRET}\n", "byte order mark"),
        (f"OPENAI_API_KEY={SECRET}\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_mistake_in_dotenv_is_named_without_the_value(
    checkout: Path, text: str | bytes, problem: str
) -> None:
    write(checkout, text)
    problems = [finding for finding in found(".env") if finding.state == "problem"]
    assert problem in problems[0].text and problems[0].fix
    all_found = [finding for name in (".env", "lane", "base URL", "ollama server") for finding in found(name)]
    assert SECRET not in repr(all_found)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("OPENAI_API_BASE=https://x/v1\n", "did you mean OPENAI_BASE_URL?"),
        ("OPENAI_APIKEY=x\n", "did you mean OPENAI_API_KEY?"),
        ("ollama_host=127.0.0.1\n", "did you mean OLLAMA_HOST?"),
        ("OLLAMA_HOST=a\nOLLAMA_HOST=b\n", "2 times; the last counts"),
    ],
)
def test_a_doubtful_line_in_dotenv_is_noted(checkout: Path, text: str, note: str) -> None:
    write(checkout, text)
    assert any(note in finding.text + finding.fix for finding in found(".env") if finding.state == "note")


def test_a_sound_dotenv_is_listed_by_names_only(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(checkout, f"# a comment\nexport OPENAI_API_KEY = '{SECRET}'\nOPENAI_BASE_URL=\nEDITOR=vi\n")
    assert found(".env") == [Finding(".env", "ok", "sets OPENAI_API_KEY (values are not shown)")]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-an-older-one")
    (note, _) = found(".env")
    assert note.state == "note" and "is another in your shell" in note.text
    assert "sk-" not in note.text + note.fix


def test_a_dotenv_under_another_name_is_found(checkout: Path) -> None:
    assert found(".env")[0].state == "ok"
    (checkout / ".env.txt").write_text("")
    assert found(".env") == [
        Finding(".env", "problem", "there is none, but a .env.txt", "rename .env.txt to .env"),
    ]


# Lane and base URL


@pytest.mark.parametrize(
    ("text", "name", "state"),
    [
        ("COURSE_LANE=cluod\n", "lane", "problem"),
        ("COURSE_LANE=cloud\n", "lane", "problem"),
        (f"COURSE_LANE=cloud\nOPENAI_API_KEY={SECRET}\n", "lane", "ok"),
        ("OPENAI_BASE_URL=https://api.example.com\n", "base URL", "problem"),
        ("OPENAI_BASE_URL=https://api.example.com/v1/chat/completions\n", "base URL", "problem"),
        ("OPENAI_BASE_URL=api.example.com/v1\n", "base URL", "problem"),
        ("OPENAI_BASE_URL=https://api.example.com/api\n", "base URL", "note"),
        ("OPENAI_BASE_URL=https://api.example.com/openai/v1/\n", "base URL", "ok"),
        ("OPENAI_BASE_URL=https://host.example.com/v1beta/openai\n", "base URL", "ok"),
    ],
)
def test_lane_and_base_url(checkout: Path, text: str, name: str, state: str) -> None:
    write(checkout, text)
    (finding,) = found(name)
    assert finding.state == state and bool(finding.fix) == (state != "ok")


def test_a_home_that_cannot_be_written_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = found("practice server")
    assert finding.state == "problem" and "COURSE_HOME" in finding.fix
