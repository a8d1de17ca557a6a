"""What this Python lacks, and the course's own `.venv`: made or mended from requirements.txt, then entered.

Nothing but the standard library is imported here: this runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.metadata
import importlib.util
import operator
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from subprocess import CompletedProcess
from typing import NoReturn

from helpers.errors import CourseError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course-is-installed"
LOCK = VENV / "course-setup.lock"
COMMAND = "python -m helpers" if os.name == "nt" else "python3 -m helpers"
SPACE_NEEDED = 1_000_000_000  # bytes: 540 MB of packages, and twice the 140 MB that pip downloads

PIN = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?==(?P<version>[\w.!+-]+)(\s*;\s*(?P<marker>.+))?")
MARKER = re.compile(r"python_version\s*(?P<sign><|<=|==|!=|>=|>)\s*[\"'](?P<version>\d+\.\d+)[\"']")
SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}

AGAIN = "then run the same command again: it goes on from here."
DISK_FULL = f"The disk is full. Free about 1 GB for {VENV} and for {tempfile.gettempdir()}, {AGAIN}"
FAILURES = (  # what pip or the operating system says, and what to do about it
    (r"No space left on device|Errno 28|WinError 112|[Qq]uota exceeded", DISK_FULL),
    (
        r"Read-only file system|Errno 30|Permission denied|Errno 13|WinError (5|32)\b",
        f"{VENV} cannot be written to: it is read-only, belongs to someone else, or a running lab holds it. "
        "Close every lab and try again, or copy the course to a folder of your own and run the copy.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "pip does not trust the certificate of the package index, perhaps that of a proxy in between. "
        f"Set PIP_CERT to the certificate file of your network, {AGAIN}",
    ),
    (
        r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|ProxyError|ConnectionReset"
        r"|[Nn]ame resolution|getaddrinfo failed|Network is unreachable|from versions: none",
        "pip cannot reach the package index: there is no network, or a proxy is in the way. "
        f"Connect (behind a proxy, set HTTPS_PROXY), {AGAIN}",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "The package index has no version for this Python or this machine that requirements.txt asks for; "
        "pip names it above. Use another Python, from 3.10 on.",
    ),
)


def enter(argv: list[str], make: bool = True) -> None:
    """Go on only in a Python that has every package.

    Returns if this one has. Otherwise `python -m helpers ARGV` takes over in `.venv`, and this call does not
    return; `.venv` is made or mended first. With make=False the call returns if there is no finished one.
    Raises CourseError if the packages cannot be installed.
    """
    if not missing():
        return
    os.environ.pop("PYTHONPATH", None)  # what lies there could hide what is in .venv
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    if not make:
        if not inside and ready():
            go_on(argv)
        return
    if inside or not ready():
        try:
            with only_one_at_a_time() as lock:
                if inside or not ready():
                    set_up(lock)
        except OSError as error:
            raise CourseError(explain(str(error), f"{VENV} could not be made.")) from None
    go_on(argv)


def go_on(argv: list[str]) -> NoReturn:
    """Hand this process over to `.venv`; on Windows, which cannot, end with the exit code of a child."""
    command = [str(PYTHON), "-m", "helpers", *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:  # the child got it as well, and ends in its own way
            continue


# --- what this Python has


def pins() -> dict[str, str]:
    """The versions that requirements.txt asks of this Python, by package name."""
    found = {}
    for line in (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line or line.startswith("-"):
            continue
        pin = PIN.fullmatch(line)
        if pin is None:
            raise ValueError(f"requirements.txt: {line!r} is not of the form name==version")
        if pin["marker"] is None or applies(pin["marker"]):
            found[pin["name"]] = pin["version"]
    return found


def applies(marker: str) -> bool:
    condition = MARKER.fullmatch(marker)
    if condition is None:
        raise ValueError(f"requirements.txt: only python_version is understood in {marker!r}")
    return SIGNS[condition["sign"]](sys.version_info[:2], tuple(map(int, condition["version"].split("."))))


def missing() -> list[str]:
    """What this Python lacks, a few words each: a package, another version of it, or helpers itself."""
    lacking = []
    for name, version in pins().items():
        here = installed(name)
        if here != version:
            lacking.append(f"{name} {version}" + (f" (here is {here})" if here else ""))
    if not importable():
        lacking.append("helpers (this course)")
    return lacking


def installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def importable() -> bool:
    """True if `import helpers` finds this checkout from any folder: sys.path begins with the current one."""
    spec = PathFinder.find_spec("helpers", sys.path[1:])
    return bool(spec and spec.origin and Path(spec.origin).resolve() == CHECKOUT / "helpers" / "__init__.py")


# --- .venv


def ready() -> bool:
    """True if `.venv` was finished, for these requirements and at this path, and its Python still runs."""
    try:
        return STAMP.read_bytes() == stamp()
    except OSError:
        return False


def stamp() -> bytes:
    asked = b"".join((CHECKOUT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml"))
    version = quiet(PYTHON, "-S", "-c", "import sys; print(*sys.version_info[:2])").stdout.strip()
    return b"\n".join((hashlib.sha256(asked).hexdigest().encode(), version.encode(), os.fsencode(CHECKOUT)))


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[int]:
    """Hold the lock of `.venv`, waiting for whoever has it; the system lets it go when its holder dies."""
    VENV.mkdir(exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT)
    try:
        if not locked(lock):
            say("Another set-up of this course is at work here; waiting for it.")
            while not locked(lock):
                time.sleep(0.5)
        yield lock
    finally:
        os.close(lock)


def locked(lock: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def set_up(lock: int) -> None:
    """Make `.venv`, or mend what is there, and stamp it when all is well. Raises CourseError."""
    STAMP.unlink(missing_ok=True)
    if usable():
        say("Step 1 of 2: .venv is unfinished, moved or out of date; mending it.")
        forget_damaged_packages()
        quiet(PYTHON, "-m", "venv", "--without-pip", VENV)  # its activate scripts name its folder
    else:
        say(f"Step 1 of 2: making .venv with Python {'.'.join(map(str, sys.version_info[:3]))}.")
        make()
    say("Step 2 of 2: installing the packages; the first time this takes a few minutes and 550 MB.")
    install(lock)
    if not str(CHECKOUT).isascii():
        spell_path_in_ascii()
    question = "from helpers.environment import missing; print(*missing(), sep=', ')"
    check = quiet(PYTHON, "-c", question, cwd=VENV)
    if check.returncode or check.stdout.strip():
        lacking = check.stdout.strip() or "helpers (this course)"
        raise CourseError(f"After pip, .venv still lacks {lacking}. Delete the folder {VENV}, {AGAIN}")
    STAMP.write_bytes(stamp())
    say("The packages are installed.")


def usable() -> bool:
    """True if the Python of `.venv` runs, is new enough, and has pip or can get it."""
    tries = (("-m", "pip", "--version"), ("-m", "ensurepip", "--default-pip"))
    runs = quiet(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 10))").returncode == 0
    return runs and any(quiet(PYTHON, *arguments).returncode == 0 for arguments in tries)


def make() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise CourseError(
            f"{sys.executable} has no ensurepip, so it cannot make .venv. "
            f"On Debian and Ubuntu: sudo apt install {name}, {AGAIN}"
        )
    if shutil.disk_usage(VENV).free < SPACE_NEEDED:
        raise CourseError(DISK_FULL)
    for entry in VENV.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != LOCK:
            entry.unlink()
    result = quiet(sys.executable, "-m", "venv", VENV)
    if result.returncode:
        raise CourseError(explain(result.stdout + result.stderr, f"{sys.executable} could not make {VENV}."))


def forget_damaged_packages() -> None:
    """Take away the metadata of each package whose files are not all there, so that pip installs it anew."""
    for site in site_packages():
        for info in site.glob("*.dist-info"):
            if not is_whole(info):
                shutil.rmtree(info)


def is_whole(info: Path) -> bool:
    """True if every file that a package's RECORD names is there in its full size."""
    try:
        with open(info / "RECORD", encoding="utf-8", newline="") as record:
            files = list(csv.reader(record))
        return all((info.parent / name).stat().st_size == int(size) for name, _, size in files if size)
    except (OSError, ValueError):
        return False


def site_packages() -> list[Path]:
    return [*VENV.glob("lib/python*/site-packages"), *VENV.glob("Lib/site-packages")]


def install(lock: int) -> None:
    """Run pip in `.venv`, showing all it says on stderr. Raises CourseError with the fix if it fails.

    pip holds the lock too, so that no second set-up starts beside a pip whose parent was killed.
    """
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if any(any(site.glob("hatchling-*.dist-info")) for site in site_packages()):
        command.append("--no-build-isolation")  # what builds the course is here already: no network needed
    pip = subprocess.Popen(
        [*command, "-r", "requirements.txt"],
        cwd=CHECKOUT,
        env={**os.environ, "PIP_USER": "0"},
        stdout=sys.stderr.fileno(),
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=() if os.name == "nt" else (lock,),
    )
    assert pip.stderr is not None
    said = []
    try:
        for line in pip.stderr:
            sys.stderr.write(line)
            said.append(line)
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            pip.wait(timeout=3)  # Ctrl-C reaches it too; a signal to us alone does not
        pip.terminate()
        pip.wait()
        raise
    if pip.wait():
        raise CourseError(explain("".join(said), "pip could not install the packages."))


def spell_path_in_ascii() -> None:
    """Write down where helpers are so that every Python reads it: up to 3.12 a .pth is not read as UTF-8."""
    for site in site_packages():
        for path in site.glob("*ollama_chat_course*.pth"):
            path.write_text(f"import sys; sys.path.append({str(CHECKOUT)!a})\n", encoding="ascii")


def explain(output: str, otherwise: str) -> str:
    for pattern, sentence in FAILURES:
        if re.search(pattern, output):
            return sentence
    return f"{otherwise} {' '.join(output.split())[-300:]}"


def quiet(program: str | Path, *arguments: str | Path, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run a program and keep what it says; one that cannot be started ends with 127, as in a shell."""
    command = [str(part) for part in (program, *arguments)]
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return CompletedProcess(command, 127, "", str(error))


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
