"""`python -m helpers`: what it says; an environment really made, mended and entered, without a network."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import __main__ as front_door
from helpers import checks, environment
from helpers.errors import CourseError
from helpers.practice import process

ROOT = environment.CHECKOUT
posix = pytest.mark.skipif(
    os.name == "nt", reason="signals are sent to a process group there, this one included"
)


def run(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "helpers", *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
    )


# What it says


def test_without_a_command_it_lists_them_all() -> None:
    for arguments in ([], ["--help"]):
        said = run(*arguments)
        assert said.returncode == 0
        assert all(re.search(rf"helpers {name} +\w", said.stdout) for name in front_door.COMMANDS)


@pytest.mark.parametrize("command", ["lab", "test", "doctor"])
def test_help_says_how_to_use_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.main([command, "--help"]) == 0
    assert f"  {command} " in capsys.readouterr().out


def test_an_unknown_command_gets_one_line_with_the_nearest() -> None:
    said = run("labs")
    assert (said.returncode, said.stderr) == (2, "There is no command 'labs'. Did you mean 'lab'?\n")


def test_an_old_python_is_told_so_before_anything_else() -> None:
    pretend = (
        "import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_module('helpers', run_name='__main__')"
    )
    said = subprocess.run([sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 1
    assert "needs Python 3.10 or newer" in said.stderr and said.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_what_an_old_python_reads_first_it_can_parse(name: str) -> None:
    tree = ast.parse((ROOT / "helpers" / name).read_text("utf-8"), feature_version=(3, 6))
    futures = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert futures == []


def test_nothing_but_the_standard_library_is_imported_before_the_environment_is_there() -> None:
    question = "import sys, helpers.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {question}"],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    assert set(said.stdout.split()) - set(sys.stdlib_module_names) <= {"helpers", "__main__"}


def test_checks_all_run_and_the_first_failure_decides(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        checks, "CHECKS", (("helpers",), ("helpers", "no-command"), ("json.tool", "no-file"), ("helpers",))
    )
    assert checks.main([]) == 2
    said = capfd.readouterr().out
    assert [f"Check {number} of 4" in said for number in (1, 2, 3, 4)] == [True] * 4
    assert "Not yet: 2 of 4 checks failed" in said.splitlines()[-1]


# What it needs


def test_every_line_of_requirements_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    old = environment.pins()
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    new = environment.pins()
    assert old["httpx"] == new["httpx"] and "uvicorn" in new
    assert old.keys() - new.keys() == {"tomli"}


def test_another_version_of_a_package_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.installed("httpx")
    monkeypatch.setattr(environment, "pins", lambda: {"httpx": "99", "no-such-package": "1"})
    monkeypatch.setattr(environment, "importable", lambda: True)
    assert environment.missing() == [f"httpx 99 (here is {here})", "no-such-package 1"]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching",
            "no network",
        ),
        (
            "ERROR: Could not find a version that satisfies hatchling==1.33.0 (from versions: none)",
            "no network",
        ),
        (
            "ERROR: Could not find a version that satisfies uvloop==9 (from versions: 0.1, 0.2)",
            "Use another Python",
        ),
        ("[Errno 30] Read-only file system: '/course/.venv'", "copy the course"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("ERROR: something new", "something new"),
    ],
)
def test_what_pip_says_becomes_one_line_with_the_fix(said: str, advice: str) -> None:
    sentence = environment.explain(said, "pip could not install the packages.")
    assert advice in sentence and "\n" not in sentence


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that lacks a package, in a checkout without .venv."""
    for name, value in {"VENV": "", "PYTHON": "bin/python", "STAMP": "stamp", "LOCK": "lock"}.items():
        monkeypatch.setattr(environment, name, tmp_path / ".venv" / value)
    monkeypatch.setattr(environment, "missing", lambda: ["httpx"])
    return tmp_path


def test_a_debian_without_venv_is_told_what_to_install(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CourseError, match=r"sudo apt install python3\.\d+-venv"):
        environment.enter(["lab"])


def test_too_little_space_is_said_before_anything_is_made(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "SPACE_NEEDED", 2**62)
    with pytest.raises(CourseError, match="The disk is full"):
        environment.enter(["lab"])
    assert [path.name for path in (empty / ".venv").iterdir()] == ["lock"]


def test_a_read_only_checkout_is_told_so(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, exist_ok: bool) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CourseError, match="cannot be written to"):
        environment.enter(["lab"])


# An environment, really made: a course of two packages that pip finds in a folder

BACKEND = """
import os, shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    return os.path.basename(shutil.copy(os.environ["COURSE_WHEEL"], folder))
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
PYTEST = b"""
import json, sys
print(json.dumps({"prefix": sys.prefix, "arguments": sys.argv[1:]}))
sys.exit(7 if "fail" in sys.argv else 0)
"""
UNREADABLE = b"\xff, as an older Python on Windows sees a path that is not ASCII"


def write_wheel(folder: Path, name: str, version: str, path: str, content: bytes) -> Path:
    """A package of one file."""
    info = f"{name}-{version}.dist-info"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(path, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{path},,{len(content)}\n")
    return wheel


class Course:
    """A small checkout, and the front door run in it with a Python that has nothing of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_wheel(folder.parent, "pytest", "0.1", "pytest/__main__.py", PYTEST)
        own = write_wheel(folder.parent, "ollama_chat_course", "0.1.0", "_ollama_chat_course.pth", UNREADABLE)
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder.parent)}
        self.environ = {**os.environ, **pip, "COURSE_WHEEL": str(own), "PYTHONUTF8": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "helpers", "test", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def ran(self, out: str) -> dict[str, object]:
        return json.loads(next(line for line in out.splitlines() if line.startswith("{")))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    folder = tmp_path_factory.mktemp("home") / "Käse & Kuchen Ж"
    (folder / "helpers").mkdir(parents=True)
    for name in ("__init__", "__main__", "environment", "errors", "checks"):
        shutil.copy(ROOT / "helpers" / f"{name}.py", folder / "helpers")
    (folder / "backend.py").write_text(BACKEND, "utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, "utf-8")
    (folder / "requirements.txt").write_text(
        "-e .  # this course\npytest==0.1 ; python_version >= '3.10'\n", "utf-8"
    )
    return Course(folder)


def test_the_environment_is_made_once_and_gone_on_in(course: Course) -> None:
    code, out, err = course.run("fail", "-k", "two words")
    assert "making .venv" in err and "Step 2 of 2" in err
    prefix = str(course.folder / ".venv")
    assert course.ran(out) == {"prefix": prefix, "arguments": ["fail", "-k", "two words"]}
    assert code == 7

    code, out, err = course.run("-x")
    assert (code, err) == (0, "")
    assert course.ran(out) == {"prefix": prefix, "arguments": ["-x"]}


def test_a_half_made_environment_is_mended_not_believed(course: Course) -> None:
    (course.folder / ".venv" / environment.STAMP.name).unlink()
    module = next((course.folder / ".venv").rglob("site-packages/pytest/__main__.py"))
    module.write_text("", "utf-8")
    code, out, err = course.run()
    assert "mending it" in err
    assert module.stat().st_size
    assert '"arguments": ["--numprocesses=auto"' in out


def test_a_moved_course_is_mended(course: Course) -> None:
    course.folder = course.folder.rename(course.folder.with_name("Käse & Kuchen, moved"))
    code, out, err = course.run("-x")
    assert "mending it" in err
    assert (code, course.ran(out)["prefix"]) == (0, str(course.folder / ".venv"))


@posix
def test_a_second_set_up_waits_for_the_first_and_an_interrupt_ends_it(course: Course) -> None:
    (course.folder / ".venv" / environment.STAMP.name).unlink()
    lock = os.open(course.folder / ".venv" / environment.LOCK.name, os.O_RDWR)
    assert environment.locked(lock)
    waiting = course.start("-x")
    assert waiting.stderr and "waiting for it" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)
    os.close(lock)
    assert (waiting.returncode, out, err.strip()) == (
        130,
        "",
        "Stopped. Run the same command again to go on.",
    )


def test_without_a_network_it_says_so_and_does_not_go_on(course: Course) -> None:
    with open(course.folder / "requirements.txt", "a", encoding="utf-8") as requirements:
        requirements.write("absent-package==1.0\n")
    code, out, err = course.run("-x")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("pip cannot reach the package index")


# The lab


def test_a_taken_port_is_said_in_one_line_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run("lab", "--no-browser", "--port", str(port))
    assert said.returncode == 1
    assert said.stderr.count("\n") == 1 and f"--port {port + 1}" in said.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running lab with settings of its own, and its address with the token."""
    keyboard, terminal = os.openpty()  # with one, Jupyter would ask whether it is really to stop
    private = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    running = subprocess.Popen(
        [sys.executable, "-m", "helpers", "lab", "--no-browser"],
        cwd=ROOT,
        env={**os.environ, **private},
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout
    address = next((found[0] for line in running.stdout if (found := re.search(r"http://\S+", line))), "")
    yield running, address
    running.kill()
    running.wait()
    os.close(keyboard)
    os.close(terminal)


@posix
def test_one_interrupt_ends_the_lab_and_its_kernels(lab: tuple[subprocess.Popen[str], str]) -> None:
    import psutil

    running, address = lab
    assert "/lab/tree/notebooks/00_start_here.ipynb?token=" in address
    base, token = address.split("/lab/")[0], address.split("token=")[1]

    def ask(path: str, body: bytes | None = None) -> dict[str, object]:
        request = urllib.request.Request(base + path, body, {"Authorization": f"token {token}"})
        return json.loads(urllib.request.urlopen(request, timeout=30).read())

    news = json.dumps(ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"])
    assert '"fetchNews": {' in news and '"default": "false"' in news
    ask("/api/kernels", b'{"name": "python3"}')
    children = psutil.Process(running.pid).children(recursive=True)
    assert children
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 0
    deadline = time.monotonic() + 5
    while (left := [child for child in children if process.alive(child.pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
