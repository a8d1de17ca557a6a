"""run(): real child processes, their output, and their end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from helpers import CourseError
from helpers.terminal import clean, run

PYTHON = shlex.quote(sys.executable)


def python(program: str) -> str:
    return f"{PYTHON} -c {shlex.quote(program)}"


def test_what_a_command_wrote_is_kept_apart_and_shown_together() -> None:
    result = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (result.stdout.split(), result.stderr.split(), result.returncode) == (["out"], ["err"], 3)
    assert repr(result) == "out\nerr\n[exit code 3]"


def test_words_reach_the_command_as_they_were_quoted() -> None:
    result = run(python("import sys; print(sys.argv[1:])") + ' one "two words" $HOME "*" 🙂')
    assert result.stdout.strip() == "['one', 'two words', '$HOME', '*', '🙂']"


def test_stdin_is_what_was_given_or_nothing() -> None:
    program = python("import sys; print(ascii(sys.stdin.buffer.read().decode()))")
    assert run(program, stdin="Zoë\n").stdout.strip() == r"'Zo\xeb\n'"
    assert run(program).stdout.strip() == "''"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run(python(r"import sys; sys.stdout.buffer.write(b'a\xff\x00\x1b[')")).stdout == "a\ufffd\x00\x1b["
    assert repr(run(python(r"import sys; sys.stdout.buffer.write(b'a\xff\x00b')"))) == "a\ufffdb"


BAD = {
    "no-such-command-here": "There is no command 'no-such-command-here' here",
    "echo 'open": "not closed",
    "": "no command to run",
    "echo \x00": "cannot be run",
}


@pytest.mark.parametrize("command", BAD)
def test_a_wrong_command_is_explained(command: str) -> None:
    with pytest.raises(CourseError, match=BAD[command]):
        run(command)


def test_a_missing_ollama_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CourseError, match=r"no command 'ollama' here\. Run the lesson's first cell, or install"
    ):
        run("ollama ls")


@pytest.mark.parametrize("timeout", [0, -1, "1", None, True])
def test_a_wrong_timeout_is_explained(timeout: object) -> None:
    with pytest.raises(CourseError, match="timeout must be"):
        run(python("pass"), timeout=timeout)  # type: ignore[arg-type]


FAMILY = """
import subprocess, sys, pathlib, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session={apart})
path = pathlib.Path(sys.argv[1])
path.with_suffix(".part").write_text(str(child.pid))
path.with_suffix(".part").rename(path)
print("still here", flush=True)
{wait}
"""


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 5
    while not ended(pid):
        assert time.monotonic() < deadline, "the child still runs"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("wait", "apart"), [("time.sleep(60)", False), ("time.sleep(60)", True), ("", False)]
)
def test_a_time_out_ends_the_command_and_its_children(tmp_path: Path, wait: str, apart: bool) -> None:
    """Also a child in a session of its own, and one that alone still holds the output open."""
    command = python(FAMILY.format(wait=wait, apart=apart)) + " " + shlex.quote(str(tmp_path / "pid"))
    with pytest.raises(CourseError, match=r"had not ended after 1 s and was stopped\. .*timeout=5"):
        run(command, timeout=1)
    assert_ends(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(
    os.name == "nt", reason="interrupts a process as a terminal does, which Windows does otherwise"
)
def test_an_interrupt_ends_the_command_and_its_children(tmp_path: Path) -> None:
    command = (
        python(FAMILY.format(wait="time.sleep(60)", apart=False)) + " " + shlex.quote(str(tmp_path / "pid"))
    )
    program = f"from helpers.terminal import run\nrun({command!r})"
    outer = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    outer.send_signal(signal.SIGINT)
    _, err = outer.communicate(timeout=10)
    assert b"KeyboardInterrupt" in err
    assert_ends(int((tmp_path / "pid").read_text()))


def test_a_command_in_a_thread_ends_too(tmp_path: Path) -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(repr(run(python("print('done')")))))
    thread.start()
    thread.join(10)
    assert results == ["done"]


PULL = (
    "\x1b[?2026h\x1b[?25l\x1b[1Gpulling manifest \x1b[K\n"
    "pulling 941f309b54ca:   0% ▕    ▏ 262 KB/ 98 MB \x1b[K"
    "\x1b[?25h\x1b[?2026l\x1b[?2026h\x1b[?25l\x1b[A\x1b[1Gpulling manifest \x1b[K\n"
    "pulling 941f309b54ca: 100% ▕████▏  98 MB/ 98 MB \x1b[K\n"
    "verifying sha256 digest ⠋ \x1b[K\x1b[?25h\x1b[?2026l"
    "\x1b[?2026h\x1b[?25l\x1b[A\x1b[A\x1b[1Gpulling manifest \x1b[K\n"
    "pulling 941f309b54ca: 100% ▕████▏  98 MB/ 98 MB \x1b[K\n"
    "verifying sha256 digest \x1b[K\nwriting manifest \x1b[K\nsuccess \x1b[K\x1b[?25h\x1b[?2026l\n"
)


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        (
            PULL,
            "pulling manifest\npulling 941f309b54ca: 100% ▕████▏  98 MB/ 98 MB\n"
            "verifying sha256 digest\nwriting manifest\nsuccess",
        ),
        ("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain\r\n", "red and plain"),
        ("10%\r50%\r100%\n", "100%"),
        ("spin |\b/\b-\b done\n", "spin  done"),
        ("a\tb\r\nc", "a       b\nc"),
        ("abcd\x1b[3Dx\x1b[1K\n", "   d"),
        ("long line\r\x1b[Kshort", "short"),
        ("one\ntwo\x1b[A\x1b[Jonly", "oneonly"),
        ("", ""),
        ("half an escape \x1b[", "half an escape"),
        ("no ending", "no ending"),
        ("\u202eevil\x9b31m", "\\u202eevil\\x9b31m"),
    ],
)
def test_text_is_shown_as_a_terminal_leaves_it(written: str, seen: str) -> None:
    assert clean(written) == seen


def test_escape_sequences_cannot_fill_the_memory() -> None:
    start = time.process_time()
    bomb = "\x1b[999999999C\x1b[999999999B\x1b[99999999999999999999999G" * 20_000 + "x"
    assert len(clean(bomb)) < 2_000 and time.process_time() - start < 5


def test_much_output_is_cleaned_in_linear_time() -> None:
    text = "".join(f"\r{n}% of it\x1b[K" for n in range(50_000)) + "\n" + "a line of text\n" * 50_000
    start = time.process_time()
    assert re.match(r"49999% of it\n(a line of text\n){49999}a line of text$", clean(text))
    assert time.process_time() - start < 5
