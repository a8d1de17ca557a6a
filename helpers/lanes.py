"""Who answers a lesson: the practice server, the learner's own Ollama, or a paid provider.

The first cell of a lesson chooses. Its settings are the environment with `.env` laid over it. Without
COURSE_LANE an Ollama that answers is taken, else the practice server; a paid provider only if COURSE_LANE is
cloud. Choosing asks nobody but OLLAMA_HOST; the first cell of a lesson then asks the provider for its models.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from dotenv import dotenv_values

from helpers import exercises, proxies, reach
from helpers.errors import CourseError
from helpers.practice import launcher, process, toml
from helpers.show import visible
from helpers.wire import is_loopback

CHECKOUT = Path(__file__).resolve().parents[1]
DOTENV = CHECKOUT / ".env"
NOTEBOOKS = CHECKOUT / "notebooks"
MODELS = Path(__file__).with_name("models.toml")

LANES = ("practice", "ollama", "cloud")
CAPABILITIES = {  # role: what a model must be able to do for it
    "chat": "completion",
    "sampling": "completion",
    "calling": "tools",
    "ollama": "completion",
    "tools": "tools",
    "thinking": "thinking",
    "vision": "vision",
    "embedding": "embedding",
}
OPENAI = "https://api.openai.com/v1"
PATIENCE = 3.0  # seconds for a server to say what it is
MAKERS = ("02", "03", "04", "05", "06", "07", "20")  # lessons that make models, course-…, and delete all such
SHARED = (
    " · a neighbour's models may be there too, and this lesson deletes all that are named course-…: "
    "COURSE_LANE=practice keeps you apart"
)
DOTENV_OFF = "PYTHON_DOTENV_DISABLED"  # python-dotenv's own switch: no cell loads a key for another lane


class Models(dict[str, str]):
    """The model for each role; asking for a role that no installed model can fill raises CourseError."""

    def __init__(self, names: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        super().__init__(names)
        self.wanted = dict(wanted)  # role: the model to pull, for roles that are missing

    def __missing__(self, role: str) -> str:
        if role in self.wanted:
            raise CourseError(
                f"None of your models can be used for {role}. Run `ollama pull {self.wanted[role]}` in a "
                "terminal, then the lesson's first cell again."
            )
        raise CourseError(f"There is no role {role!r}. {_nearest(role, CAPABILITIES)}")


@dataclass(frozen=True)
class Lane:
    """Who answers. `environ` is what a kernel's environment needs for it, perhaps a key: no repr shows it."""

    name: str
    sentence: str
    environ: dict[str, str] = field(repr=False)
    models: Models
    server: process.Server | None = None  # the checkout's practice server, if that is who answers


@dataclass(frozen=True, repr=False)
class Lesson:
    """What a lesson knows about itself; shown as the one line that says who answers."""

    name: str
    lane: str
    sentence: str
    models: Models

    def __repr__(self) -> str:
        return self.sentence

    def check(self, exercise: str, value: Any = None) -> exercises.Graded:
        """Grade the request that was sent for an exercise; `value` is what the exercise asks for."""
        return exercises.check(self.name, exercise, value)

    def hint(self, exercise: str) -> exercises.Told:
        """The next hint for an exercise, under those already seen."""
        return exercises.hint(self.name, exercise)

    def solution(self, exercise: str) -> exercises.Told:
        """One way to solve an exercise."""
        return exercises.solution(self.name, exercise)

    def progress(self) -> exercises.Drawing:
        """How far you are with the exercises of all lessons, from a file on this machine."""
        return exercises.report(_lessons())

    def clean(self) -> str:
        """Delete the models that lessons made, those whose names begin with course-; say which."""
        from helpers import clean

        return clean.remove(clean.made_here())


def lesson(name: str) -> Lesson:
    """Begin a lesson: choose who answers and set the environment for it. Run it again after editing `.env`.

    Raises:
        CourseError: there is no such lesson; and all that choose() raises.
    """
    global _chosen
    if name not in _lessons():
        raise CourseError(f"There is no lesson {name!r}. {_nearest(name, _lessons())}")
    _chosen = choose()
    _lay(_chosen.environ)
    if _chosen.name == "cloud":
        _chosen = replace(_chosen, sentence=_chosen.sentence + _answered(_chosen))
    elif _chosen.name == "ollama" and name[:2] in MAKERS and not is_loopback(_host(_laid["OLLAMA_HOST"])):
        _chosen = replace(_chosen, sentence=_chosen.sentence + SHARED)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and keep_alive not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", keep_alive)
    return Lesson(name, _chosen.name, _chosen.sentence, _chosen.models)


def chosen() -> Lane | None:
    """Who answers since the last lesson(); None before the first."""
    return _chosen


def _lessons() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def choose() -> Lane:
    """Choose the lane from the environment and `.env`; start the practice server if that is the lane.

    Raises:
        CourseError: COURSE_LANE names no lane, the lane it names does not answer, or a setting is wrong.
    """
    outside = _outside()
    written = _dotenv(outside)
    settings = outside | written
    forced = settings.get("COURSE_LANE", "").strip().lower()
    if forced and forced not in LANES:
        raise CourseError(f"COURSE_LANE is {forced!r}, which is no lane. {_nearest(forced, LANES)}")
    tables = _tables()
    if forced == "cloud":
        lane = _cloud(settings, written, _local(settings, "", tables), tables["cloud"])
    else:
        lane = _local(settings, forced, tables)
    environ = lane.environ | proxies.around_this_machine(settings)
    if unusable := proxies.unusable(settings):
        if not _stays_here(environ):
            raise CourseError(f"{proxies.why(unusable)}. Then start Jupyter again.")
        environ |= dict.fromkeys(unusable, "")
        lane = replace(lane, sentence=f"{lane.sentence} · {proxies.why(unusable)}")
    return replace(lane, environ=environ)


def keep_alive(*_: object) -> None:
    """Start the checkout's practice server again if it has stopped, and say so. Runs before each cell."""
    global _chosen
    if _chosen is None or _chosen.server is None:
        return
    try:
        server = process.ensure()
    except CourseError as error:
        print(error)
        return
    before = _chosen.server.url
    if server.url != before:
        for name, value in _laid.items():
            if value.startswith(before) and os.environ.get(name) == value:
                os.environ[name] = _laid[name] = value.replace(before, server.url, 1)
        _chosen = replace(_chosen, server=server)
    if server.started:
        print("The practice server had stopped; it runs again.")


def ollama_url(value: str) -> str:
    """Return the URL that a client uses for a value of OLLAMA_HOST, by Ollama's own rules.

    `""` gives http://127.0.0.1:11434, `:1234` http://127.0.0.1:1234, `https://host/a` https://host:443/a.
    Raises CourseError for what is no address at all.
    """
    scheme, found, rest = value.strip().strip("\"'").partition("://")
    if not found:
        scheme, rest = ("https", "ollama.com:443") if scheme == "ollama.com" else ("http", scheme)
    default = {"http": "80", "https": "443"}.get(scheme, "11434") if found else "11434"
    address, slash, path = rest.partition("/")
    user, at, address = address.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not colon or _is_ipv6(address.strip("[]")):
        host, port = address, default
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        port = default
    host = host.strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if ":" in host:
        if not _is_ipv6(host):
            raise CourseError("OLLAMA_HOST is no address. Write it as 127.0.0.1:11434 or http://host:port.")
        host = f"[{host}]"
    return f"{scheme}://{user}{at}{host}:{port}{slash}{path}".rstrip("/")


# The lanes


def _local(settings: Mapping[str, str], forced: str, tables: dict[str, dict[str, str]]) -> Lane:
    """The learner's Ollama or a practice server."""
    named = settings.get("OLLAMA_HOST", "")
    url = ollama_url(named)
    greeting = _greeting(url) if named or forced != "practice" else None
    if greeting and greeting.practice and forced != "ollama":
        return _practice(url, settings, tables["practice"])
    if greeting and not greeting.practice and forced != "practice":
        return _ollama(url, greeting.version, tables["ollama"])
    if forced == "ollama":
        who = "a practice server answers, not an Ollama," if greeting else "no Ollama answers"
        raise CourseError(
            f"COURSE_LANE is ollama, but {who} at {_asked_at(url)}. Start Ollama (its app, or "
            "`ollama serve`), correct OLLAMA_HOST, or remove COURSE_LANE."
        )
    server = process.ensure()
    lane = _practice(server.url, settings, tables["practice"])
    silent = f" · no Ollama answers at {_asked_at(url)}" if named.strip() and not forced else ""
    return replace(lane, sentence=visible(lane.sentence + silent), server=server)


def _asked_at(url: str) -> str:
    """Where an Ollama was looked for, and the proxy on the way there."""
    variable, proxy = ("", "") if is_loopback(_host(url)) else proxies.on_the_way_to(url)
    return reach.spoken(url) + (f", asked through the proxy {proxy} of {variable}" if variable else "")


def _practice(url: str, settings: Mapping[str, str], names: dict[str, str]) -> Lane:
    environ = {
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "OPENAI_API_KEY": "sk-practice",
        "OLLAMA_HOST": url,
        DOTENV_OFF: "1",
    }
    path = settings.get("PATH", os.defpath)
    if shutil.which("ollama", path=path) is None:
        environ["PATH"] = os.pathsep.join([path, str(launcher.folder())])
    if is_loopback(_host(url)):
        sentence = "practice server · scripted replies, nothing leaves this machine"
    else:
        sentence = f"practice server at {reach.spoken(url)} · scripted replies"
    return Lane("practice", sentence, environ, Models(names, {}))


def _ollama(url: str, version: str, names: dict[str, str]) -> Lane:
    environ = {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "ollama",
        "OLLAMA_HOST": url,
        DOTENV_OFF: "1",
    }
    models = _installed(url, names)
    parts = [f"your Ollama {version} at {reach.spoken(url)}"]
    parts += [models["chat"]] if "chat" in models else []
    for model in dict.fromkeys(models.wanted.values()):
        roles = ", ".join(role for role, wanted in models.wanted.items() if wanted == model)
        parts.append(f"for {roles} run: ollama pull {model}")
    return Lane("ollama", visible(" · ".join(parts)), environ, models)


def _cloud(settings: Mapping[str, str], written: dict[str, str], local: Lane, names: dict[str, str]) -> Lane:
    """A paid provider for the Chat Completions lessons; Ollama's own stay on the local lane."""
    given = settings.get("OPENAI_API_KEY", "")
    key = given.strip()
    if not key:
        off = f" {DOTENV_OFF} is set, so .env is not read: unset it." if _is_off(settings) else ""
        raise CourseError(
            "The cloud lane needs a key. Put OPENAI_API_KEY=… into .env (.env.example shows how), or remove "
            f"COURSE_LANE=cloud to go on without one.{off}"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise CourseError(
            "OPENAI_API_KEY has a space, a line break or a letter in it that no key has. Copy it again."
        )
    base = settings.get("OPENAI_BASE_URL", "").strip().rstrip("/") or OPENAI
    host = _host(base)
    if not host:
        raise CourseError(
            "OPENAI_BASE_URL must begin with https:// and the name of a host. Correct it in .env."
        )
    environ = local.environ | written
    del environ[DOTENV_OFF]
    environ |= {
        "OPENAI_BASE_URL": base,
        "OPENAI_API_KEY": key,
        "OLLAMA_HOST": local.environ["OLLAMA_HOST"],
    }
    wanted = {role: model for role, model in local.models.wanted.items() if role not in names}
    cost = "your own server" if is_loopback(host) else "replies cost money"
    sentence = f"cloud · {reach.spoken(base)} · {names['chat']} · {cost}"
    if key != given:
        where = _where("OPENAI_API_KEY")
        sentence += f" · the key in {where} has a space or line break at an end: left out here, mend it there"
    return Lane("cloud", visible(sentence), environ, Models(local.models | names, wanted), local.server)


def _answered(lane: Lane) -> str:
    """Ask the provider for its models; say what the learner should know of its answer. Raises CourseError."""
    listed = reach.models(lane.environ["OPENAI_BASE_URL"], lane.environ["OPENAI_API_KEY"], _where)
    if listed is None:
        return " · it lists no models, so the first request shows whether the key is right"
    have = {name for one in listed for name in (one, one.removesuffix(":latest"), one.rpartition("/")[2])}
    names = _tables()["cloud"]
    lacking = [role for role, name in names.items() if name not in have]
    if not lacking or _host(lane.environ["OPENAI_BASE_URL"]).endswith(
        ".azure.com"
    ):  # there names are your own
        return " · GET /models, which is free, was answered"
    missing = " and ".join(dict.fromkeys(names[role] for role in lacking))
    near = difflib.get_close_matches(names[lacking[0]], listed, n=3, cutoff=0.3)
    offers = f", for example {' or '.join(near)}," if near else ""
    return visible(
        f" · it does not list {missing}: name another{offers} in helpers/models.toml, "
        f"{_lines_of('cloud', lacking)}"
    )


def _lines_of(lane: str, roles: list[str]) -> str:
    """`line 42 (chat) and line 44 (calling)`: where models.toml names the models of these roles."""
    table, found = "", []
    for number, line in enumerate(MODELS.read_text("utf-8").splitlines(), 1):
        if header := re.match(r"\s*\[(\w+)\]", line):
            table = header[1]
        elif table == lane and (role := line.partition("=")[0].strip()) in roles:
            found.append(f"line {number} ({role})")
    return " and ".join(found)


# What Ollama says


class _Greeting(NamedTuple):
    practice: bool
    version: str


def _greeting(url: str) -> _Greeting | None:
    """Who answers at OLLAMA_HOST; None if nobody does, or something else."""
    try:
        with _client(url) as client:
            reply = client.get(f"{url}/api/version")
        version = reply.json()["version"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None
    return _Greeting("x-practice" in reply.headers, str(version)[:40])


def _installed(url: str, names: dict[str, str]) -> Models:
    """The model for each role: the one that models.toml names, else the smallest that can do the same."""
    try:
        with _client(url) as client:
            found = client.get(f"{url}/api/tags").raise_for_status().json()["models"]
            found.sort(key=lambda model: (model["size"], model["name"]))
            have = {model["name"].lower() for model in found}
            models, wanted = {}, {}
            for role, name in names.items():
                able = CAPABILITIES.get(role, "completion")
                if {name.lower(), f"{name.lower()}:latest"} & have:
                    models[role] = name
                elif others := [one for one in found if _can(client, url, one, able)]:
                    thinks = (
                        able != "thinking"
                    )  # then a model that does not think comes first: it answers sooner
                    others.sort(key=lambda one: thinks and "thinking" in one["able"])
                    models[role] = others[0]["name"]
                else:
                    wanted[role] = name
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        raise CourseError(
            f"The Ollama at {reach.spoken(url)} did not list its models. "
            "Restart it and run the first cell again."
        ) from None
    return Models(models, wanted)


def _can(client: httpx.Client, url: str, model: dict[str, Any], capability: str) -> bool:
    if model["name"].startswith("course-"):  # a lesson made it, and a lesson removes it
        return False
    if model.get("remote_host") or model["name"].endswith("cloud"):  # not on this machine
        return False
    if "able" not in model:  # /api/tags says it too, but calls some embedding models chat models
        shown = client.post(f"{url}/api/show", json={"model": model["name"]}).json()
        model["able"] = [] if "error" in shown else shown.get("capabilities", ["completion"])
    return capability in model["able"]


def _client(url: str) -> httpx.Client:
    if not is_loopback(_host(url)) and (unusable := proxies.unusable(os.environ)):
        raise CourseError(f"{proxies.why(unusable)}. Then start Jupyter again.")
    return httpx.Client(timeout=PATIENCE, trust_env=not is_loopback(_host(url)))


# Settings


_chosen: Lane | None = None
_laid: dict[str, str] = {}  # what the last lesson() put into the environment
_held: dict[str, str | None] = {}  # what those variables held before
_written: set[str] = set()  # every variable that stood in .env


def _outside() -> dict[str, str]:
    """The environment without what lesson() put there; what the learner changed since then stays."""
    outside = dict(os.environ)
    for name, value in _held.items():
        if name in _written or outside.get(name) == _laid.get(name):
            outside.pop(name, None)
            outside |= {} if value is None else {name: value}
    return outside


def _lay(environ: dict[str, str]) -> None:
    """Put a lane's variables into the environment, and those of the lane before it back to what they were."""
    global _laid, _held
    outside = _outside()
    _held = {name: outside.get(name) for name in [*_laid, *environ]}
    for name, before in _held.items():
        value = environ.get(name, before)
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _laid = dict(environ)


def _dotenv(outside: Mapping[str, str]) -> dict[str, str]:
    if _is_off(outside):
        return {}
    try:
        found = dotenv_values(DOTENV, encoding="utf-8-sig")
    except ValueError:
        raise CourseError(".env is not UTF-8 text. Save it as UTF-8 in your editor.") from None
    except OSError as error:
        raise CourseError(
            f".env cannot be read ({error.strerror}). Give yourself the right to read it."
        ) from None
    written = {name: value for name, value in found.items() if value is not None}
    if broken := [name for name, value in written.items() if "\0" in value]:
        raise CourseError(
            f".env has a character in {broken[0]} that no setting can hold. Type that line again."
        )
    _written.update(written)
    return written


def _is_off(settings: Mapping[str, str]) -> bool:
    return settings.get(DOTENV_OFF, "").casefold() in ("1", "true", "t", "yes", "y")


def _where(name: str) -> str:
    """Where a setting comes from, in words; empty if nobody set it."""
    outside = _outside()
    if name in _dotenv(outside):
        return ".env"
    if name not in outside:
        return ""
    off = f" ({DOTENV_OFF} is set, so .env is not read)" if _is_off(outside) else " (not .env)"
    return f"the environment you started Jupyter in{off}"


def _stays_here(environ: Mapping[str, str]) -> bool:
    return all(is_loopback(_host(environ[name])) for name in ("OPENAI_BASE_URL", "OLLAMA_HOST"))


def _tables() -> dict[str, dict[str, str]]:
    try:
        tables = toml.read(MODELS)
    except (OSError, ValueError) as error:
        raise CourseError(f"helpers/models.toml cannot be read: {error}. Correct that line.") from None
    for lane in LANES:
        table = tables.get(lane)
        for role in ["chat"] if lane == "cloud" else CAPABILITIES:
            name = table.get(role) if isinstance(table, dict) else None
            if not isinstance(name, str) or not name.strip():
                raise CourseError(
                    f"helpers/models.toml names no model for {role} under [{lane}]. "
                    f'Add a line there, for example {role} = "llama3.2".'
                )
    return tables


# Words


def _host(url: str) -> str:
    """The host of an http or https URL; empty if it is none."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "" if parts.scheme in ("http", "https") and parts.port != 0 else ""
    except ValueError:
        return ""


def _nearest(word: object, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(names) or 'none'}."


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.partition("%")[0]).version == 6
    except ValueError:
        return False
