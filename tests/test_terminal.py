"""Command lines in a notebook: real child processes, their output, and their end."""

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
from helpers.terminal import Key, Type, background, clean, run, session

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


def test_words_may_be_a_list_and_variables_may_be_added() -> None:
    program = "import os, sys; print(sys.argv[1:], os.environ['GREETING'])"
    result = run([sys.executable, "-c", program, "two words", "'"], env={"GREETING": "hello"})
    assert result.stdout.strip() == """['two words', "'"] hello"""


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


# --- sessions -----------------------------------------------------------------------------------------------

posix_only = pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal of POSIX; ConPTY is untried")

# Echoes lines as a program with a prompt does, until the line `end`.
ECHO = [
    sys.executable,
    "-c",
    "import sys\nfor line in iter(lambda: input('> '), 'end'): print('you said', line)\nsys.exit(3)",
]


@posix_only
def test_a_session_is_what_the_terminal_showed() -> None:
    seen = session(ECHO, ["one", "two  words", "end"], prompt="^>$")
    assert seen.text == "> one\nyou said one\n> two  words\nyou said two  words\n> end"
    assert (seen.returncode, repr(seen)) == (3, seen.text)
    assert seen.screens[:2] == (">", "> one\nyou said one\n>")


@posix_only
def test_a_session_that_goes_on_is_ended() -> None:
    program = [sys.executable, "-c", "import os; print(os.getpid(), flush=True); input(); input()"]
    seen = session(program, [], prompt=r"^\d+|^$")
    assert seen.returncode is None
    assert_ends(int(seen.text))


@posix_only
def test_keys_and_typing_without_enter() -> None:
    program = [
        sys.executable,
        "-c",
        "import time; print('ready', flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('stopped')",
    ]
    seen = session(program, [Key.CTRL_C], prompt="^$")
    assert seen.text == "ready\n^Cstopped" and seen.returncode == 0
    seen = session(
        ECHO, [Type("ab"), Key.BACKSPACE, Type("c", enter=True, until="said ac"), "end"], prompt="^>$"
    )
    assert seen.screens[1] == "> ab" and seen.screens[2] == "> a"
    assert seen.text.startswith("> ac\nyou said ac\n")


@posix_only
def test_a_terminal_wraps_scrolls_and_is_drawn_over() -> None:
    program = "for n in range(40): print(n)\nprint('x' * 25)\nprint('10%\\r90%\\n\\x1b[1mbold\\x1b[0m <b>')"
    seen = session([sys.executable, "-c", program], [], columns=20, rows=5)
    assert seen.text.split("\n") == [*map(str, range(40)), "x" * 20, "x" * 5, "90%", "bold <b>"]
    html = seen._repr_html_()
    assert '<span style="font-weight: bold">bold</span> &lt;b&gt;' in html and "var(--jp-" in html


@posix_only
@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["hang"], r"had not answered 'hang' after 1 s and was stopped\. .*timeout=5"),
        (["end", "more"], r"had ended before 'more'"),
        ([3], r"A step is a text, a Key or a Type, not 3"),
        ("end", r"The steps of a session are a list\. Write \['end'\]"),
    ],
)
def test_a_session_that_goes_wrong_is_explained(steps: list[str], problem: str) -> None:
    program = [
        *ECHO[:2],
        "import time\n" + ECHO[2].replace("print('you", "time.sleep(60) if line == 'hang' else print('you"),
    ]
    with pytest.raises(CourseError, match=problem):
        session(program, steps, timeout=1, prompt="^>$")


@posix_only
def test_a_program_that_never_asks_is_explained() -> None:
    with pytest.raises(CourseError, match="had not answered with its prompt after 0.5 s"):
        session([sys.executable, "-c", "input('name? ')"], [], timeout=0.5)


@posix_only
def test_an_interrupted_session_ends_its_program(tmp_path: Path) -> None:
    wait = FAMILY.format(wait="time.sleep(60)", apart=False)
    command = [sys.executable, "-c", wait, str(tmp_path / "pid")]
    program = f"from helpers.terminal import session\nsession({command!r}, ['x'])"
    outer = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    pid = int(await_file(tmp_path / "pid"))
    outer.send_signal(signal.SIGINT)
    _, err = outer.communicate(timeout=10)
    assert b"KeyboardInterrupt" in err
    assert_ends(pid)


# --- in the background --------------------------------------------------------------------------------------

SERVER = [
    sys.executable,
    "-c",
    "import os, sys, time\n"
    "try:\n"
    "    print('starting', os.getpid(), flush=True)\n"
    "    print('on stderr', file=sys.stderr, flush=True)\n"
    "    time.sleep(60)\n"
    "except KeyboardInterrupt: print('bye')\n",
]


def await_file(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def test_a_background_command_is_read_and_stopped() -> None:
    with background(SERVER) as server:
        pid = int(server.wait_for("starting").split()[1])
        assert server.wait_for("stderr") == "on stderr" and server.running
        assert repr(server).endswith(": running]")
        assert server.stop() == 0
        assert server.lines == [f"starting {pid}", "on stderr", "bye"] and not server.running
    assert repr(server).endswith(": ended with exit code 0]")
    assert_ends(pid)


def test_a_background_command_that_heeds_nothing_is_ended() -> None:
    program = [*SERVER[:2], "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SERVER[2]]
    server = background(program)
    pid = int(server.wait_for("starting").split()[1])
    server.stop(timeout=0.2)
    assert_ends(pid)


def test_a_line_that_never_comes_is_explained() -> None:
    with (
        background(SERVER) as server,
        pytest.raises(CourseError, match=r"No line with 'nope'(.|\n)*starting"),
    ):
        server.wait_for("nope", timeout=0.5)
    ended = background([sys.executable, "-c", "print('short')"])
    with pytest.raises(CourseError, match="ended"):
        ended.wait_for("nope")


def test_a_killed_kernel_leaves_no_background_command() -> None:
    program = f"from helpers.terminal import background\nserver = background({SERVER!r})\n"
    program += "print(server.wait_for('starting'), flush=True)\nimport time; time.sleep(60)"
    kernel = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert kernel.stdout
    pid = int(kernel.stdout.readline().split()[1])
    kernel.kill()
    kernel.wait()
    assert_ends(pid)


def test_a_background_command_must_exist() -> None:
    with pytest.raises(CourseError, match="There is no command 'no-such-command'"):
        background("no-such-command serve")
