"""`python3 -m helpers doctor`: what is installed, what is wrong, and the fix for each.

  doctor               one line each: ok, note or problem, and what to do about it
  doctor --json        the same for a program

It changes nothing, shows no key, and asks no provider in the cloud. The exit code is 1 if there is a problem.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers import environment
from helpers.environment import CHECKOUT, COMMAND
from helpers.errors import CourseError

GB = 1_000_000_000
PATIENCE = 3.0  # seconds for a server on this machine, or the `ollama` command, to answer
COLOURS = {"ok": "32", "note": "33", "problem": "31"}

SETTINGS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "COURSE_LANE")
MISNAMED = {  # what other programs and older examples call a setting
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_URL": "OPENAI_BASE_URL",
    "OPENAI_ENDPOINT": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "OPENAI_TOKEN": "OPENAI_API_KEY",
    "OLLAMA_URL": "OLLAMA_HOST",
    "OLLAMA_BASE_URL": "OLLAMA_HOST",
    "OLLAMA_API_BASE": "OLLAMA_HOST",
}
STRAYS = (".env.txt", "env.txt", "env")  # what an editor or a file manager makes of .env
MISTAKES = (  # what a value of .env must not look like, and what it is then
    (r"[“”‘’„«»]", "has typographic quotes in it", "write it without quotes"),
    (r"""^["']|["']$""", "begins or ends with a quote", "write it without quotes"),
    (r"\s", "has a space or a line break in it", "copy it again, without the space"),
    (r"(?i)^bearer", "begins with Bearer", "write the key alone"),
    (
        r"(?i)^<.*>$|\.\.\.|…|your[-_ ](resource|(api[-_ ])?key)|xxxx|changeme",
        "is still the example's",
        "put your own there",
    ),
)


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is ("ok", "note" or "problem"), in words, and what to do about it."""

    name: str
    state: str
    text: str
    fix: str = ""


Result = tuple[str, str] | tuple[str, str, str]  # state, text and, where there is one, fix
Check = Callable[[], Iterator[Result]]


def main(argv: list[str]) -> int:
    if argv not in ([], ["--json"]):
        raise CourseError(f"doctor takes no argument but --json: {COMMAND} doctor --json")
    findings = examine()
    if argv:
        problems = sum(finding.state == "problem" for finding in findings)
        print(json.dumps({"problems": problems, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        colours = sys.stdout.isatty() and os.name != "nt" and not os.environ.get("NO_COLOR")
        print(written(findings, colours))
    return any(finding.state == "problem" for finding in findings)


def report() -> None:
    """Print all findings as plain text, always in the same order."""
    print(written(examine(), colours=False))


def examine() -> list[Finding]:
    """All findings, always in the same order; takes a few seconds if a server does not answer."""
    return [Finding(name, *result) for name, check in CHECKS.items() for result in safely(check)]


def safely(check: Check) -> list[Result]:
    try:
        return list(check())
    except ImportError as error:
        return [("note", f"cannot be looked at before the package {error.name} is there")]
    except CourseError as error:
        return [("problem", str(error))]
    except Exception as error:
        return [("note", f"could not be looked at ({type(error).__name__})")]


def written(findings: list[Finding], colours: bool) -> str:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for one in findings:
        state = f"{one.state:<9}"
        if colours:
            state = f"\x1b[{COLOURS[one.state]}m{state}\x1b[0m"
        lines.append(f"{state}{one.name:<{width}}  {one.text}")
        if one.fix:
            lines.append(f"{'':{9 + width}}  fix: {one.fix}")
    problems = sum(one.state == "problem" for one in findings)
    lines += ["", "No problem found." if not problems else f"Problems found: {problems}."]
    return "\n".join(lines)


# This machine and this Python


def python() -> Iterator[Result]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield "ok", f"{version}, {sys.executable}"


def packages() -> Iterator[Result]:
    pins = environment.pins()
    lacking = environment.missing()
    install = f"{COMMAND} lab installs them in .venv"
    absent = [phrase for phrase in lacking if "(here is" not in phrase]
    if absent:
        some = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
        yield "problem", f"{len(absent)} missing: {some}", install
    elif lacking:
        yield "note", f"other versions than the course's: {', '.join(lacking)}", install
    else:
        yield "ok", f"all {len(pins)} of requirements.txt, at its versions"


def kernel() -> Iterator[Result]:
    version = importlib.metadata.version("ipykernel")
    if "ipykernel.kernelapp" in sys.modules:
        yield "ok", f"this notebook runs in {sys.executable}, ipykernel {version}"
        return
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = Path(spec.argv[0])
    if not program.is_absolute() or is_here(program):
        yield "ok", f"notebooks run in this Python, ipykernel {version}"
    else:
        yield (
            "problem",
            f"notebooks would run in {program}, because of {spec.resource_dir}",
            f'"{sys.executable}" -m jupyter kernelspec remove python3',
        )


def is_here(program: Path) -> bool:
    """True if a Python stands beside this one; the Pythons of two environments may link to one file."""
    return os.path.normcase(program.parent) == os.path.normcase(Path(sys.executable).parent)


def memory() -> Iterator[Result]:
    import psutil

    found = psutil.virtual_memory()
    text = f"{found.total / GB:.0f} GB, {found.available / GB:.0f} GB of it free"
    if found.available < 4 * GB:
        fix = "close other programs, or stay with models of 1 billion parameters or fewer"
        yield "note", f"{text}; a model of 3 billion parameters needs 4 GB", fix
    else:
        yield "ok", text


def disk() -> Iterator[Result]:
    free = shutil.disk_usage(CHECKOUT).free
    text = f"{free / GB:.1f} GB free"
    if free < 0.1 * GB:
        yield "problem", text, "delete what you do not need, or move the course"
    elif free < 5 * GB:
        yield "note", f"{text}; a model takes 1 to 4 GB", "free some before you pull a model"
    else:
        yield "ok", text


def proxy() -> Iterator[Result]:
    from helpers.proxies import unusable, why

    if names := unusable(os.environ):
        what, _, fix = why(names).partition(". ")
        yield "problem", what, fix[0].lower() + fix[1:]
        return
    proxies = urllib.request.getproxies()
    around = {host.strip() for host in proxies.get("no", "").split(",")}
    catching = {scheme: proxies[scheme] for scheme in ("http", "all") if proxies.get(scheme)}
    if not catching:
        yield "ok", "none between you and this machine"
    elif around & {"*", "127.0.0.1"}:
        yield "ok", "there is one; requests to this machine go around it"
    else:
        named = " and ".join(dict.fromkeys(without_password(url) for url in catching.values()))
        setting = "set" if os.name == "nt" else "export"
        yield (
            "note",
            f"the proxy {named} catches requests to 127.0.0.1, but for those of a lesson",
            f"before a script of your own or curl: {setting} NO_PROXY=127.0.0.1,localhost",
        )


def without_password(url: str) -> str:
    return re.sub(r"^([a-z0-9+.-]+://)?[^/]*@", r"\1", url, flags=re.IGNORECASE)


# Ollama and the practice server


def ollama_command() -> Iterator[Result]:
    from helpers.practice import process

    found = shutil.which("ollama")
    if found is None:
        yield "ok", "none; lessons have the practice one"
    elif Path(found).parent == process.course_home() / "bin":
        yield "ok", "the practice one"
    else:
        said = subprocess.run(
            [found, "--version"], capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
        version = re.search(r"version (?:is )?(\S+)", said.stdout + said.stderr)
        if version:
            yield "ok", f"{version[1]}, {found}"
        else:
            fix = "install Ollama again: https://ollama.com/download"
            yield "problem", f"{found} does not say its version", fix


def ollama_server() -> Iterator[Result]:
    from helpers.show import visible

    url = ollama_url()
    at = without_password(url)
    if is_ollama_cloud(url):
        yield "note", "OLLAMA_HOST is ollama.com itself, which doctor does not ask"
        return
    answer = ask(f"{url}/api/version")
    if answer is not None:
        yield "ok", f"{who(answer)} {visible(str(answer.json().get('version')))} at {at}"
        return
    fix = "to use your own, install Ollama and start its app, or run: ollama serve"
    if settings().get("COURSE_LANE", "").strip().lower() == "ollama":
        yield "problem", f"COURSE_LANE is ollama, and none answers at {at}", fix
    else:
        yield "note", f"none answers at {at}; lessons use the practice server", fix


def models() -> Iterator[Result]:
    from helpers import lanes
    from helpers.practice import toml
    from helpers.show import visible

    url = ollama_url()
    answer = None if is_ollama_cloud(url) else ask(f"{url}/api/tags")
    if answer is None:
        return
    have = [visible(model["name"]).removesuffix(":latest") for model in answer.json()["models"]]
    names = ", ".join(have) or "none"
    wanted = dict.fromkeys(toml.read(lanes.MODELS)["ollama"].values())
    lacking = [name for name in wanted if name not in have]
    if lacking and who(answer) == "Ollama":
        text = f"{names}; for {', '.join(lacking)} lessons take another that can do the same, if there is one"
        yield "note", text, ", ".join(f"ollama pull {name}" for name in lacking)
    else:
        yield "ok", names


def port_11434() -> Iterator[Result]:
    with socket.socket() as probe:
        probe.settimeout(PATIENCE)
        if probe.connect_ex(("127.0.0.1", 11434)):
            yield "ok", "free for an Ollama"
            return
    answer = ask("http://127.0.0.1:11434/api/version")
    if answer is not None:
        yield "ok", "held by an Ollama or a practice server"
    else:
        fix = "OLLAMA_HOST=127.0.0.1:11435 for `ollama serve`, and the same line in .env"
        yield "note", "held by something that is no Ollama", fix


def practice_server() -> Iterator[Result]:
    from helpers.practice import process

    home = process.course_home()
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    running = process.announced(home)
    if not os.access(place, os.W_OK):
        fix = "set COURSE_HOME to a folder that you can write"
        yield "problem", f"{home} cannot be written", fix
    elif running and process.alive(running.pid) and ask(f"{running.url}/api/version"):
        yield "ok", f"runs at {running.url}"
    else:
        yield "ok", "starts when a lesson needs it"


def ollama_url() -> str:
    from helpers import lanes

    return lanes.ollama_url(settings().get("OLLAMA_HOST", ""))


def who(answer: Any) -> str:
    return "the practice server" if "x-practice" in answer.headers else "Ollama"


def is_ollama_cloud(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "ollama.com" or host.endswith(".ollama.com")


def ask(url: str) -> Any:
    """The httpx.Response of a server that answers with a JSON object, else None."""
    import httpx

    from helpers.wire import is_loopback

    try:
        with httpx.Client(
            timeout=PATIENCE, trust_env=not is_loopback(urlsplit(url).hostname or "")
        ) as client:
            answer = client.get(url)
        return answer if isinstance(answer.json(), dict) else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None


# Settings


def settings() -> dict[str, str]:
    """The course's settings as a lesson sees them: the environment, and .env over it."""
    found = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    return found | {name: value for name, value in dotenv().items() if name in SETTINGS}


def dotenv() -> dict[str, str]:
    """What .env says; empty if there is none or it is not text."""
    from dotenv import dotenv_values

    try:
        found = dotenv_values(CHECKOUT / ".env", encoding="utf-8-sig")
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in found.items() if value is not None}


def dotenv_file() -> Iterator[Result]:
    from dotenv.parser import parse_stream

    path = CHECKOUT / ".env"
    if not path.exists():
        stray = [name for name in STRAYS if (CHECKOUT / name).exists()]
        if stray:
            yield "problem", f"there is none, but a {stray[0]}", f"rename {stray[0]} to .env"
        else:
            yield "ok", "none; only a key or another server needs one"
        return
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        yield "problem", f"it cannot be read ({error.strerror})", "give yourself the right to read it"
        return
    except UnicodeDecodeError:
        yield "problem", "it is not UTF-8 text", "save it as UTF-8 in your editor"
        return
    if text.startswith("\ufeff"):
        yield "problem", "a byte order mark hides its first line", "save it as UTF-8 without BOM"
    lines = list(parse_stream(io.StringIO(text.removeprefix("\ufeff"))))
    for line in lines:
        if line.error or (line.key is not None and line.value is None):
            before = re.match(r"\s*", line.original.string)
            number = line.original.line + (before[0].count("\n") if before else 0)
            yield "problem", f"line {number} cannot be read", "write it as NAME=value"
    keys = [line.key for line in lines if line.key and line.value is not None]
    yield from misnamed(keys)
    values = {name: value for name, value in dotenv().items() if name in SETTINGS}
    for name, value in values.items():
        if keys.count(name) > 1:
            yield "note", f"{name} stands in it {keys.count(name)} times; the last counts"
        mistake = next((found for found in MISTAKES if re.search(found[0], value)), None)
        if mistake:
            yield "problem", f"the value of {name} {mistake[1]}", mistake[2]
        elif os.environ.get(name, value) != value and not lesson_runs():
            text = f"{name} is another in your shell; lessons and chatcomp.py take the one in .env"
            yield "note", text, f"remove {name} from your shell's settings, or from .env"
    given = ", ".join(name for name in SETTINGS if values.get(name))
    yield "ok", f"sets {given} (values are not shown)" if given else "sets nothing that is read here"


def misnamed(keys: list[str]) -> Iterator[Result]:
    for key in keys:
        near = difflib.get_close_matches(key.upper(), SETTINGS, n=1, cutoff=0.9)
        meant = MISNAMED.get(key.upper()) or next(iter(near), key)
        if meant != key:
            yield "note", f"nothing here reads {key}", f"did you mean {meant}?"


def lesson_runs() -> bool:
    """True in a kernel whose first cell has set these variables itself."""
    return "PYTHON_DOTENV_DISABLED" in os.environ


def lane() -> Iterator[Result]:
    from helpers.lanes import LANES

    found = settings()
    asked = found.get("COURSE_LANE", "").strip().lower()
    if asked and asked not in LANES:
        fix = f"write one of {', '.join(LANES)}, or remove it"
        yield "problem", f"COURSE_LANE is {asked!r}, which is no lane", fix
    elif asked == "cloud" and not found.get("OPENAI_API_KEY", "").strip():
        yield "problem", "cloud, but there is no OPENAI_API_KEY", "put OPENAI_API_KEY=… into .env"
    elif asked:
        costs = "; replies can cost money" if asked == "cloud" else ""
        yield "ok", f"{asked}, by COURSE_LANE{costs}"
    else:
        yield "ok", "your Ollama if it answers, else the practice server"


def base_url() -> Iterator[Result]:
    value = settings().get("OPENAI_BASE_URL", "").strip()
    if not value:
        yield "ok", "not set; only the cloud lane and your own scripts read it"
        return
    parts = urlsplit(value)
    path = parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fix = "write it as https://host/v1"
        yield "problem", "OPENAI_BASE_URL has no https:// or no host", fix
    elif path.endswith("/completions"):
        yield "problem", f"OPENAI_BASE_URL ends with {path}", "end it with /v1"
    elif "/v1" not in path:
        state = "note" if path else "problem"
        text = f"OPENAI_BASE_URL at {parts.hostname} has no /v1 in it"
        yield state, text, "most providers want https://host/v1"
    else:
        yield "ok", f"{path} at {parts.hostname}"


CHECKS: dict[str, Check] = {
    "python": python,
    "packages": packages,
    "kernel": kernel,
    "ollama command": ollama_command,
    "ollama server": ollama_server,
    "models": models,
    "port 11434": port_11434,
    "practice server": practice_server,
    "memory": memory,
    "disk": disk,
    "proxy": proxy,
    ".env": dotenv_file,
    "lane": lane,
    "base URL": base_url,
}
