"""The models of the server at OLLAMA_HOST: what is there, what is in memory, and what to do with them."""

from __future__ import annotations

import asyncio
import html
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import ipywidgets as widgets

from helpers import reach
from helpers.clean import OURS
from helpers.errors import CourseError
from helpers.practice.cli_format import human_bytes, table, timestamp
from helpers.practice.clock import FROZEN, SECOND
from helpers.show import cut, visible
from helpers.wire import is_loopback

from .parts import button, safe, with_twin

PATIENCE = httpx.Timeout(30.0, read=600.0)  # seconds; a large model takes its time to load
EVERY = 0.2  # seconds between two drawings of a pull
ASK_AGAIN = 10  # seconds between two looks at what is in memory while a time is counting down
FOREVER = 10 * 365 * 86_400  # seconds from which on a time is called forever
LONGEST = 20_000  # letters of a license that are shown
PARTS = ("parameters", "template", "system", "license")  # what /api/show says, as text
LABELS = {"description_width": "initial"}
WRAP = {"flex_flow": "row wrap", "align_items": "center"}
STYLE = """<style>
.model-manager table { border-collapse: collapse; color: var(--jp-ui-font-color1) }
.model-manager th, .model-manager td { text-align: left; padding: 2px 14px 2px 0; line-height: 1.5;
  border-bottom: 1px solid var(--jp-border-color2) }
.model-manager h4 { margin: 8px 0 2px; color: var(--jp-ui-font-color1) }
.model-manager pre, .model-manager summary { color: var(--jp-ui-font-color1); unicode-bidi: plaintext }
.model-manager pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24em; overflow: auto;
  background: var(--jp-layout-color2); padding: 6px; line-height: 1.4 }
.model-manager .bar { width: 16em; max-width: 40vw; height: 10px; border: 1px solid var(--jp-border-color1) }
.model-manager .bar div { height: 100%; background: var(--jp-brand-color1) }
</style>"""


class ModelManager(widgets.VBox):
    """Models in tables, and buttons to load, copy, delete and pull them.

    Every method that speaks to the server is a coroutine, returns the manager itself and raises CourseError;
    the buttons do the same and show the sentence. `installed` and `loaded` are what /api/tags and /api/ps
    said last, `shown` what /api/show did, `layers` how far each file of a pull is: {name: (bytes, of bytes)}.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.installed: list[dict[str, Any]] = []
        self.loaded: list[dict[str, Any]] = []
        self.shown: dict[str, Any] = {}
        self.layers: dict[str, tuple[int, int]] = {}
        self._asked = False
        self._seen = False  # whether a front end was given this widget to show
        self._ends: dict[str, float] = {}  # by name, when time.monotonic() will say that it leaves memory
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulling: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._sure: list[str] = []  # questions still to be asked before a model is deleted

        self._status = widgets.HTML()
        self._installed, self._loaded, self._shown = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._progress, self._question = widgets.HTML(), widgets.HTML()
        self._model = widgets.Dropdown(description="Model", style=LABELS, layout={"width": "22em"})
        self._copy_name = widgets.Text(
            description="Name of the copy", placeholder=f"{OURS}…", style=LABELS, layout={"width": "22em"}
        )
        self._pull_name = widgets.Text(
            description="Model to pull", placeholder="gemma3:1b", style=LABELS, layout={"width": "22em"}
        )
        self._yes = button("Yes, delete", self._confirm)
        self._no = button("No, keep it", self._keep)
        self._cancel = button("Cancel the pull", self.cancel)
        self._cancel.disabled = True
        self._confirming = widgets.HBox(
            [self._question, self._yes, self._no], layout={**WRAP, "display": "none"}
        )
        chosen = {
            "Show": self.show,
            "Load": self.load,
            "Unload": self.unload,
            "Copy": lambda name: self.copy(name, self._copy_name.value),
        }
        acts = [button(name, partial(self._act, act)) for name, act in chosen.items()]
        super().__init__(
            [
                widgets.HTML(STYLE),
                self._status,
                self._installed,
                self._loaded,
                button("Look again", lambda: self._start(self.refresh())),
                widgets.HBox([self._model, *acts[:3], button("Delete", self._ask_first)], layout=WRAP),
                self._confirming,
                widgets.HBox([self._copy_name, acts[3]], layout=WRAP),
                widgets.HBox(
                    [self._pull_name, button("Pull", self._begin_pull), self._cancel],
                    layout=WRAP,
                ),
                self._progress,
                self._shown,
            ],
            **kwargs,
        )
        self.add_class("model-manager")
        self._draw()

    # --- what the server does

    async def refresh(self) -> ModelManager:
        """Ask what is installed and what is in memory."""
        self.installed = (await _ask("GET", "/api/tags")).get("models") or []
        await self._ask_loaded()
        self._draw()
        return self

    async def show(self, name: str) -> ModelManager:
        """Ask for a model's parameters, template and license."""
        self.shown = {"name": name, **await _ask("POST", "/api/show", {"model": name})}
        self._draw()
        return self

    async def load(self, name: str) -> ModelManager:
        """Bring a model into memory without asking it anything."""
        able = next((one.get("capabilities") for one in self.installed if name in _names(one)), None)
        if able == ["embedding"]:
            await _ask("POST", "/api/embed", {"model": name, "input": []})
        else:
            await _ask("POST", "/api/generate", {"model": name})
        return await self._done(f"{name} is in memory.")

    async def unload(self, name: str) -> ModelManager:
        """Take a model out of memory: an empty request with keep_alive 0."""
        await _ask("POST", "/api/generate", {"model": name, "keep_alive": 0})
        return await self._done(f"{name} is out of memory.")

    async def copy(self, name: str, copy: str) -> ModelManager:
        """Give a model a second name; it takes no more room on the disk."""
        if not copy.strip():
            raise CourseError(f"The copy needs a name, for example {OURS}copy.")
        await _ask("POST", "/api/copy", {"source": name, "destination": copy.strip()})
        return await self._done(f"{name} is also called {copy.strip()} now.")

    async def delete(self, name: str, own: bool = False) -> ModelManager:
        """Delete a model that a lesson made; with `own=True` also one that is the learner's own."""
        if not (own or name.startswith(OURS)):
            raise CourseError(
                f"{name} is your own model: no lesson made it. To delete it all the same, give own=True."
            )
        await _ask("DELETE", "/api/delete", {"model": name})
        return await self._done(f"{name} is deleted.")

    async def pull(self, name: str) -> ModelManager:
        """Fetch a model, or the rest of one whose pull was cancelled."""
        self.layers = {}
        drawn = 0.0
        try:
            async for line in _lines("/api/pull", {"model": name}):
                digest = str(line.get("digest", ""))
                if digest:
                    total = int(line.get("total") or 0)
                    self.layers[digest.removeprefix("sha256:")[:12]] = (
                        int(line.get("completed") or 0),
                        total,
                    )
                if time.monotonic() - drawn >= EVERY:
                    drawn = time.monotonic()
                    self._draw_progress(name, str(line.get("status", "")))
        except asyncio.CancelledError:
            self._draw_progress(name, "cancelled; pull it again to go on from here")
            raise
        self._draw_progress(name, "success")
        return await self._done(f"{name} is there.")

    def cancel(self) -> None:
        """End the pull that the button began; what came of it stays, and another pull goes on from there."""
        if self._pulling:
            self._pulling.cancel()

    async def _done(self, sentence: str) -> ModelManager:
        await self.refresh()
        self._say(sentence)
        return self

    async def _ask_loaded(self) -> None:
        async with _client() as client:
            reply = await _replied(client.request("GET", "/api/ps"))
        now = _now(reply.headers)
        self.loaded = _object(reply).get("models") or []
        self._ends = {}
        for model in self.loaded:
            expires = now
            with suppress(ValueError):  # a time that is none counts as over
                expires = timestamp(str(model.get("expires_at", ""))) or now
            self._ends[str(model["name"])] = time.monotonic() + expires - now
        self._asked = True
        self._tick()

    # --- what the buttons do

    def _start(self, work: Awaitable[object]) -> asyncio.Task[None]:
        """Run in the kernel's loop, and show in a sentence what goes wrong."""

        async def run() -> None:
            try:
                await work
            except CourseError as error:
                self._say(str(error))

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _act(self, act: Callable[[str], Awaitable[ModelManager]]) -> None:
        if self._model.value:
            self._say("")
            self._start(act(self._model.value))
        else:
            self._say("Choose a model first, or pull one.")

    def _begin_pull(self) -> None:
        name = self._pull_name.value.strip()
        if not name:
            self._say("Write the name of the model to pull.")
        elif self._pulling is None:
            self._say("")
            self._cancel.disabled = False
            self._pulling = self._start(self.pull(name))
            self._pulling.add_done_callback(self._pull_ended)

    def _pull_ended(self, _: object) -> None:
        self._pulling, self._cancel.disabled = None, True

    def _ask_first(self) -> None:
        """Ask once before a model of a lesson's is deleted, twice before one of the learner's own is."""
        name = self._model.value
        if not name:
            self._say("Choose a model first.")
            return
        once = f"Delete {name}?"
        own = f"{name} is your own model: no lesson made it, and what you did not pull cannot be had back."
        self._sure = [once] if name.startswith(OURS) else [f"{own} Really delete it?", once]
        self._model.disabled = True
        self._put_question()

    def _put_question(self) -> None:
        self._question.value = f'<div role="alert">{safe(self._sure[-1])}</div>' if self._sure else ""
        self._confirming.layout.display = "flex" if self._sure else "none"

    def _confirm(self) -> None:
        if not self._sure:
            return
        self._sure.pop()
        if self._sure:
            self._put_question()
            return
        name = self._model.value
        self._keep()
        self._start(self.delete(name, own=True))

    def _keep(self) -> None:
        self._sure = []
        self._model.disabled = False
        self._put_question()

    # --- what is seen

    def _say(self, sentence: str) -> None:
        color = "color: var(--jp-ui-font-color1)"
        self._status.value = f'<div role="status" style="{color}">{safe(sentence)}</div>'

    def _draw(self) -> None:
        self._installed.value = _table("Installed", *self._installed_rows())
        self._draw_loaded()
        names = tuple(str(model["name"]) for model in self.installed)
        if self._model.options != names and not self._sure:
            chosen = self._model.value
            self._model.options = names
            if chosen in names:
                self._model.value = chosen
        self._shown.value = _shown(self.shown) if self.shown else ""

    def _draw_loaded(self) -> None:
        header, rows = self._loaded_rows()
        ends = [_left(self._ends.get(str(model["name"]), 0.0) - time.monotonic()) for model in self.loaded]
        rows = [[*row, end] for row, end in zip(rows, ends, strict=True)]
        self._loaded.value = _table("In memory", [*header, "leaves in"], rows)

    def _draw_progress(self, name: str, status: str) -> None:
        rows = [_bar(layer, there, total) for layer, (there, total) in self.layers.items()]
        shown = f"<h4>Pulling {safe(name)}: {safe(status)}</h4>"
        self._progress.value = f"{shown}<table>{''.join(rows)}</table>"

    def _installed_rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["name", "size", "quantization", "can"]
        return header, [
            [
                str(model["name"]),
                "-" if model.get("remote_model") else human_bytes(model.get("size", 0)),
                str((model.get("details") or {}).get("quantization_level", "")),
                ", ".join(model.get("capabilities") or []),
            ]
            for model in self.installed
        ]

    def _loaded_rows(self) -> tuple[list[str], list[list[str]]]:
        return ["name", "size", "context"], [
            [str(model["name"]), human_bytes(model.get("size", 0)), str(model.get("context_length", ""))]
            for model in self.loaded
        ]

    def _tick(self) -> None:
        """Count down while something that is seen will leave memory; without such a thing nothing runs."""
        if self._seen and self._ticking is None and self._counting():
            self._ticking = self._start(self._count_down())
            self._ticking.add_done_callback(self._stopped)

    def _stopped(self, _: object) -> None:
        self._ticking = None

    def _counting(self) -> bool:
        now = time.monotonic()
        return self.comm is not None and any(0 < end - now < FOREVER for end in self._ends.values())

    async def _count_down(self) -> None:
        seconds = 0
        while self._counting():
            self._draw_loaded()
            await asyncio.sleep(1)
            seconds += 1
            if seconds % ASK_AGAIN == 0 or any(end <= time.monotonic() for end in self._ends.values()):
                await self._ask_loaded()
        self._draw_loaded()

    # --- without a browser

    def __repr__(self) -> str:
        if not self._asked:
            return "No server has been asked yet: await manager.refresh()"
        text = ""
        for title, (header, rows) in (("", self._installed_rows()), ("in memory", self._loaded_rows())):
            text += f"\n{title}\n" if title else ""
            text += table(rows, [name.upper() for name in header]) if rows else "nothing\n"
        return "\n".join(visible(line.rstrip()) for line in text.rstrip().splitlines())

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._seen = True
        if not self._asked:
            self._start(self.refresh())
        self._tick()
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))


def _names(model: Mapping[str, Any]) -> set[str]:
    name = str(model["name"])
    return {name, name.removesuffix(":latest")}


def _table(title: str, header: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return f"<h4>{title}</h4><div>nothing</div>"
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<h4>{title}</h4><table aria-label="{title}"><tr>{head}</tr>{body}</table>'


def _bar(layer: str, there: int, total: int) -> str:
    part = int(100 * there / total) if total else 0
    told = f"{part} % · {human_bytes(there)} of {human_bytes(total)}"
    return (
        f'<tr><td><code>{safe(layer)}</code></td><td><div class="bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{part}" aria-label="{safe(layer)}: {told}">'
        f'<div style="width: {part}%"></div></div></td><td>{told}</td></tr>'
    )


def _shown(model: Mapping[str, Any]) -> str:
    parts = [f"<h4>{safe(str(model['name']))}</h4>"]
    for part in PARTS:
        text = str(model.get(part) or "")
        if text:
            opened = " open" if part == "parameters" else ""
            parts.append(
                f"<details{opened}><summary>{part}</summary>"
                f'<pre dir="auto" tabindex="0">{html.escape(cut(text, LONGEST, 500))}</pre></details>'
            )
    return "".join(parts)


def _left(seconds: float) -> str:
    if seconds >= FOREVER:
        return "never"
    if seconds <= 0:
        return "stopping"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes}:{rest:02} min"


# The server


def _client() -> httpx.AsyncClient:
    url = os.environ.get("OLLAMA_HOST", "")
    if not url:
        raise CourseError("OLLAMA_HOST is not set. Run the lesson's first cell, which sets it.")
    try:
        here = is_loopback(urlsplit(url).hostname or "")
        return httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=not here)
    except (ValueError, httpx.InvalidURL):
        raise CourseError("OLLAMA_HOST is not a valid address. Correct it.") from None


async def _ask(method: str, path: str, payload: Any = None) -> dict[str, Any]:
    """The reply's object. Raises CourseError, with the server's own words where it refuses."""
    async with _client() as client:
        return _object(await _replied(client.request(method, path, json=payload)))


async def _lines(path: str, payload: Any) -> AsyncIterator[dict[str, Any]]:
    """The objects of a stream as they come; one that is an error raises CourseError."""
    async with _client() as client:
        request = client.build_request("POST", path, json=payload)
        reply = await _replied(client.send(request, stream=True))
        with _explained():
            async for line in reply.aiter_lines():
                said = _parsed(line)
                if "error" in said:
                    raise CourseError(_told(said["error"]))
                yield said


async def _replied(request: Awaitable[httpx.Response]) -> httpx.Response:
    with _explained():
        reply = await request
        if reply.status_code >= 400:
            await reply.aread()
            error = _parsed(reply.text).get("error") or reply.text or f"status {reply.status_code}"
            raise CourseError(_told(error))
    return reply


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException:
        raise CourseError(f"{_where()} did not answer in time. Try again.") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError):
        raise CourseError(
            f"Nothing answers at {_where()}. Run the lesson's first cell again: it finds or starts a server."
        ) from None


def _where() -> str:
    return reach.spoken(os.environ.get("OLLAMA_HOST", ""))


def _object(reply: httpx.Response) -> dict[str, Any]:
    return _parsed(reply.text)


def _parsed(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _told(error: object) -> str:
    said = error.get("message", error) if isinstance(error, dict) else error
    return f"The server says: {cut(str(said).strip(), 300, 3)}"


def _now(headers: Mapping[str, str]) -> float:
    """Seconds since 1970 by the server's clock, which may be another than this machine's."""
    if os.environ.get("COURSE_FROZEN"):
        return FROZEN / SECOND
    here = time.time()
    try:
        there = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return here
    return there if abs(there - here) > 2 else here  # that header knows whole seconds only
