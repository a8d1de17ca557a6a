"""The proxies that the environment names: which one a request takes, which ones httpx cannot use."""

from __future__ import annotations

import importlib.util
import os
import re
import urllib.request
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

import httpx

DIRECT = ("127.0.0.1", "localhost", "::1")  # never through a proxy
NO_PROXY_NAMES = ("NO_PROXY",) if os.name == "nt" else ("NO_PROXY", "no_proxy")
SCHEMES = ("http", "https", "all")


def around_this_machine(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables with which requests to this machine go straight there."""
    hosts = [settings.get(name, "").split(",") for name in NO_PROXY_NAMES]
    direct = dict.fromkeys([*(host.strip() for part in hosts for host in part), *DIRECT])
    joined = ",".join(host for host in direct if host)
    return {name: joined for name in NO_PROXY_NAMES} | _system_proxies()


def unusable(settings: Mapping[str, str]) -> list[str]:
    """The names of the variables whose proxy keeps httpx from sending anything, even to this machine."""
    named = {name: value for name, value in settings.items() if name.lower() in _NAMES and value}
    return sorted(name for name, value in named.items() if not _usable(value))


def why(names: list[str]) -> str:
    """Say what is wrong with unusable proxies and how to mend it."""
    return (
        f"httpx cannot use the proxy in {' and '.join(names)}. Write it as http://host:port or unset it; "
        "a socks5:// proxy needs `python -m pip install socksio`"
    )


def on_the_way_to(url: str) -> tuple[str, str]:
    """The variable and the proxy, without its password, that a request to this URL takes; empty if none."""
    parts = urlsplit(url)
    found = urllib.request.getproxies()
    scheme = next((one for one in (parts.scheme, "all") if found.get(one)), "")
    if not scheme or urllib.request.proxy_bypass(parts.hostname or ""):
        return "", ""
    proxy = re.sub(r"^([a-z0-9+.-]+://)?[^/]*@", r"\1", found[scheme], flags=re.IGNORECASE)
    lower, upper = f"{scheme}_proxy", f"{scheme.upper()}_PROXY"
    return lower if os.name != "nt" and os.environ.get(lower) else upper, proxy


_NAMES = [f"{scheme}_proxy" for scheme in SCHEMES]


def _usable(proxy: str) -> bool:
    try:
        scheme = httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}").url.scheme
    except (ValueError, httpx.InvalidURL):
        return False
    return not scheme.startswith("socks") or importlib.util.find_spec("socksio") is not None


@cache
def _system_proxies() -> dict[str, str]:
    """The proxies from the settings of Windows or macOS, which Python stops reading once NO_PROXY is set."""
    if urllib.request.getproxies_environment():
        return {}
    found = urllib.request.getproxies()
    return {f"{scheme.upper()}_PROXY": found[scheme] for scheme in ("http", "https") if scheme in found}
