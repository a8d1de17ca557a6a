"""Takes keys, cookies and passwords out of what is recorded, wherever they stand in request or reply."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import httpx

HIDDEN = "[hidden]"
KEY_MARK = "[OPENAI_API_KEY]"  # stands where the value of that variable was
SECRET_NAME = re.compile(
    r"authorization|cookie|secret|passw|credential|signature|^sig$|api-?key|(^|[-_])(key|token)$",
    re.IGNORECASE,
)
NOT_SECRET = {"ollama", "sk-practice"}  # the course's own keys; any text may hold them as words
SHORTEST = 8  # letters of a secret that is looked for in texts; a shorter one is hidden in its header only

Scrub = Callable[[bytes], bytes]


def scrubber(request: httpx.Request) -> Scrub:
    """Return what takes the request's secrets, and the key in the environment, out of any bytes."""
    marks = {os.environ.get("OPENAI_API_KEY", ""): KEY_MARK}
    named = [*request.headers.items(), *request.url.params.multi_items(), ("password", request.url.password)]
    for name, value in named:
        if SECRET_NAME.search(name):
            marks.setdefault(value.removeprefix("Bearer "), HIDDEN)
    longest_first = sorted(marks.items(), key=lambda item: -len(item[0]))
    table = [
        (secret.encode(), mark.encode())
        for secret, mark in longest_first
        if len(secret) >= SHORTEST and secret not in NOT_SECRET
    ]

    def scrub(data: bytes) -> bytes:
        for secret, mark in table:
            data = data.replace(secret, mark)
        return data

    return scrub


def headers(sent: httpx.Headers, scrub: Scrub) -> httpx.Headers:
    """Return the headers with the values of secret ones replaced, a `Bearer` before them kept."""
    key = os.environ.get("OPENAI_API_KEY") or None
    shown = []
    for name, value in sent.multi_items():
        if SECRET_NAME.search(name):
            scheme = "Bearer " if value.startswith("Bearer ") else ""
            value = scheme + (KEY_MARK if value == f"{scheme}{key}" else HIDDEN)
        shown.append((name, scrub(value.encode()).decode()))
    return httpx.Headers(shown)


def url(whole: str, scrub: Scrub) -> str:
    """Return a URL or path without user name and password, and with secret values in its query replaced."""

    def hide(found: re.Match[str]) -> str:
        return f"{found[1]}={HIDDEN}" if SECRET_NAME.search(found[1][1:]) else found[0]

    without_user = re.sub(r"://[^/?#]*@", "://", whole)
    return scrub(re.sub(r"([?&][^=&#]*)=([^&#]*)", hide, without_user).encode()).decode()
