"""A key in `.env` shows up nowhere: the whole course is run with one, and all that it made is searched."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nbformat
import pytest

from helpers.practice import process
from tests.kernels import Kernel
from tests.test_lanes import machine

ROOT = Path(__file__).resolve().parents[1]
CANARY = (
    b"CANARY5b1d9e7c"  # the midst of a key: OpenAI's own 401 quotes its first eight letters and last four
)
FORMS = [CANARY, CANARY.hex().encode()]
FORMS += [base64.b64encode(bytes(shift) + CANARY)[shift + 1 : -4] for shift in range(3)]
UNCOPIED = shutil.ignore_patterns("__pycache__", "node_modules", "frontend", ".practice", ".env")

# What a learner could do with an exchange besides what the lessons do.
PROBES = """
from helpers import send, stream
payload = {"model": here.models["chat"], "messages": [{"role": "user", "content": "Hi"}]}
seen = send(payload)
---
seen
---
print(seen.curl(), seen.python(), seen.request, seen.reply, dict(seen.request.headers), vars(seen))
---
streamed = await stream(payload | {"stream": True}, headers={"x-api-key": os.environ["OPENAI_API_KEY"]})
await streamed.read()
---
print(streamed.curl(), streamed.python(), streamed.request, streamed.frames, vars(streamed))
streamed.timeline()
---
send({"key": os.environ["OPENAI_API_KEY"], "model": os.environ["OPENAI_API_KEY"]})
---
send(payload, "/echo?api_key=" + os.environ["OPENAI_API_KEY"])
---
send(payload, headers={"authorization": "Bearer " + os.environ["OPENAI_API_KEY"] + "\\n"})
---
send({"key": {os.environ["OPENAI_API_KEY"]}})
---
raise RuntimeError(here, lesson, payload)
---
import pickle, copy
[repr(copy.copy(here)), here.progress(), here]
---
!{sys.executable} -m helpers doctor
!{sys.executable} -m helpers doctor --json
"""
# What is kept of a run, once there is a place for it.
KEEP = """---
from helpers.widgets import runs
kept = [runs.keep(seen), runs.keep(streamed)]
runs.every(), [runs.as_cell(run) for run in kept], [runs.as_fixture(run) for run in kept]
---
[runs.find(run.id).exchange for run in kept]
"""
if find_spec("helpers.widgets") and find_spec("helpers.widgets.runs") and find_spec("helpers.recorded"):
    PROBES += KEEP


class Made(NamedTuple):
    """All that a run of the course made: messages of the kernel by cell, files by name, the journal."""

    shown: dict[str, bytes]
    files: dict[str, bytes]
    journal: bytes
    failed: list[str]

    def leaks(self) -> list[str]:
        made = {**self.shown, **self.files, "the journal": self.journal}
        return [place for place, content in made.items() if any(form in content for form in FORMS)]


def course(folder: Path, dotenv: str) -> Path:
    """A copy of the course with this `.env`."""
    for name in ("helpers", "notebooks", "my_code"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNCOPIED)
    for name in ("README.md", "course_notes.md", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ".env").write_text(dotenv, "utf-8")
    return folder


def run(folder: Path, home: Path, lessons: list[Path], probes: list[str]) -> Made:
    """Run the lessons' code cells, and after the last the probes, in one kernel of the course in `folder`."""
    places = {"PYTHONPATH": folder, "IPYTHONDIR": folder / "ipython", "COURSE_FROZEN": 1, "COLUMNS": 80}
    environ = machine(dict(os.environ), home) | {name: str(value) for name, value in places.items()}
    kernel = Kernel(environ, folder / "notebooks")
    shown: dict[str, bytes] = {}
    failed: list[str] = []

    def cell(name: str, source: str, may_fail: bool) -> None:
        messages: list[Any] = []
        kernel.client.execute_interactive(
            source, output_hook=messages.append, timeout=60, allow_stdin=False, stop_on_error=False
        )
        contents = [one["content"] for one in messages if one["msg_type"] != "execute_input"]
        shown[name] = json.dumps(contents, default=repr, ensure_ascii=False).encode()
        failed.extend(
            f"{name}: {one['ename']}: {one['evalue']}" for one in contents if "ename" in one and not may_fail
        )

    try:
        for path in lessons:
            kernel.run(f"import os; os.chdir({str(folder / 'notebooks')!r})")
            for number, one in enumerate(nbformat.read(path, as_version=4).cells):
                if one.cell_type == "code":
                    tags = one.metadata.get("tags", [])
                    cell(f"{path.stem} [{number}]", one.source, "raises-exception" in tags)
        for number, source in enumerate(probes):
            cell(f"probe {number}", source, True)
    finally:
        kernel.stop()
    journal = httpx.get(process.ensure(home, os.getpid()).url + "/practice/journal").content
    files = [path for place in (folder, home) for path in place.rglob("*") if path.is_file()]
    contents = {str(path): path.read_bytes() for path in files if path != folder / ".env"}
    return Made(shown, contents, journal, failed)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("home")
    yield path
    process.leave(path, os.getpid())


LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BEGIN = 'import os\nfrom helpers import lesson\nhere = lesson("10_raw_chat_request")'


@pytest.fixture
def cloud(home: Path, tmp_path: Path) -> Path:
    """A course whose `.env` asks for the cloud: the practice server, which takes such a key."""
    base, key = process.ensure(home, os.getpid()).url + "/openai/v1", f"sk-practice-{CANARY.decode()}-0000"
    return course(tmp_path, f"COURSE_LANE=cloud\nOPENAI_API_KEY={key}\nOPENAI_BASE_URL={base}\n")


@pytest.mark.timeout(300)
def test_a_key_that_is_used_shows_up_nowhere(home: Path, cloud: Path) -> None:
    made = run(cloud, home, LESSONS, PROBES.split("---\n"))
    assert not made.failed
    assert "cloud · " in made.shown["10_raw_chat_request [1]"].decode()
    assert not made.leaks()


def test_a_key_that_is_not_used_shows_up_nowhere(home: Path, tmp_path: Path) -> None:
    """In the practice lane, which does not even read it; scripts and doctor read `.env` themselves."""
    here = course(tmp_path, f"OPENAI_API_KEY=sk-proj-{CANARY.decode()}-0000\n")
    chosen = [path for path in LESSONS if path.stem[:2] in ("00", "10", "21")]
    made = run(here, home, chosen, PROBES.split("---\n"))
    assert not made.failed and not made.leaks()


def test_leaks_are_found(home: Path, cloud: Path) -> None:
    key = "os.environ['OPENAI_API_KEY']"
    planted = [
        f"import base64, sys\n{key}",
        f"base64.b64encode(b'x' + {key}.encode())",
        f"print({key}.encode().hex(), file=sys.stderr)",
        f"raise ValueError({key})",
        f"_ = open('notes.txt', 'w').write({key})",
        "from helpers import redact, send\nredact.headers = lambda a, b: a\ndict(send({}).request.headers)",
    ]
    made = run(cloud, home, [], [BEGIN, *planted])
    cells = [f"probe {number}" for number, source in enumerate(planted, 1) if "notes.txt" not in source]
    assert made.leaks() == [*cells, str(cloud / "notebooks" / "notes.txt")]
