"""Whether a provider takes the key and has the models: asked by GET /models, which costs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from helpers import proxies
from helpers.errors import CourseError
from helpers.show import cut
from helpers.wire import is_loopback

PATIENCE = 10.0  # seconds for a provider to say which models it has

# An exception, words of its text, and what the learner is told; the first line that fits counts.
CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (
        httpx.TimeoutException,
        "",
        "{host} did not answer in {patience:g} s. Check your network, then {base}.",
    ),
    (httpx.ConnectError, "certificate", "The certificate of {host} is not trusted here. Check {base}."),
    (httpx.ConnectError, "ssl", "{host} does not speak TLS. Write http:// for https:// in {base}."),
    (
        httpx.ConnectError,
        "name|getaddrinfo|no address",
        "No machine called {host} was found. Check your network, then {base}.",
    ),
    (httpx.ConnectError, "", "Nothing answers at {host}. Check your network, then {base}."),
    (Exception, "", "{host} hung up, or does not speak HTTP. Check {base}."),
)
BACK = "run this cell again; without COURSE_LANE=cloud the lesson goes on without a provider"


def models(base: str, key: str, where: Callable[[str], str]) -> list[str] | None:
    """The names of the provider's models; None if it does not list them to this key.

    Args:
        base: OPENAI_BASE_URL, without a slash at its end.
        where: says where a variable comes from, for example ".env"; empty if nobody set it.

    Raises:
        CourseError: the provider cannot be reached, does not take the key, or is no such server.
    """
    host = spoken(base)
    source = where("OPENAI_BASE_URL")
    address = (
        f"OPENAI_BASE_URL, which comes from {source}" if source else "whether a firewall stands before it"
    )
    if found := re.search(r"/(chat|(chat/)?completions|models|responses)$", urlsplit(base).path):
        raise CourseError(f"{address}, ends with {found[0]}. Take that off and {BACK}.")
    reply = _ask(base, key, address)
    names = _listed(reply)
    if names is not None:
        return names
    if "/v1" not in urlsplit(base).path:
        longer = _ask(f"{base}/v1", key, address)
        if _listed(longer) is not None or longer.status_code == 401:
            raise CourseError(f"{host} wants /v1 at the end of {address}. Add it and {BACK}.")
    if reply.status_code == 407:
        raise CourseError(f"The proxy before {host} wants a password. Write it into the proxy's variable.")
    if reply.status_code in (401, 403) and "scope" not in reply.text:  # a key may chat without listing models
        said = "does not take the key" if reply.status_code == 401 else "refuses the key, or your country,"
        raise CourseError(
            f"{host} {said} in OPENAI_API_KEY ({reply.status_code}), which comes from "
            f"{where('OPENAI_API_KEY')}. Put a key of this very provider into .env and {BACK}."
        )
    if reply.is_redirect or "html" in reply.headers.get("content-type", ""):
        raise CourseError(
            f"At {host} a web page answers, not an API. In a guest network, sign in first; "
            f"else check {address}."
        )
    return None


def spoken(url: str) -> str:
    """Host and port of a URL, without a user name or password; the port only where it is written."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _ask(base: str, key: str, address: str) -> httpx.Response:
    direct = is_loopback(urlsplit(base).hostname or "")
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=not direct) as client:
            return client.get(f"{base}/models", headers={"authorization": f"Bearer {key}"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        variable, proxy = ("", "") if direct else proxies.on_the_way_to(base)
        if variable:
            raise CourseError(
                f"{spoken(base)} cannot be reached through the proxy {proxy}. Correct {variable}, or "
                "unset it where you start Jupyter and start that again."
            ) from None
        words = str(error).lower()
        sentence = next(s for kind, part, s in CAUSES if isinstance(error, kind) and re.search(part, words))
        raise CourseError(sentence.format(host=spoken(base), base=address, patience=PATIENCE)) from None


def _listed(reply: httpx.Response) -> list[str] | None:
    if reply.status_code != 200:
        return None
    try:
        data: Any = reply.json()
        return [cut(str(one["id"]), 100, 1) for one in data["data"]]
    except (ValueError, LookupError, TypeError):
        return None
