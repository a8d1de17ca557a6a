"""What a lesson's first cell says, in a real kernel, when something is wrong: one sentence with the mend."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import nbformat
import pytest

from helpers import lanes
from helpers.practice import process
from tests.kernels import Kernel
from tests.test_lanes import NOBODY, SILENT, machine

KEY = "sk-practice-0123456789abcdef"  # the practice server, which plays the provider, takes it
WRONG = "sk-live-0123456789abcdef"
NOWHERE = "https://llm.invalid/v1"  # a name that no network knows
HEAD = "CourseError: "
SET_UP = """
import os, re
from pathlib import Path
from helpers import lanes, reach
lanes.DOTENV = Path({dotenv!r})
lanes._laid, lanes._held, lanes._written, lanes._chosen = {{}}, {{}}, set(), None
reach.PATIENCE = 0.5
lanes.OPENAI = {openai!r}
os.environ.clear()
os.environ.update({environ!r})
"""

# Path: status, content type, body. What a server at OPENAI_BASE_URL can say but should not.
ODD = {
    "/html/v1/models": (200, "text/html", "<title>Sign in</title>"),
    "/moved/v1/models": (302, "text/html", ""),
    "/country/v1/models": (403, "application/json", '{"error": {"message": "Country not supported"}}'),
    "/scope/v1/models": (403, "application/json", '{"error": {"message": "Missing scopes: api.model.read"}}'),
    "/none/v1/models": (404, "application/json", "{}"),
    "/busy/v1/models": (503, "text/plain", "busy"),
    "/list/v1/models": (200, "application/json", '{"data": [{"id": "gpt-4o-mini"}, {"id": "gpt-9-nano"}]}'),
    "/gemini/v1/models": (
        200,
        "application/json",
        '{"data": [{"id": "models/gpt-5-nano"}, {"id": "gpt-4o-mini"}]}',
    ),
    "/hostile/v1/models": (200, "application/json", '{"data": [{"id": "gpt-5\\u001b[31m<b>\\n"}]}'),
}


class Odd(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            over.wait(30)
        status, kind, body = ODD.get(self.path, (404, "text/plain", "404 page not found"))
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


over = threading.Event()


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("first")
    yield path
    process.leave(path, os.getpid())


@pytest.fixture(scope="module")
def provider(home: Path) -> str:
    """The practice server in the part of api.openai.com."""
    return process.ensure(home, os.getpid()).url + "/openai/v1"


@pytest.fixture(scope="module")
def kernel(home: Path) -> Iterator[Kernel]:
    one = Kernel(machine(dict(os.environ), home), lanes.NOTEBOOKS)
    yield one
    one.stop()


def first_cell(path: Path) -> str:
    return next(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")


Begin = Callable[..., str]


@pytest.fixture
def begin(kernel: Kernel, home: Path, tmp_path: Path) -> Begin:
    """Run a lesson's first cell on a machine with this `.env` and these variables; return what it shows."""

    def run(dotenv: str, lesson: str = "10_raw_chat_request", /, **environ: str) -> str:
        path = tmp_path / ".env"
        path.write_text(dotenv, "utf-8")
        kernel.run(
            SET_UP.format(
                dotenv=str(path), openai=NOWHERE, environ={**machine(dict(os.environ), home), **environ}
            )
        )
        shown = kernel.run(first_cell(lanes.NOTEBOOKS / f"{lesson}.ipynb"))
        assert "Traceback" not in shown and "\n" not in shown, shown
        assert KEY not in shown and WRONG not in shown
        return shown

    return run


def cloud(base: str, key: str = KEY) -> str:
    return f"COURSE_LANE=cloud\nOPENAI_API_KEY={key}\nOPENAI_BASE_URL={base}\n"


# The key


def test_a_key_that_is_right_is_said_to_be_so_and_costs_nothing(begin: Begin, provider: str) -> None:
    shown = begin(cloud(provider))
    journal = httpx.get(provider.replace("/openai/v1", "/practice/journal")).json()["entries"]
    asked = {(one["method"], one["path"]) for one in journal if "/openai/" in one["path"]}
    assert asked == {("GET", "/openai/v1/models")}
    assert shown.startswith("cloud · 127.0.0.1:") and shown.endswith(
        " · GET /models, which is free, was answered"
    )


@pytest.mark.parametrize(
    ("dotenv", "environ", "where"),
    [
        ("OPENAI_API_KEY={wrong}\n", {}, ".env."),
        ("OPENAI_API_KEY={wrong}\n", {"OPENAI_API_KEY": KEY}, ".env."),
        ("", {"OPENAI_API_KEY": WRONG}, "the environment you started Jupyter in (not .env)."),
    ],
)
def test_a_key_that_is_wrong(
    begin: Begin, provider: str, dotenv: str, environ: dict[str, str], where: str
) -> None:
    settings = f"COURSE_LANE=cloud\nOPENAI_BASE_URL={provider}\n" + dotenv.format(wrong=WRONG)
    shown = begin(settings, **environ)
    assert re.match(rf"{HEAD}127\.0\.0\.1:\d+ does not take the key in OPENAI_API_KEY \(401\)", shown)
    assert f"which comes from {where} Put a key of this very provider into .env and run this cell" in shown


def test_a_right_key_in_dotenv_wins_over_a_stale_one_of_the_shell(begin: Begin, provider: str) -> None:
    assert "was answered" in begin(cloud(provider), OPENAI_API_KEY=WRONG, OPENAI_BASE_URL=NOWHERE)


def test_no_key(begin: Begin, provider: str) -> None:
    shown = begin("COURSE_LANE=cloud\n")
    assert shown.startswith(f"{HEAD}The cloud lane needs a key. Put OPENAI_API_KEY=… into .env")
    shown = begin(cloud(provider), PYTHON_DOTENV_DISABLED="1", COURSE_LANE="cloud")
    assert "needs a key" in shown and "PYTHON_DOTENV_DISABLED is set, so .env is not read: unset it" in shown


@pytest.mark.parametrize("key", [f'"{KEY}\\n"', f'"{KEY} "', f"' {KEY}'", f'"{KEY}\\r\\n"'])
def test_a_key_with_a_line_break_or_space_at_an_end(
    begin: Begin, provider: str, kernel: Kernel, key: str
) -> None:
    shown = begin(cloud(provider, key))
    assert "the key in .env has a space or line break at an end: left out here, mend it there" in shown
    assert "was answered" in shown
    assert kernel.run("os.environ['OPENAI_API_KEY']") == repr(KEY)


def test_a_key_with_a_line_break_in_the_shell(begin: Begin, provider: str) -> None:
    shown = begin("", COURSE_LANE="cloud", OPENAI_BASE_URL=provider, OPENAI_API_KEY=f"{KEY}\n")
    assert "the key in the environment you started Jupyter in (not .env) has a space" in shown


def test_a_key_with_something_in_its_midst(begin: Begin, provider: str) -> None:
    assert begin(cloud(provider, f"{KEY} {KEY}")).startswith(f"{HEAD}OPENAI_API_KEY has a space")


def test_a_key_for_the_cloud_is_not_needed_elsewhere(begin: Begin) -> None:
    assert begin(f"OPENAI_API_KEY={WRONG}\n") == SILENT


# The address


def test_an_address_without_v1(begin: Begin, provider: str) -> None:
    shown = begin(cloud(provider.removesuffix("/v1")))
    assert re.fullmatch(
        rf"{HEAD}127\.0\.0\.1:\d+ wants /v1 at the end of OPENAI_BASE_URL, which comes from \.env\. Add .*",
        shown,
    )


@pytest.mark.parametrize("end", ["/chat/completions", "/chat/completions/", "/models", "/chat"])
def test_an_address_with_too_much_at_its_end(begin: Begin, provider: str, end: str) -> None:
    assert f"ends with {end.rstrip('/')}. Take that off" in begin(cloud(provider + end))


def test_nothing_answers(begin: Begin) -> None:
    shown = begin(cloud(NOBODY + "/v1"))
    assert shown == (
        f"{HEAD}Nothing answers at 127.0.0.1:9. Check your network, then OPENAI_BASE_URL, "
        "which comes from .env."
    )


def test_no_network(begin: Begin) -> None:
    found_none = f"{HEAD}No machine called llm.invalid was found. Check your network, then "
    assert begin(cloud(NOWHERE)) == found_none + "OPENAI_BASE_URL, which comes from .env."
    shown = begin(f"COURSE_LANE=cloud\nOPENAI_API_KEY={KEY}\n")
    assert shown == found_none + "whether a firewall stands before it."


def test_a_stale_address_of_the_shell(begin: Begin) -> None:
    shown = begin(f"COURSE_LANE=cloud\nOPENAI_API_KEY={KEY}\n", OPENAI_BASE_URL=NOBODY + "/v1")
    assert shown.endswith("which comes from the environment you started Jupyter in (not .env).")


def test_no_tls_there(begin: Begin, odd: str) -> None:
    assert "does not speak TLS. Write http:// for https:// in" in begin(
        cloud(odd.replace("http", "https") + "/v1")
    )


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/slow/v1", "did not answer in 0.5 s. Check your network"),
        ("/html/v1", "a web page answers, not an API. In a guest network, sign in first"),
        ("/moved/v1", "a web page answers, not an API"),
        ("/country/v1", "refuses the key, or your country, in OPENAI_API_KEY (403)"),
    ],
)
def test_what_is_no_provider_for_this_key(begin: Begin, odd: str, path: str, sentence: str) -> None:
    shown = begin(cloud(odd + path))
    assert shown.startswith(HEAD) and sentence in shown


@pytest.mark.parametrize("path", ["/scope/v1", "/none/v1", "/busy/v1"])
def test_a_provider_that_lists_no_models_is_tried(begin: Begin, odd: str, path: str) -> None:
    assert begin(cloud(odd + path)).endswith("the first request shows whether the key is right")


# The model


def test_a_model_that_has_ended(begin: Begin, odd: str) -> None:
    """gpt-5-nano after 11 December 2026."""
    shown = begin(cloud(odd + "/list/v1"))
    found = re.search(
        r"it does not list gpt-5-nano: name another, for example gpt-9-nano or gpt-4o-mini, in "
        r"helpers/models\.toml, line (\d+) \(chat\) and line (\d+) \(calling\)$",
        shown,
    )
    assert found, shown
    lines = lanes.MODELS.read_text("utf-8").splitlines()
    roles = [lines[int(number) - 1].partition(" ")[0] for number in found.groups()]
    cloudy = lines.index("[cloud]") < int(found[1])
    assert cloudy and roles == ["chat", "calling"]


def test_names_with_their_makers_before_them_are_known(begin: Begin, odd: str) -> None:
    assert begin(cloud(odd + "/gemini/v1")).endswith("was answered")


def test_hostile_names_of_models_stay_text(begin: Begin, odd: str) -> None:
    assert "\x1b" not in begin(cloud(odd + "/hostile/v1"))


# Proxies


PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
SEND = """
import httpx
reply = httpx.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json={},
                   headers={"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
reply.status_code
"""


@pytest.mark.parametrize("variable", PROXIES)
def test_a_dead_proxy_does_not_stand_before_this_machine(begin: Begin, kernel: Kernel, variable: str) -> None:
    assert begin("", **{variable: NOBODY}) == SILENT
    assert kernel.run(SEND) == "400"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_dead_proxy_before_the_provider_is_named(begin: Begin, variable: str) -> None:
    shown = begin(cloud(NOWHERE), **{variable: "http://me:secret@127.0.0.1:9"})
    assert shown == (
        f"{HEAD}llm.invalid cannot be reached through the proxy http://127.0.0.1:9. Correct {variable}, "
        "or unset it where you start Jupyter and start that again."
    )


@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:9", "http://[::1", "ftp://127.0.0.1:9"])
def test_a_proxy_that_httpx_cannot_use(begin: Begin, kernel: Kernel, proxy: str) -> None:
    shown = begin("", ALL_PROXY=proxy)
    assert shown.startswith(
        f"{SILENT} · httpx cannot use the proxy in ALL_PROXY. Write it as http://host:port"
    )
    assert kernel.run(SEND) == "400"  # it is left out on the way to this machine
    assert begin(cloud(NOWHERE), ALL_PROXY=proxy).startswith(
        f"{HEAD}httpx cannot use the proxy in ALL_PROXY. W"
    )
    shown = begin("", ALL_PROXY=proxy, OLLAMA_HOST="http://ollama.invalid")
    assert shown.startswith(f"{HEAD}httpx cannot use the proxy in ALL_PROXY")


def test_a_socks_proxy_without_its_package(begin: Begin, kernel: Kernel) -> None:
    kernel.run("import sys; sys.modules['socksio'] = None")
    shown = begin("", ALL_PROXY="socks5://127.0.0.1:9")
    assert shown.endswith("a socks5:// proxy needs `python -m pip install socksio`")
    assert kernel.run(SEND) == "400"


# All lessons


def test_an_ollama_that_does_not_answer_is_named(begin: Begin) -> None:
    assert begin("", OLLAMA_HOST="127.0.0.1:9").endswith("no Ollama answers at 127.0.0.1:9")
    assert "no Ollama answers at 127.0.0.1:9. Start Ollama" in begin("COURSE_LANE=ollama\n")
    shown = begin("", OLLAMA_HOST="http://ollama.invalid:11434", HTTP_PROXY="http://me:secret@127.0.0.1:9")
    where = "ollama.invalid:11434, asked through the proxy http://127.0.0.1:9 of HTTP_PROXY"
    assert shown.endswith(f" · no Ollama answers at {where}")


@pytest.mark.parametrize("lesson", lanes._lessons())
def test_every_lesson_begins_so(begin: Begin, provider: str, lesson: str) -> None:
    assert begin(cloud(provider, WRONG), lesson).startswith(HEAD)
    assert begin(cloud(provider), lesson).startswith("cloud · ")
