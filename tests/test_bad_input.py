"""What goes wrong with the practice `ollama` command: one line, the real one's exit code, nothing lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.practice import process
from helpers.practice.store import digest_of
from tests.served import served
from tests.test_store import push

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NOWHERE = "http://127.0.0.1:9"
TRACES = ("Traceback", "Internal Server Error\n")
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def begin(*words: str, host: str, **options: Any) -> subprocess.Popen[str]:
    """The command line as a process; a Ctrl-C reaches it though its parent may ignore them."""
    environ = {**os.environ, "OLLAMA_HOST": host, "PYTHONPATH": str(process.ROOT), **options.pop("env", {})}
    if os.name == "posix":
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-m", "helpers.practice.command", *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def end(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output, and the last line that stands where the errors go."""
    out, err = program.communicate(timeout=30)
    assert not any(trace in err for trace in TRACES), err
    shown = ESCAPES.sub("", re.sub(r"[^\n]*\x1b\[2K", "", err))
    lines = [line for line in shown.splitlines() if line.strip()]
    return program.returncode, out, lines[-1] if lines else ""


def ollama(*words: str, host: str, **options: Any) -> tuple[int, str, str]:
    return end(begin(*words, host=host, **options))


def names(host: str) -> set[str]:
    """The models that `ollama ls` tells of, as its lines are, but for their ages."""
    code, out, _ = ollama("ls", host=host)
    assert code == 0
    return {" ".join(line.split()[:4]) for line in out.splitlines()[1:]}


# --- words that name nothing --------------------------------------------------------------------------------

UNKNOWN = {
    "show nosuch": "Error: model 'nosuch:latest' not found",
    "rm nosuch": "Error: model 'nosuch' not found",
    "cp nosuch other": 'Error: model "nosuch" not found',
    "stop nosuch": 'Error: couldn\'t find model "nosuch" to stop',
    "pull nosuch": "Error: pull model manifest: file does not exist",
    "run nosuch hello": "Error: pull model manifest: file does not exist",
}


def test_an_unknown_model(url: str) -> None:
    programs = {line: begin(*line.split(), host=url) for line in UNKNOWN}
    for line, program in programs.items():
        code, out, error = end(program)
        assert (code, out, error) == (1, "", UNKNOWN[line]), line


COMMANDS = '"from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter"'
BAD_COMMAND = f'command must be one of {COMMANDS}, "message", or "requires"'
BAD_ROLE = '(line 2): message role must be one of "system", "user", or "assistant"'
WRONG = {
    "FOO x\n": f"(line 1): {BAD_COMMAND}",
    "SYSTEM hi\n": "no FROM line",
    'FROM llama3.2\nSYSTEM """hi\n': "unexpected EOF",
    'FROM llama3.2\nSYSTEM "hi" there\n': "unexpected EOF",
    "FROM llama3.2\nSYSTEM\n": f"(line 3): {BAD_COMMAND}",
    "FROM llama3.2\nMESSAGE bob hi\n": BAD_ROLE,
    "FROM llama3.2\nMESSAGE user: hi\n": "unexpected EOF: user",
    "FROM llama3.2\nPARAMETER nope 1\n": "unknown parameter 'nope'",
    "FROM llama3.2\nPARAMETER stop\n": "unexpected EOF: stop",
    "FROM llama3.2\nPARAMETER temperature hot\n": "invalid float value [hot]",
    "FROM llama3.2\nPARAMETER seed 1.5\n": "invalid int value [1.5]",
    "FROM nosuch-base\n": "pull model manifest: file does not exist",
    "FROM .\n": "no Modelfile or safetensors files found",
}


def test_each_wrong_modelfile(url: str, tmp_path: Path) -> None:
    before = names(url)
    programs = []
    for number, text in enumerate(WRONG):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Modelfile").write_text(text)
        programs.append(begin("create", "wrong", "-f", "Modelfile", host=url, cwd=folder))
    for program, (text, error) in zip(programs, WRONG.items(), strict=True):
        assert end(program) == (1, "", f"Error: {error}"), text
    assert names(url) == before


# --- no server, and too many --------------------------------------------------------------------------------


def test_no_server() -> None:
    lines = (
        "ls",
        "ps",
        "run m hi",
        "show m",
        "pull m",
        "push m",
        "create m",
        "cp a b",
        "rm m",
        "stop m",
        "signin",
    )
    for program in [begin(*line.split(), host=NOWHERE) for line in lines]:
        error = "Error: could not connect to ollama server, run 'ollama serve' to start it"
        assert end(program) == (1, "", error), program.args


@contextmanager
def serving(**environ: str) -> Iterator[str]:
    """`ollama serve` on a free port, ended by Ctrl-C: the address it says it listens on."""
    program = begin("serve", host="127.0.0.1:0", env=environ)
    assert program.stderr
    said = ""
    while "Listening on" not in said:
        said = program.stderr.readline()
        assert said, program.communicate()
    try:
        yield said.split("Listening on ")[1].split()[0]
    finally:
        program.send_signal(signal.SIGINT)
        assert end(program)[0] == 0


@posix_only
def test_a_second_serve_leaves_the_first_alone(tmp_path: Path) -> None:
    with serving(COURSE_HOME=str(tmp_path)) as address:
        before = names(address)
        error = f"Error: listen tcp {address}: bind: address already in use"
        assert ollama("serve", host=address, env={"COURSE_HOME": str(tmp_path)}) == (1, "", error)
        assert names(address) == before


# --- a pull that ends too early -----------------------------------------------------------------------------


def percents(err: str, digest: str) -> list[int]:
    return [int(found) for found in re.findall(rf"pulling {digest}: +(\d+)%", ESCAPES.sub("", err))]


@posix_only
def test_an_interrupted_pull_goes_on_where_it_was(tmp_path: Path) -> None:
    with served(tmp_path / "home", COURSE_PULL_SPEED="2000") as server:
        before = names(server.url)
        program = begin("pull", "gemma3:4b", host=server.url)
        assert program.stderr
        seen = ""
        while not (found := re.search(r"pulling ([0-9a-f]{12}): +([2-9]\d)%", seen)):
            part = os.read(program.stderr.fileno(), 4096).decode("utf-8", "replace")
            assert part, seen
            seen = ESCAPES.sub("", seen + part)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=20)
        assert program.returncode == 130 and "Error" not in err and "Traceback" not in err
        assert names(server.url) == before
        again = begin("pull", "gemma3:4b", host=server.url)
        _, err = again.communicate(timeout=30)
        assert again.returncode == 0
        assert percents(err, found[1])[0] >= int(found[2]) and percents(err, found[1])[-1] == 100
        assert {line.split()[0] for line in names(server.url) - before} == {"gemma3:4b"}


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def test_a_pull_goes_on_once_a_full_disk_has_room(small_disk: Path, url: str, client: httpx.Client) -> None:
    weights = os.urandom(4_000_000)
    digest = digest_of(weights).removeprefix("sha256:")
    name = f"{url.removeprefix('http://')}/me/big"
    push(url, name, weights)
    with served(small_disk) as server:
        before = names(server.url)
        code, out, error = ollama("pull", "--insecure", name, host=server.url)
        partial = small_disk / "models" / "blobs" / f"sha256-{digest}-partial"
        assert (code, out, error) == (1, "", f"Error: write {partial}: no space left on device")
        there = partial.stat().st_size
        assert 0 < there < len(weights) and names(server.url) == before
        remount(small_disk, "size=16m")
        client.delete("/practice/journal")
        assert ollama("pull", "--insecure", name, host=server.url)[0] == 0
        assert len(names(server.url) - before) == 1
    asked = [one["headers"].get("range") for one in client.get("/practice/journal").json()["entries"]]
    assert f"bytes={there}-{len(weights) - 1}" in asked
    client.request("DELETE", "/v2/me/big/manifests/latest")


# --- no write access ----------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written(small_disk: Path) -> None:
    remount(small_disk, "ro")
    serve = begin("serve", host="127.0.0.1:0", env={"COURSE_HOME": str(small_disk / "home")})
    lines = begin("serve", host="127.0.0.1:0", env={"COURSE_HOME": str(small_disk)})
    models = begin(
        "serve",
        host="127.0.0.1:0",
        env={
            "COURSE_HOME": str(small_disk.parent / "own"),
            "OLLAMA_MODELS": str(small_disk / "models"),
        },
    )
    refused = f"mkdir {small_disk}/{{}}: read-only file system"
    code, _, error = end(serve)
    assert (code, error) == (1, f"Error: could not create directory {refused.format('home')}")
    code, _, error = end(lines)
    assert (code, error) == (1, f"Error: open {small_disk}/id_ed25519: read-only file system")
    code, _, error = end(models)
    traversable = "ensure path elements are traversable"
    assert (code, error) == (1, f"Error: {refused.format('models')}: {traversable}")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {"COURSE_HOME": str(tmp_path / "home"), "OLLAMA_MODELS": str(tmp_path / "file")}
    code, _, error = ollama("serve", host="127.0.0.1:0", env=env)
    assert code == 1 and error.startswith(f"Error: mkdir {tmp_path / 'file'}: ")
    (tmp_path / "home" / "models").touch()
    command = [sys.executable, "-m", "helpers", "practice", "--port", "0", "--home", str(tmp_path / "home")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert said.returncode == 1 and "--home" in said.stderr and said.stderr.count("\n") == 1


def test_models_that_became_read_only_are_all_still_there(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_text("FROM llama3.2\nSYSTEM hello\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.gguf").write_bytes(b"GGUF" + bytes(1000))
    (tmp_path / "Other").write_text(f"FROM {tmp_path / 'files'}\n")
    with serving(COURSE_HOME=str(tmp_path / "home"), OLLAMA_MODELS=str(small_disk / "models")) as address:
        before = names(address)
        remount(small_disk, "ro")
        lines = {
            f"create new -f {tmp_path / 'Modelfile'}": "open",
            f"create new -f {tmp_path / 'Other'}": "open",
            "cp llama3.2 new": "mkdir",
            "rm llama3.2": "remove",
            "pull gemma3:1b": "",
        }
        for line, verb in lines.items():
            code, out, error = ollama(*line.split(), host=address)
            assert (code, out) == (1, "") and error.startswith("Error: "), line
            assert f"{verb} {small_disk}/models/" in error and error.endswith(": read-only file system"), line
        assert names(address) == before
        remount(small_disk, "rw")
        assert ollama("rm", "llama3.2", host=address) == (0, "deleted 'llama3.2'\n", "")
