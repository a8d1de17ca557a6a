"""Which lane is chosen, what it puts into the environment, and how a real kernel keeps it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from dotenv import load_dotenv

from helpers import CourseError, lanes, lesson, reach
from helpers.lanes import choose, ollama_url
from helpers.practice import process
from tests.kernels import Kernel

KEY = "sk-live-0123456789abcdef"
PRACTICE = "practice server · scripted replies, nothing leaves this machine"
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens there
SILENT = f"{PRACTICE} · no Ollama answers at 127.0.0.1:9"


OURS = re.compile("OPENAI_|OLLAMA_|COURSE_|PYTHON_DOTENV_|.*_PROXY", re.IGNORECASE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("lanes")
    yield path
    if process.announced(path):
        kill(path)


@pytest.fixture(autouse=True)
def course(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A learner's machine without Ollama, keys or `.env`. Call it to write the `.env`."""
    dotenv = tmp_path / ".env"
    monkeypatch.setattr(lanes, "DOTENV", dotenv)
    for name, fresh in {"_laid": {}, "_held": {}, "_written": set(), "_chosen": None}.items():
        monkeypatch.setattr(lanes, name, fresh)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(machine(before, home))

    def write(text: str) -> None:
        dotenv.write_text(text, "utf-8")

    yield write
    os.environ.clear()
    os.environ.update(before)


def machine(environ: dict[str, str], home: Path) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not OURS.match(name)}
    return {**kept, "COURSE_HOME": str(home), "OLLAMA_HOST": NOBODY}


def kill(home: Path) -> process.Server:
    """End the home's server as kill -9 does, and return what it was."""
    server = process.announced(home)
    assert server
    os.kill(server.pid, signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    deadline = time.monotonic() + 5
    while process.alive(server.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return server


class Ollama:
    """Answers as an Ollama with these models does; with `practice` it says that it is a practice server."""

    def __init__(self, models: list[Any], *, practice: bool = False, version: Any = "0.32.15") -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                self.reply({"version": version} if self.path.endswith("version") else {"models": models})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked.append((self.path, body))
                self.reply(next(one["shown"] for one in models if one["name"] == body["model"]))

            def reply(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                if practice:
                    self.send_header("x-practice", "scripted")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ollama]]:
    running: list[Ollama] = []

    def start(models: list[dict[str, Any]] | None = None, **more: Any) -> Ollama:
        running.append(Ollama(models or [], **more))
        monkeypatch.setenv("OLLAMA_HOST", running[-1].address)
        return running[-1]

    yield start
    for one in running:
        one.server.shutdown()
        one.server.server_close()


def model(name: str, size: int, *capabilities: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "size": size, "shown": {"capabilities": list(capabilities)}, **more}


# The address


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ' 10.0.0.5 '  ".replace(" ", ""), "http://10.0.0.5:11434"),
        (' "10.0.0.5:80" ', "http://10.0.0.5:80"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:99", "http://127.0.0.1:99"),
        ("http://h", "http://h:80"),
        ("https://h", "https://h:443"),
        ("https://h/prefix/", "https://h:443/prefix"),
        ("h/prefix", "http://h:11434/prefix"),
        ("ollama.com", "https://ollama.com:443"),
        ("h:66666", "http://h:11434"),
        ("h:x", "http://h:11434"),
        ("http://h:x", "http://h:80"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:99", "http://[::1]:99"),
        ("[::]:99", "http://[::1]:99"),
        ("http://user:pw@h:1", "http://user:pw@h:1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(value: str, url: str) -> None:
    assert ollama_url(value) == url


def test_an_address_that_is_none_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "a:b:c:secret")
    with pytest.raises(CourseError, match="OLLAMA_HOST is no address") as caught:
        choose()
    assert "secret" not in str(caught.value)


# The practice lane


def test_without_anything_the_practice_server_answers() -> None:
    lane = choose()
    assert (lane.name, lane.sentence) == ("practice", SILENT)
    url = lane.environ["OLLAMA_HOST"]
    assert lane.environ["OPENAI_BASE_URL"] == url + "/openai/v1"
    assert lane.environ["OPENAI_API_KEY"] == "sk-practice"
    assert "x-practice" in httpx.get(url + "/api/version").headers
    assert lane.models["chat"] == "gpt-5-nano" and lane.models["ollama"] == "llama3.2"


def test_a_key_alone_never_chooses_the_cloud(
    course: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    course(f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=https://api.openai.com/v1\n")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lane = choose()
    assert lane.name == "practice" and KEY not in repr(lane) and KEY not in str(lane.environ)


def test_a_practice_server_that_somebody_runs_is_taken(ollama: Callable[..., Ollama]) -> None:
    address = ollama(practice=True).address
    lane = choose()
    assert (lane.name, lane.sentence, lane.server) == ("practice", PRACTICE, None)
    assert lane.environ["OPENAI_BASE_URL"] == f"http://{address}/openai/v1"


def test_a_teachers_practice_server_is_named(
    ollama: Callable[..., Ollama], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = ollama(practice=True).address.rpartition(":")[2]
    monkeypatch.setattr(lanes, "is_loopback", lambda host: False)
    assert choose().sentence == f"practice server at 127.0.0.1:{port} · scripted replies"


def test_the_practice_command_is_put_on_path_only_if_there_is_no_other(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose().environ["PATH"].split(os.pathsep) == [str(tmp_path), str(home / "bin")]
    mine = tmp_path / ("ollama.exe" if os.name == "nt" else "ollama")
    mine.write_text("")
    mine.chmod(0o755)
    assert "PATH" not in choose().environ


def test_no_proxy_stands_before_the_practice_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.setenv("no_proxy", "example.org")
    lesson("00_start_here")
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1,localhost,::1"
    assert httpx.get(os.environ["OLLAMA_HOST"]).text == "Ollama is running"


def test_no_cell_loads_a_real_key_there(course: Callable[[str], None]) -> None:
    course(f"OPENAI_API_KEY={KEY}\n")
    lesson("00_start_here")
    assert load_dotenv(lanes.DOTENV, override=True) is False
    assert os.environ["OPENAI_API_KEY"] == "sk-practice"


# The learner's own Ollama


ALL = [
    model("llama3.2:latest", 2000, "completion", "tools"),
    model("qwen3:0.6b", 500, "completion", "tools", "thinking"),
    model("gemma3:4b", 3000, "completion", "vision"),
    model("all-minilm:latest", 45, "embedding"),
]


def test_an_ollama_that_answers_is_taken(
    ollama: Callable[..., Ollama], course: Callable[[str], None]
) -> None:
    course(f"OPENAI_API_KEY={KEY}\n")
    running = ollama(ALL)
    lane = choose()
    assert (lane.name, lane.sentence) == ("ollama", f"your Ollama 0.32.15 at {running.address} · llama3.2")
    url = f"http://{running.address}"
    assert lane.environ["OPENAI_BASE_URL"] == url + "/v1" and lane.environ["OLLAMA_HOST"] == url
    assert lane.environ["OPENAI_API_KEY"] == "ollama" and lane.environ["PYTHON_DOTENV_DISABLED"] == "1"
    assert dict(lane.models) == lanes._tables()["ollama"]
    assert KEY not in str(running.asked)


def test_missing_models_are_replaced_by_the_smallest_that_can(ollama: Callable[..., Ollama]) -> None:
    running = ollama(
        [
            model("big:70b", 9000, "completion", "tools"),
            model(
                "elsewhere:120b", 1, "completion", "tools", "thinking", remote_host="https://ollama.com:443"
            ),
            model("also:120b-cloud", 2, "completion", "tools", "thinking"),
            model("small:1b", 700, "completion"),
            model("embedder", 5, "embedding"),
        ]
    )
    lane = choose()
    assert dict(lane.models) == {
        "chat": "small:1b",
        "sampling": "small:1b",
        "calling": "big:70b",
        "ollama": "small:1b",
        "tools": "big:70b",
        "embedding": "embedder",
    }
    assert lane.sentence == (
        f"your Ollama 0.32.15 at {running.address} · small:1b · for thinking run: ollama pull qwen3:0.6b"
        " · for vision run: ollama pull gemma3:4b"
    )
    with pytest.raises(CourseError, match="Run `ollama pull gemma3:4b` in a terminal"):
        lane.models["vision"]
    with pytest.raises(CourseError, match="no role 'vison'. Did you mean 'vision'"):
        lane.models["vison"]


def test_a_model_that_thinks_takes_another_place_only_if_no_other_can(ollama: Callable[..., Ollama]) -> None:
    thinker = model("thinker", 1, "completion", "tools", "thinking")
    ollama([thinker, model("plain", 9, "completion"), model("course-x", 0, "completion", "tools", "vision")])
    assert dict(choose().models) == {
        "chat": "plain",
        "sampling": "plain",
        "calling": "thinker",
        "ollama": "plain",
        "tools": "thinker",
        "thinking": "thinker",
    }


def test_what_a_lesson_made_is_never_chosen(ollama: Callable[..., Ollama]) -> None:
    able = ("completion", "tools", "thinking", "vision", "embedding")
    ollama([model("course-all:latest", 1, *able), model("course-2", 2, *able)])
    assert dict(choose().models) == {}


def test_an_ollama_without_models_says_what_to_pull(ollama: Callable[..., Ollama]) -> None:
    address = ollama([]).address
    assert choose().sentence == (
        f"your Ollama 0.32.15 at {address}"
        " · for chat, sampling, calling, ollama, tools run: ollama pull llama3.2"
        " · for thinking run: ollama pull qwen3:0.6b · for vision run: ollama pull gemma3:4b"
        " · for embedding run: ollama pull all-minilm"
    )


def test_what_ollama_does_not_say_about_a_model(ollama: Callable[..., Ollama]) -> None:
    """An old one says nothing: then it can chat. One that cannot be shown can do nothing."""
    old, broken = {"name": "old", "size": 2, "shown": {}}, {"name": "b", "size": 1, "shown": {"error": "x"}}
    running = ollama([broken, old])
    assert dict(choose().models) == {"chat": "old", "sampling": "old", "ollama": "old"}
    assert sum(path == "/api/show" for path, _ in running.asked) == 2


@pytest.mark.parametrize("models", [[{}], [5], [{"name": None, "size": None}], None])
def test_a_list_of_models_that_makes_no_sense_is_explained(
    ollama: Callable[..., Ollama], models: Any
) -> None:
    ollama(models or [{"size": 1}])
    with pytest.raises(CourseError, match="did not list its models"):
        choose()


def test_hostile_names_stay_text(ollama: Callable[..., Ollama]) -> None:
    ollama([model("x\x1b[31m\n", 1, "completion")], version="1\x07\n2")
    assert "\\x1b[31m" in choose().sentence and "\x07" not in choose().sentence


def test_what_is_no_ollama_is_not_taken(
    ollama: Callable[..., Ollama], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = ollama([])
    monkeypatch.setattr(
        running.server.RequestHandlerClass, "do_GET", lambda self: self.wfile.write(b"SSH-2.0\r\n")
    )
    assert choose().name == "practice"


# Forced


def test_a_forced_lane_that_does_not_answer_is_no_silent_fall_back(
    ollama: Callable[..., Ollama], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_LANE", "ollama")
    with pytest.raises(CourseError, match=r"no Ollama answers at 127\.0\.0\.1:9\. Start Ollama"):
        choose()
    ollama(practice=True)
    with pytest.raises(CourseError, match="a practice server answers, not an Ollama"):
        choose()


def test_practice_can_be_forced_beside_an_ollama(
    ollama: Callable[..., Ollama], course: Callable[[str], None]
) -> None:
    ollama(ALL)
    course("COURSE_LANE=practice\n")
    lane = choose()
    assert lane.name == "practice" and lane.server is not None


@pytest.mark.parametrize(
    ("word", "hint"), [("olama", "Did you mean 'ollama'"), ("x", "There are practice, ollama")]
)
def test_a_wrong_lane_is_explained(monkeypatch: pytest.MonkeyPatch, word: str, hint: str) -> None:
    monkeypatch.setenv("COURSE_LANE", word)
    with pytest.raises(CourseError, match=f"COURSE_LANE is '{word}'.*{hint}"):
        choose()


# The cloud lane


def test_the_cloud_is_chosen_by_name_and_asks_nobody(
    course: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    course(f"COURSE_LANE=cloud\nOPENAI_API_KEY={KEY}\nEXTRA=1\n")
    lane = choose()
    assert lane.sentence == "cloud · api.openai.com · gpt-5-nano · replies cost money"
    assert lane.environ["OPENAI_BASE_URL"] == "https://api.openai.com/v1"
    assert lane.environ["OPENAI_API_KEY"] == KEY and lane.environ["EXTRA"] == "1"
    assert "PYTHON_DOTENV_DISABLED" not in lane.environ
    assert KEY not in repr(lane) and lane.environ["OLLAMA_HOST"].startswith("http://127.0.0.1:")
    assert "x-practice" in httpx.get(lane.environ["OLLAMA_HOST"]).headers


def test_in_the_cloud_ollamas_lessons_stay_on_ollama(
    ollama: Callable[..., Ollama], course: Callable[[str], None]
) -> None:
    running = ollama(ALL[:1])
    course(f"COURSE_LANE=cloud\nOPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=https://me:pw@llm.example:8443/v1/\n")
    lane = choose()
    assert lane.sentence == "cloud · llm.example:8443 · gpt-5-nano · replies cost money"
    assert lane.environ["OPENAI_BASE_URL"] == "https://me:pw@llm.example:8443/v1"
    assert lane.environ["OLLAMA_HOST"] == f"http://{running.address}"
    assert (lane.models["chat"], lane.models["ollama"]) == ("gpt-5-nano", "llama3.2")
    with pytest.raises(CourseError, match="ollama pull gemma3:4b"):
        lane.models["vision"]


def test_at_azure_models_have_names_of_ones_own(
    course: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "models", lambda *_: ["gpt-9"])
    settings = f"COURSE_LANE=cloud\nOPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=https://"
    course(settings + "me.openai.azure.com/openai/v1\n")
    assert repr(lesson("00_start_here")).endswith("was answered")
    course(settings + "llm.example/v1\n")
    assert "does not list gpt-5-nano and gpt-4o-mini: name another" in repr(lesson("00_start_here"))


def test_a_server_of_ones_own_costs_nothing(course: Callable[[str], None]) -> None:
    course("COURSE_LANE=cloud\nOPENAI_API_KEY=none\nOPENAI_BASE_URL=http://localhost:8000/v1\n")
    assert choose().sentence == "cloud · localhost:8000 · gpt-5-nano · your own server"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("", "needs a key. Put OPENAI_API_KEY=… into .env"),
        ("OPENAI_API_KEY=  \n", "needs a key"),
        ("OPENAI_API_KEY=sk-secret “x”\n", "OPENAI_API_KEY has a space"),
        (
            f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=api.openai.com/v1\n",
            "OPENAI_BASE_URL must begin with https://",
        ),
        (
            f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=https://h:port/\n",
            "OPENAI_BASE_URL must begin with https://",
        ),
        (
            f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=https://[::1/\n",
            "OPENAI_BASE_URL must begin with https://",
        ),
    ],
)
def test_what_the_cloud_lacks_is_explained(
    course: Callable[[str], None], settings: str, sentence: str
) -> None:
    course("COURSE_LANE=cloud\n" + settings)
    with pytest.raises(CourseError, match=re.escape(sentence)) as caught:
        choose()
    assert "secret" not in str(caught.value) and KEY not in str(caught.value)


# .env


def test_dotenv_wins_over_the_environment(
    course: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_LANE", "cloud")
    course("COURSE_LANE=practice\n")
    assert choose().name == "practice"


def test_dotenv_may_begin_with_a_byte_order_mark_and_end_lines_as_windows_does() -> None:
    lanes.DOTENV.write_bytes(b"\xef\xbb\xbfCOURSE_LANE=cloud\r\nOPENAI_API_KEY='sk-1'\r\n")
    assert choose().environ["OPENAI_API_KEY"] == "sk-1"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("COURSE_LANE=x".encode("utf-16"), "not UTF-8"), (b"A=1\0\n", "no setting can hold")],
)
def test_a_dotenv_that_cannot_be_used_is_explained(content: bytes, sentence: str) -> None:
    lanes.DOTENV.write_bytes(content)
    with pytest.raises(CourseError, match=sentence):
        choose()


def test_dotenv_can_be_switched_off(course: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    course("COURSE_LANE=cloud\n")
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    assert choose().name == "practice"


def test_the_example_is_a_dotenv_that_changes_nothing(course: Callable[[str], None]) -> None:
    example = (lanes.CHECKOUT / ".env.example").read_text("utf-8")
    course(example)
    assert choose().name == "practice"
    course(re.sub(r"^# (?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
    assert set(lanes._dotenv({})) == {"COURSE_LANE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST"}


# lesson()


def test_where_learners_share_an_ollama_lessons_that_make_models_say_so(
    ollama: Callable[..., Ollama], monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama(ALL)
    assert "neighbour" not in repr(lesson("06_modelfile_create_cp"))
    monkeypatch.setattr(lanes, "is_loopback", lambda host: False)
    makers = [
        path.stem for path in lanes.NOTEBOOKS.glob("*.ipynb") if "here.clean()" in path.read_text("utf-8")
    ]
    assert makers and all("COURSE_LANE=practice" in repr(lesson(name)) for name in makers)
    assert "neighbour" not in repr(lesson("12_roles_and_history"))


def test_a_lesson_is_shown_as_its_line() -> None:
    here = lesson("00_start_here")
    assert (repr(here), here.name, here.lane, here.models["chat"]) == (
        SILENT,
        "00_start_here",
        "practice",
        "gpt-5-nano",
    )


@pytest.mark.parametrize(
    ("name", "hint"), [("00_start", "'00_start_here'"), (None, "There are 00_start_here, 01_")]
)
def test_a_wrong_name_gets_the_nearest(name: Any, hint: str) -> None:
    with pytest.raises(CourseError, match=hint):
        lesson(name)


def test_lanes_change_back_and_forth(
    course: Callable[[str], None], ollama: Callable[..., Ollama], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://before/v1")
    monkeypatch.setattr(reach, "models", lambda *_: None)
    before = dict(os.environ)
    course(f"OPENAI_API_KEY={KEY}\n")
    assert lesson("00_start_here").lane == "practice"
    course(f"OPENAI_API_KEY={KEY}\nCOURSE_LANE=cloud\n")
    assert repr(lesson("00_start_here")).startswith("cloud · before · gpt-5-nano · replies cost money · ")
    assert load_dotenv(lanes.DOTENV, override=True)  # as a lesson's cell does
    assert os.environ["OPENAI_API_KEY"] == KEY and "PYTHON_DOTENV_DISABLED" not in os.environ
    course("COURSE_LANE=practice\n")
    load_dotenv(lanes.DOTENV, override=True)
    course("")
    assert lesson("00_start_here").lane == "practice"
    assert os.environ["OPENAI_API_KEY"] == "sk-practice" and "COURSE_LANE" not in os.environ
    course(f"OLLAMA_HOST={ollama(ALL).address}\n")
    assert lesson("00_start_here").lane == "ollama"
    course("")
    os.environ["OLLAMA_HOST"] = NOBODY  # the learner's own hand, in a cell
    assert lesson("00_start_here").lane == "practice"
    lanes._lay({})
    assert {name: os.environ.get(name) for name in before} == {**before, "OLLAMA_HOST": NOBODY}


def test_without_an_environment_the_package_still_imports() -> None:
    """The front door imports it on a bare Python, and on one that is too old."""
    program = (
        "import ast, sys; sys.modules['httpx'] = None; import helpers; print(dir(helpers));"
        "ast.parse(open(helpers.__file__).read(), feature_version=(3, 6)); helpers.send"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "'send'" in ran.stdout and "This Python has no package 'httpx'" in ran.stderr


# In a kernel


@pytest.fixture(scope="module")
def kernel(home: Path) -> Iterator[Kernel]:
    one = Kernel(machine(dict(os.environ), home), lanes.NOTEBOOKS)
    yield one
    one.stop()


FIRST = 'from helpers import lesson\nhere = lesson("00_start_here")\nhere'
ASK = """
from helpers import send
send({"model": here.models["chat"], "messages": [{"role": "user", "content": "Hi"}]})
"""


def test_a_server_that_is_killed_between_two_cells_runs_again(
    kernel: Kernel, home: Path, course: Callable[[str], None]
) -> None:
    assert kernel.run(FIRST) == SILENT
    assert "200 OK" in kernel.run(ASK)
    first = kill(home)
    shown = kernel.run(ASK)
    assert shown.startswith("The practice server had stopped; it runs again.\n") and "200 OK" in shown
    second = process.announced(home)
    assert second and second.pid != first.pid and second.url == first.url
    assert "stopped" not in kernel.run(ASK)

    assert kernel.run(FIRST) == SILENT
    hooks = "[one.__name__ for one in get_ipython().events.callbacks['pre_run_cell']].count('keep_alive')"
    assert kernel.run(hooks) == "1"
    course(f"OPENAI_API_KEY={KEY}\n")
    loaded = f"import dotenv, os\nprint(dotenv.load_dotenv({str(lanes.DOTENV)!r}, override=True))"
    assert kernel.run(f"{loaded}\nos.environ['OPENAI_API_KEY']") == "False\n'sk-practice'"
    assert (
        kernel.run("lesson('00_start')")
        == "CourseError: There is no lesson '00_start'. Did you mean '00_start_here'?"
    )


def test_a_server_that_moves_is_followed(kernel: Kernel, home: Path) -> None:
    kernel.run(FIRST)
    running = kill(home)
    port = int(running.url.rpartition(":")[2])
    with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as other:  # somebody took its port
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert "200 OK" in kernel.run(ASK)
        other.shutdown()
    moved = process.announced(home)
    assert moved and moved.url != running.url
    assert kernel.run("import os; os.environ['OLLAMA_HOST']") == repr(moved.url)


def test_an_interrupted_cell_keeps_what_came(kernel: Kernel) -> None:
    over = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b'data: {"choices": [{"delta": {"content": "so far"}}]}\n\n')
            over.wait(30)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    kernel.run(
        "import os; from helpers import stream\n"
        f"os.environ['OPENAI_BASE_URL'] = 'http://127.0.0.1:{server.server_port}'\n"
        "exchange = await stream({})"
    )
    reading = "async for frame in exchange:\n    print('ready', flush=True)"
    start = time.monotonic()
    shown = kernel.run(reading, during=kernel.manager.interrupt_kernel)
    assert "ready" in shown and time.monotonic() - start < 5  # although the server says nothing more
    over.set()
    assert (
        kernel.run("exchange.text, exchange.complete, exchange.broken") == "('so far', False, 'interrupted')"
    )
    server.shutdown()
    server.server_close()
