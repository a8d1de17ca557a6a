"""One server for a home: found, shared, started again, and gone with the last that used it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from helpers.errors import CourseError
from helpers.practice import process

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
ENSURE = (
    "import sys, pathlib; from helpers.practice import process;"
    "server = process.ensure(pathlib.Path(sys.argv[1]), int(sys.argv[2])); print(server.pid, server.started)"
)


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    sleeper = subprocess.Popen(SLEEPER)
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while process.alive(pid):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.02)


def test_several_at_once_get_one_server(tmp_path: Path, owner: subprocess.Popen[bytes]) -> None:
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, str(tmp_path), str(owner.pid)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [one.communicate(timeout=30)[0].split() for one in asked]
    assert len({pid for pid, _ in answers}) == 1
    assert sorted(started for _, started in answers) == ["False", "False", "True"]
    owner.kill()
    owner.wait()
    wait_until_gone(int(answers[0][0]))


def test_a_killed_server_comes_back_at_the_same_address(
    tmp_path: Path, owner: subprocess.Popen[bytes]
) -> None:
    first = process.ensure(tmp_path, owner.pid)
    assert not process.ensure(tmp_path, owner.pid).started
    os.kill(first.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    wait_until_gone(first.pid)
    second = process.ensure(tmp_path, owner.pid)
    assert second.started and second.url == first.url and second.pid != first.pid
    process.leave(tmp_path, owner.pid)
    wait_until_gone(second.pid)


def test_it_stays_while_somebody_else_uses_it(tmp_path: Path, owner: subprocess.Popen[bytes]) -> None:
    server = process.ensure(tmp_path, owner.pid)
    process.ensure(tmp_path, os.getpid())
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert process.alive(server.pid)
        time.sleep(0.1)
    process.leave(tmp_path, os.getpid())
    wait_until_gone(server.pid)


def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(CourseError, match="COURSE_HOME"):
        process.ensure(blocked / "home", os.getpid())


def practice(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "helpers", "practice", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_second_server_on_one_home_or_port_says_so(tmp_path: Path) -> None:
    first = practice("--port", "0", "--home", str(tmp_path / "a"))
    assert first.stdout
    url = first.stdout.readline().strip()
    try:
        second = practice("--port", "0", "--home", str(tmp_path / "a"))
        said, _ = second.communicate(timeout=20)
        assert second.returncode == 1 and url in said and said.count("\n") == 1
        third = practice("--port", url.rpartition(":")[2], "--home", str(tmp_path / "b"))
        said, _ = third.communicate(timeout=20)
        assert third.returncode == 1 and "--port" in said and said.count("\n") == 1
    finally:
        first.send_signal(signal.SIGINT)
        assert first.wait(10) == 0


def test_frozen_replies_are_the_same_bytes_in_two_runs(tmp_path: Path) -> None:
    def run(home: Path) -> list[bytes]:
        server = practice("--port", "0", "--home", str(home), "--frozen")
        assert server.stdout
        url = server.stdout.readline().strip()
        hi = {"messages": [{"role": "user", "content": "Tell me a fun fact"}]}
        asks = [
            ("/api/generate", {"model": "llama3.2", "prompt": "Say hi."}),
            ("/api/chat", {"model": "llama3.2", **hi, "stream": False}),
            ("/api/embed", {"model": "all-minilm", "input": "why"}),
            ("/v1/chat/completions", {"model": "llama3.2", **hi, "stream": True}),
            ("/openai/v1/chat/completions", {"model": "gpt-5-nano", **hi}),
            ("/openai/v1/chat/completions", {"model": "gpt-4o-mini", **hi, "stream": True, "n": 2}),
        ]
        with httpx.Client(
            base_url=url, headers={"Authorization": "Bearer sk-practice"}, trust_env=False
        ) as client:
            made = [client.post(path, json=ask).content for path, ask in asks]
            made.append(client.get("/api/tags").content)
            made.append(client.get("/api/ps").content)
        server.terminate()
        server.wait(10)
        return made

    assert run(tmp_path / "one") == run(tmp_path / "two")
