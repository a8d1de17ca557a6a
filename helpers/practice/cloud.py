"""Cloud models, and the account they need. A page of this server stands in for ollama.com's.

A home is at first like a machine without a network: ollama.com is not to be reached. Asking for a cloud
model, `ollama signin`, or opening the sign-in page makes the home's key pair; from then on the account can be
signed in to (on the page) and out of. Its state is kept in the home.
Sources: server/cloud_proxy.go, server/routes.go, internal/cloud and auth/auth.go, v0.32.15.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from . import keys, library, names, process
from .errors import Refusal
from .gojson import Struct
from .replies import refused, reply, route
from .shapes import read
from .state import Practice, practice_of
from .store import Model, config_bytes, digest_of
from .toml import read as read_toml

ACCOUNT = "account.json"  # in the home: {"name": …} while somebody is signed in
COMMAND = "ollama"  # how the User-Agent of the ollama command begins

UNAVAILABLE = {
    "inference": "remote model is unavailable",
    "details": "remote model details are unavailable",
    "search": "web search is unavailable",
    "fetch": "web fetch is unavailable",
}
RECOMMENDED = [
    {
        "model": "kimi-k2.6:cloud",
        "description": "State-of-the-art coding, long-horizon execution, "
        "and multimodal agent swarm capability",
        "context_length": 262_144,
        "max_output_tokens": 262_144,
    },
    {
        "model": "glm-5.1:cloud",
        "description": "Reasoning and code generation",
        "context_length": 202_752,
        "max_output_tokens": 131_072,
    },
    {
        "model": "qwen3.5:cloud",
        "description": "Reasoning, coding, and agentic tool use with vision",
        "context_length": 262_144,
        "max_output_tokens": 32_768,
    },
    {
        "model": "minimax-m2.7:cloud",
        "description": "Fast, efficient coding and real-world productivity",
        "context_length": 204_800,
        "max_output_tokens": 128_000,
    },
    {
        "model": "gemma4",
        "description": "Reasoning and code generation locally",
        "vram_bytes": 12_000_000_000,
    },
    {
        "model": "qwen3.5",
        "description": "Reasoning, coding, and visual understanding locally",
        "vram_bytes": 14_000_000_000,
    },
]


def disabled() -> bool:
    """Whether OLLAMA_NO_CLOUD switches the cloud off: anything but an empty text or a false word does."""
    text = os.environ.get("OLLAMA_NO_CLOUD", "").strip().strip("\"'")
    return text not in ("", "0", "f", "F", "false", "False", "FALSE")


# --- the account ----------------------------------------------------------------------------------


def opened(home: Path) -> bool:
    """Whether anybody has wanted an account in this home yet."""
    return (home / keys.PUBLIC).exists()


def signed_in(home: Path) -> str:
    """The name of who is signed in; empty if nobody is."""
    try:
        name = json.loads((home / ACCOUNT).read_text("utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def sign_in_url(home: Path) -> str:
    """Where to sign in, with the machine's name and the home's public key, as the real address has them."""
    running = process.announced(home)
    here = running.url if running else "http://127.0.0.1:11434"
    return f"{here}/practice/signin?name={quote(socket.gethostname(), safe='')}&key={_encoded_key(home)}"


def _encoded_key(home: Path) -> str:
    return base64.urlsafe_b64encode(keys.public_key(home).encode()).decode().rstrip("=")


def unauthorized(home: Path) -> Refusal:
    refusal = Refusal("unauthorized")
    refusal.more = {"signin_url": sign_in_url(home)}
    return refusal


async def me(request: Request) -> Response:
    home = practice_of(request).home
    by_command = request.headers.get("user-agent", "").startswith(COMMAND)
    if not opened(home) and not by_command:
        return refused(Refusal("no account"))
    name = signed_in(home)
    if not name:
        return refused(unauthorized(home))
    own = uuid.uuid5(uuid.NAMESPACE_URL, keys.public_key(home))
    return reply({"id": str(own), "email": "", "name": name, "plan": "free"})


async def sign_out(request: Request) -> Response:
    home = practice_of(request).home
    if not opened(home):
        return refused(Refusal("no signout"))
    if not signed_in(home):
        return refused(Refusal("not signed in"))
    (home / ACCOUNT).unlink(missing_ok=True)
    return reply(None)


async def status(request: Request) -> Response:
    off = disabled()
    return reply({"cloud": {"disabled": off, "source": "env" if off else "none"}})


# --- models ---------------------------------------------------------------------------------------


def passed_on(practice: Practice, base: str, what: str = "inference") -> Model:
    """The cloud's own model of the name `base`, if the cloud answers. Raises Refusal."""
    admitted(practice, what)
    wanted = names.parse(base)
    for entry in read_toml(library.PATH)["model"]:
        remote = entry.get("remote")
        if remote and wanted and names.parse(remote["remote_model"]) == wanted:
            return _made(practice, names.parse(entry["name"]) or wanted, remote)
    raise Refusal("not found", model=base)


def admitted(practice: Practice, what: str = "inference") -> None:
    """Raises Refusal where the cloud is switched off, or wants an account that is not there."""
    if disabled():
        raise Refusal("no cloud", what=UNAVAILABLE[what])
    if what != "details" and not signed_in(practice.home):
        raise unauthorized(practice.home)


def stub(practice: Practice, model: Model) -> Model:
    """An installed model that runs elsewhere. Raises Refusal where it cannot be asked."""
    if disabled():
        raise Refusal("no cloud", what=UNAVAILABLE["inference"])
    host = model.config.get("remote_host", "").split("://")[-1].split("/")[0].rpartition(":")
    if "ollama.com" not in (host[0], host[2]):
        raise Refusal("remote model")
    admitted(practice)
    return model


def _made(practice: Practice, name: names.Name, config: dict[str, Any]) -> Model:
    data = config_bytes(config)
    manifest = {"config": {"digest": digest_of(data), "size": len(data)}, "layers": []}
    model = Model(practice.store, name, digest_of(data)[7:], manifest, practice.clock.now())
    model.__dict__["config"] = config  # it is nowhere on disk
    return model


# --- experimental ---------------------------------------------------------------------------------

SEARCH = Struct("api.WebSearchRequest", {"query": "string", "max_results": "int"}, root="WebSearchRequest")
FETCH = Struct("api.WebFetchRequest", {"url": "string"}, root="WebFetchRequest")


async def web_search(request: Request) -> Response:
    """A search that finds nothing: there is no web here, only the account's rules."""
    return await _web(request, SEARCH, "search", "query", {"results": []})


async def web_fetch(request: Request) -> Response:
    """A page that is never there."""
    return await _web(request, FETCH, "fetch", "url", {"title": "", "content": "", "links": []})


async def _web(request: Request, shape: Struct, what: str, needed: str, found: dict[str, Any]) -> Response:
    body = await request.body()
    try:
        if not body.strip():
            raise Refusal("no body")
        admitted(practice_of(request), what)
        if not read(body, shape).get(needed):
            raise Refusal("body", text=f"{needed} is required")
    except Refusal as refusal:
        return refused(refusal)
    return reply(found)


async def recommendations(request: Request) -> Response:
    return reply({"recommendations": RECOMMENDED})


# --- the page -------------------------------------------------------------------------------------

_SECRET = os.urandom(32)
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends the form with the origin "null"
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1.05rem/1.5 system-ui, sans-serif }}
body {{ max-width: 34rem; margin: 12vh auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .5rem .8rem; border: 1px solid GrayText; border-radius: .4rem }}
button {{ cursor: pointer; background: ButtonFace; color: ButtonText }}
:focus-visible {{ outline: 3px solid currentColor; outline-offset: 2px }}
label {{ display: block; margin-bottom: .3rem }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_FORM = """<p>This page of the practice server stands in for ollama.com. Nothing leaves this computer, and no
password is asked for.</p>
<p>The computer <strong>{machine}</strong> asks to be connected to an account.</p>
<form method="post" action="/practice/signin">
<input type="hidden" name="key" value="{key}">
<input type="hidden" name="token" value="{token}">
<p><label for="account">Name of the account</label>
<input id="account" name="account" value="learner" required maxlength="40" autocomplete="off" autofocus></p>
<p><button type="submit">Sign in</button></p>
</form>"""
_DONE = """<p role="status">You are signed in as <strong>{name}</strong>. Cloud models can be run now; you can
close this page.</p>
<form method="post" action="/practice/signout">
<input type="hidden" name="token" value="{token}">
<p><button type="submit">Sign out</button></p>
</form>"""


def _page(title: str, body: str, code: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), code, headers=_HEADERS)


def _token(home: Path) -> str:
    return hmac.new(_SECRET, keys.public_key(home).encode(), hashlib.sha256).hexdigest()


async def sign_in_page(request: Request) -> Response:
    home = practice_of(request).home
    key = request.query_params.get("key", "")
    if name := signed_in(home):
        return _page("Signed in", _DONE.format(name=html.escape(name), token=_token(home)))
    if key and not hmac.compare_digest(key.encode(), _encoded_key(home).encode()):
        return _page(
            "This link is for another server", "<p>Run <code>ollama signin</code> for a new one.</p>", 400
        )
    machine = html.escape(request.query_params.get("name") or socket.gethostname())
    return _page("Sign in", _FORM.format(machine=machine, key=_encoded_key(home), token=_token(home)))


async def sign_in(request: Request) -> Response:
    home = practice_of(request).home
    form = await _form(request)
    name = " ".join("".join(letter for letter in form.get("account", "") if letter.isprintable()).split())[
        :40
    ]
    if not _rightful(form, home) or not name:
        return _page("That did not work", "<p>Open the sign-in page again and send its form.</p>", 400)
    part = home / f"{ACCOUNT}.part"
    part.write_text(json.dumps({"name": name}), "utf-8")
    os.replace(part, home / ACCOUNT)
    return _page("Signed in", _DONE.format(name=html.escape(name), token=_token(home)))


async def page_sign_out(request: Request) -> Response:
    home = practice_of(request).home
    if not _rightful(await _form(request), home):
        return _page("That did not work", "<p>Open the sign-in page again and send its form.</p>", 400)
    (home / ACCOUNT).unlink(missing_ok=True)
    return _page("Signed out", "<p role='status'>Cloud models need an account again.</p>")


def _rightful(form: dict[str, str], home: Path) -> bool:
    """Whether the form is one that this server drew."""
    return opened(home) and hmac.compare_digest(form.get("token", "").encode(), _token(home).encode())


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 10_000:
            return {}
    return {key: values[-1] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}


routes = [
    route("/api/status", status, "GET"),
    route("/api/me", me, "POST"),
    route("/api/signout", sign_out, "POST"),
    route("/api/user/keys/{key}", sign_out, "DELETE"),
    route("/api/experimental/web_search", web_search, "POST"),
    route("/api/experimental/web_fetch", web_fetch, "POST"),
    route("/api/experimental/model-recommendations", recommendations, "GET"),
    route("/practice/signin", sign_in_page, "GET"),
    route("/practice/signin", sign_in, "POST"),
    route("/practice/signout", page_sign_out, "POST"),
]
