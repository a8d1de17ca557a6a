"""Every request that was sent and its reply, kept in a file of the course's own folder: `runs.jsonl`.

A line is a run, its head before the recorded exchange so that a list reads heads only; or a change to a run
above it: `{"id": …, "note": …}`, `{"id": …, "pinned": …}`. Lines are only added at the end, and count when
their end is written; a file that is made anew takes the old one's place in one step. So, whatever is
interrupted, all earlier runs stay readable. Secrets were hidden before anything comes here.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from helpers import redact
from helpers.errors import CourseError
from helpers.practice.process import course_home
from helpers.recorded import from_record, to_record
from helpers.show import visible
from helpers.twins import SENT_BY_ITSELF
from helpers.wire import Exchange

if TYPE_CHECKING:
    from .sending import Sending

MOST_RUNS, MOST_BYTES = 1000, 100_000_000  # of runs that are not pinned; beyond that the oldest go …
LEFT = 0.8  # … until this part of either is left
MOST_IN_MEMORY = 50  # runs that could not be written
TIDY_EVERY = 25  # runs kept by this process between two looks at the whole file
PATIENCE = 5.0  # seconds to wait for another notebook that is writing
FIRST_WORDS = 100  # characters of a reply that its list shows
LONGEST_NOTE = 1000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

EXCHANGE = b',"exchange":'  # the end of a head; inside a JSON text the quotes would be escaped
COUNTS = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
    ("prompt_eval_count", "eval_count"),
)
NOT_IN_FIXTURE = {"connection", "content-encoding", "content-length", "date", "transfer-encoding"}


@dataclass
class Run:
    """One kept exchange: what a list says of it, and `exchange`, read from the file when it is asked for.

    `when` is UTC, `2026-11-25T09:30:00Z`; `tokens` are those of prompt and reply, None where they were not
    counted; `words` are the first of the reply, or of the error; `trouble` says why a run is not in the file.
    """

    id: str
    when: str
    path: str
    model: str
    status: int
    tokens: list[int | None]
    words: str
    note: str = ""
    pinned: bool = False
    trouble: str = field(default="", repr=False)

    @cached_property
    def exchange(self) -> Exchange:
        """Request and reply. Raises CourseError if the run is no longer in the file, or damaged there."""
        try:
            return from_record(_record(self.id))
        except (KeyError, TypeError, ValueError):
            raise CourseError(f"The run {self.id!r} is damaged in the file. Delete it.") from None


_in_memory: list[Run] = []  # runs that could not be written, oldest first
_on_their_way: set[Sending] = set()
_kept = 0


def file() -> Path:
    return course_home() / "runs.jsonl"


def keep(exchange: Exchange) -> Run:
    """Keep an exchange; where the file cannot be written, in memory, and the run's `trouble` says so."""
    global _kept
    run = Run(
        id=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}",
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        path=exchange.request.path,
        model=_model(exchange),
        status=exchange.reply.status,
        tokens=_tokens(exchange.usage or {}),
        words=_words(exchange),
    )
    try:
        head = json.dumps(_head(run), separators=(",", ":")).encode()
        record = json.dumps(to_record(exchange), separators=(",", ":")).encode()
        with _writing() as path:
            _add(path, head[:-1] + EXCHANGE + record + b"}")
            if _kept % TIDY_EVERY == 0 or path.stat().st_size > MOST_BYTES:
                with suppress(OSError):  # the run itself is safe
                    _tidy(path)
            _kept += 1
    except (OSError, ValueError, RecursionError) as error:
        run.trouble = f"This run is kept only until the kernel ends: {_why(error)}"
        run.exchange = exchange
        _in_memory.append(run)
        del _in_memory[:-MOST_IN_MEMORY]
    return run


async def arrived(sending: Sending) -> Run | None:
    """Wait for a reply's end and keep it; None if none began. A kernel that ends first keeps what came."""
    _on_their_way.add(sending)
    try:
        await sending
    finally:
        _on_their_way.discard(sending)
        run = keep(sending.exchange) if sending.exchange else None
    return run


@atexit.register
def _keep_the_rest() -> None:
    for sending in _on_their_way:
        if sending.exchange:
            keep(sending.exchange)


def every() -> list[Run]:
    """All runs, the newest first; no exchange is read. Raises CourseError if the file cannot be read."""
    return [*reversed(_in_memory), *reversed(_on_disk().values())]


def find(id: str) -> Run:
    """The run of this id. Raises CourseError if there is none (any more)."""
    for run in _in_memory:
        if run.id == id:
            return run
    try:
        return _on_disk()[id]
    except KeyError:
        raise CourseError(f"There is no run {id!r} any more. Look at the list again.") from None


def note(run: Run, text: str) -> None:
    """Write a note beside a run. Raises CourseError if it cannot be written."""
    _change(run, "note", text[:LONGEST_NOTE])


def pin(run: Run, pinned: bool = True) -> None:
    """Let a run stay whatever else goes, or no longer. Raises CourseError if that cannot be written."""
    _change(run, "pinned", pinned)


def remove(run: Run) -> None:
    """Take a run out of the file. Raises CourseError if the file cannot be written."""
    if run in _in_memory:
        _in_memory.remove(run)
        return
    try:
        with _writing() as path:
            _rewrite(path, without={run.id})
    except OSError as error:
        raise CourseError(f"The run stays: {_why(error)}") from None


def as_cell(run: Run) -> str:
    """A notebook cell of plain httpx that sends the request again."""
    return run.exchange.python()


def as_fixture(run: Run) -> dict[str, Any]:
    """Request and reply for a test: `httpx.Response(**fixture["reply"])` is the reply again."""
    request, reply = run.exchange.request, run.exchange.reply
    headers = [[name, value] for name, value in reply.headers.multi_items() if name not in NOT_IN_FIXTURE]
    return {
        "request": {"method": request.method, "path": request.path, "payload": request.payload},
        "reply": {
            "status_code": reply.status,
            "headers": headers,
            "text": reply.body.decode(errors="replace"),
        },
    }


def replay(run: Run, **options: Any) -> Sending:
    """Send the request again, to the servers of now and with the key of now. Options are those of begin().

    Headers whose value was hidden cannot be sent again and are left out.
    """
    from .sending import begin

    request = run.exchange.request
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in SENT_BY_ITSELF and redact.HIDDEN not in value and redact.KEY_MARK not in value
    }
    return begin(request.payload, request.path, headers=headers, **options)


# What a list says of a run


def _model(exchange: Exchange) -> str:
    payload = exchange.request.payload
    asked = payload.get("model") if isinstance(payload, dict) else None
    return visible(str(exchange.model or asked or ""))[:FIRST_WORDS]


def _tokens(usage: dict[str, Any]) -> list[int | None]:
    for names in COUNTS:
        counts = [usage.get(name) for name in names]
        if any(isinstance(count, int) for count in counts):
            return [count if isinstance(count, int) else None for count in counts]
    return [None, None]


def _words(exchange: Exchange) -> str:
    error = exchange.error
    message = error.get("message") if isinstance(error, dict) else error
    calls = exchange.tool_calls
    said = exchange.text or exchange.refusal or message or (json.dumps(calls) if calls else exchange.thinking)
    return visible(" ".join(str(said or "")[: 4 * FIRST_WORDS].split()))[:FIRST_WORDS]


# The file


def _head(run: Run) -> dict[str, Any]:
    return {one.name: getattr(run, one.name) for one in fields(run) if one.name != "trouble"}


def _on_disk() -> dict[str, Run]:
    """The runs of the file by their id, oldest first. Raises CourseError if it cannot be read."""
    with _reading() as path:
        return _runs(path)


def _runs(path: Path) -> dict[str, Run]:
    """The same, while the file is held."""
    runs: dict[str, Run] = {}
    for line in _lines(path):
        head = _head_of(line)
        run = runs.get(head.get("id", ""))
        if EXCHANGE in line:
            with suppress(KeyError, TypeError):  # a head that is not ours
                runs[head["id"]] = Run(**head)
        elif run is not None:
            run.note, run.pinned = head.get("note", run.note), head.get("pinned", run.pinned)
    return runs


def _lines(path: Path) -> Iterator[bytes]:
    """The file's lines, without what an interrupted write left at its end."""
    if path.exists():
        with open(path, "rb") as stream:
            yield from (line for line in stream if line.endswith(b"\n") or _whole(line))


def _head_of(line: bytes) -> dict[str, Any]:
    head, found, _ = line.partition(EXCHANGE)
    try:
        data = json.loads(head + b"}" if found else head)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) and isinstance(data.get("id"), str) else {}


def _whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _record(id: str) -> dict[str, Any]:
    with _reading() as path:
        for line in _lines(path):
            if EXCHANGE in line and _head_of(line).get("id") == id:
                return json.loads(line)["exchange"]
    raise CourseError(f"There is no run {id!r} any more. Look at the list again.")


def _change(run: Run, name: str, value: str | bool) -> None:
    if run not in _in_memory:
        try:
            with _writing() as path:
                _add(path, json.dumps({"id": run.id, name: value}).encode())
        except OSError as error:
            raise CourseError(f"The change is not kept: {_why(error)}") from None
    setattr(run, name, value)


def _add(path: Path, line: bytes) -> None:
    """Add a line at the end, all of it or nothing."""
    with open(path, "ab", buffering=0, opener=_private) as stream:
        _mend(path)
        before = path.stat().st_size
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError:
            os.truncate(path, before)
            raise


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _mend(path: Path) -> None:
    """End the last line, or take away what an interrupted write left of it."""
    with open(path, "rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = _start_of_last_line(stream, size)
        stream.seek(start)
        rest = stream.read()
        if not rest:
            return
        if _whole(rest):
            stream.write(b"\n")
        else:
            stream.truncate(start)


def _start_of_last_line(stream: IO[bytes], end: int) -> int:
    """Where the bytes after the file's last line end begin."""
    while end > 0:
        begin = max(0, end - 65_536)
        stream.seek(begin)
        found = stream.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _tidy(path: Path) -> None:
    """Drop the oldest runs that are not pinned, if there is too much of them."""
    sizes = {_head_of(line).get("id"): len(line) for line in _lines(path) if EXCHANGE in line}
    loose = [(run.id, sizes[run.id]) for run in _runs(path).values() if not run.pinned]
    total = sum(size for _, size in loose)
    if len(loose) <= MOST_RUNS and total <= MOST_BYTES:
        return
    count, without = len(loose), set()
    for id, size in loose[:-1]:  # the run just kept stays, whatever its size
        if count <= LEFT * MOST_RUNS and total <= LEFT * MOST_BYTES:
            break
        without.add(id)
        count, total = count - 1, total - size
    _rewrite(path, without)


def _rewrite(path: Path, without: set[str]) -> None:
    """Put a file in the old one's place that lacks some runs, and every line that says nothing."""
    part = path.with_suffix(".part")  # one a crash has left is written over
    with open(part, "wb", opener=_private) as stream:
        for line in _lines(path):
            if _head_of(line).get("id", "") not in {*without, ""}:
                stream.write(line if line.endswith(b"\n") else line + b"\n")
    os.replace(part, path)


@contextmanager
def _writing() -> Iterator[Path]:
    """The file, while no other notebook touches it. Raises OSError."""
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=PATIENCE):
        yield path


@contextmanager
def _reading() -> Iterator[Path]:
    """The file, while no other notebook writes it; where no lock can be had, as it is. Raises CourseError."""
    path = file()
    lock = FileLock(f"{path}.lock", timeout=PATIENCE)
    if path.exists():
        with suppress(OSError):
            lock.acquire()
    try:
        yield path
    except (OSError, ValueError, RecursionError) as error:
        raise CourseError(f"The kept runs cannot be read: {_why(error)}") from None
    finally:
        lock.release()


def _why(error: Exception) -> str:
    """What is in the way, and what to do."""
    if isinstance(error, Timeout):
        return "another notebook has not finished writing. Try again."
    if not isinstance(error, OSError):
        return "it holds what JSON cannot say."
    if error.errno in FULL:
        return "the disk is full. Free some space, or delete runs."
    return f"{file()} ({error.strerror or error}). Set COURSE_HOME to a folder you can write."
