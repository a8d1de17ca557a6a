"""Runs are kept: through crashes, beside other notebooks, within bounds, and without a secret."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers import CourseError, send, stream
from helpers.widgets import runs
from helpers.widgets.runs_view import RunsView

CANARY = "sk-practice-canary-7f3a9b2c5d"
KEEP_FOREVER = """
from helpers import send
from helpers.widgets import runs
exchange = send({"model": "gpt-5-nano", "messages": [{"role": "user", "content": "x" * 200_000}]})
while True:
    print(runs.keep(exchange).id, flush=True)
"""
KEEP_ONE_TOO_LARGE = """
import resource
from helpers import send
from helpers.widgets import runs
exchange = send({"model": "gpt-5-nano", "messages": [{"role": "user", "content": "x" * 50_000}]})
size = runs.file().stat().st_size + 5000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
print(runs.keep(exchange).trouble)
"""
KEEP_TEN = KEEP_FOREVER.replace("200_000", "2000").replace("while True:", "for _ in range(10):")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice")
    monkeypatch.setenv("OLLAMA_HOST", url)
    yield tmp_path / "home"
    runs._in_memory.clear()


def asked(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5-nano", "messages": [{"role": "user", "content": text}], **fields}


def file() -> Path:
    return Path(os.environ["COURSE_HOME"]) / "runs.jsonl"


def test_a_run_comes_back_as_it_was() -> None:
    sent = asyncio.run(_read(stream(asked(stream=True))))
    run = runs.keep(sent)
    assert not run.trouble
    (listed,) = runs.every()
    assert (listed.id, listed.path, listed.status) == (run.id, "/chat/completions", 200)
    assert listed.model == sent.model and sent.text.startswith(listed.words[:20]) and listed.words
    again = runs.find(run.id).exchange
    assert (again.text, again.request.payload, again.reply.body) == (
        sent.text,
        sent.request.payload,
        sent.reply.body,
    )
    assert again.frames == sent.frames and again.timings == sent.timings and repr(again) == repr(sent)


async def _read(opened: Any) -> Any:
    return await (await opened).read()


def test_newest_first_with_note_and_pin_and_without_what_was_removed() -> None:
    first, second, third = (runs.keep(send(asked(text))) for text in ("one", "two", "three"))
    runs.note(first, 'says ,"exchange":{ in its note')
    runs.pin(first)
    runs.pin(third)
    runs.pin(third, False)
    runs.remove(second)
    assert [(run.id, run.note, run.pinned) for run in runs.every()] == [
        (third.id, "", False),
        (first.id, 'says ,"exchange":{ in its note', True),
    ]
    assert second.id not in file().read_text()
    with pytest.raises(CourseError, match="no run"):
        runs.find(second.id)
    with pytest.raises(CourseError, match="no run"):
        _ = runs.Run(second.id, "", "", "", 0, [None, None], "").exchange


def test_tokens_of_every_wire_format_and_words_of_an_error() -> None:
    ollama = runs.keep(send({**asked(), "model": "llama3.2", "stream": False}, "/api/chat"))
    failed = runs.keep(send({**asked(), "model": "no-such-model"}))
    assert all(isinstance(count, int) and count > 0 for count in ollama.tokens)
    assert failed.status == 404 and failed.tokens == [None, None] and "no-such-model" in failed.words


@pytest.mark.parametrize("torn", [b'{"id":"x","when', b'{"id":"x","exchange":{"a":{}}', b"\0" * 3000])
def test_a_torn_last_line_is_passed_over_and_mended(torn: bytes) -> None:
    first = runs.keep(send(asked()))
    with open(file(), "ab") as stream:
        stream.write(torn)
    assert [run.id for run in runs.every()] == [first.id]
    second = runs.keep(send(asked()))
    assert [run.id for run in runs.every()] == [second.id, first.id]
    assert torn not in file().read_bytes()
    assert all(json.loads(line) for line in file().read_text().splitlines())


def test_a_last_line_without_its_end_but_whole_is_kept() -> None:
    first = runs.keep(send(asked()))
    file().write_bytes(file().read_bytes().rstrip())
    second = runs.keep(send(asked()))
    assert [run.id for run in runs.every()] == [second.id, first.id]


def test_killed_in_the_middle_of_a_write() -> None:
    """Every run whose keep() returned is there, whatever the last write had come to."""
    seen = []
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", KEEP_FOREVER], stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        seen += [writer.stdout.readline().strip() for _ in range(3)]
        writer.kill()
        seen += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        kept = [run.id for run in runs.every()]
        assert set(seen) <= set(kept)
    assert runs.find(seen[-1]).exchange.request.payload["model"] == "gpt-5-nano"
    assert runs.keep(send(asked())).id == runs.every()[0].id


def test_several_notebooks_at_once() -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", KEEP_TEN], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    written = {line for writer in writers for line in writer.communicate(timeout=60)[0].split()}
    assert len(written) == 30 and {run.id for run in runs.every()} == written


def test_the_oldest_go_and_pinned_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNS", 10)
    monkeypatch.setattr(runs, "TIDY_EVERY", 1)
    exchange = send(asked())
    pinned = runs.keep(exchange)
    runs.pin(pinned)
    kept = [runs.keep(exchange) for _ in range(11)]
    assert [run.id for run in runs.every()] == [*(run.id for run in reversed(kept[3:])), pinned.id]
    assert runs.find(pinned.id).pinned


def test_size_is_bounded_but_the_newest_run_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_BYTES", 50_000)
    small, large = send(asked()), send(asked("x" * 60_000))
    for _ in range(30):
        runs.keep(small)
    assert file().stat().st_size < 60_000
    last = runs.keep(large)
    assert [run.id for run in runs.every()] == [last.id]


def test_a_thousand_runs_are_listed_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of them with 50,000 frames, which nobody reads for a list."""
    runs.keep(send(asked()))
    line = file().read_text()
    head, _, rest = line.partition(',"exchange":')
    frames = json.dumps(
        [[n / 100, '{"choices":[{"delta":{"content":"word "}}]}', "message"] for n in range(50_000)]
    )
    with open(file(), "w") as stream:
        for number in range(1000):
            extra = f'"frames_":{frames},' if number % 100 == 0 else ""
            stream.write(
                f'{head.replace(json.loads(line)["id"], f"id-{number}")},"exchange":{{{extra}{rest[1:]}'
            )
    began = time.perf_counter()
    listed = runs.every()
    assert len(listed) == 1000 and time.perf_counter() - began < 1.5  # 0.05 s on a laptop


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "no-folder"))
    (tmp_path / "no-folder").write_text("a file is in the way")
    run = runs.keep(send(asked("remember me")))
    assert "COURSE_HOME" in run.trouble and run.trouble.count("\n") == 0
    assert runs.every() == [run] and runs.find(run.id).exchange.request.payload == asked("remember me")
    runs.note(run, "in memory")
    runs.pin(run)
    assert (run.note, run.pinned) == ("in memory", True) and "remember me" in runs.as_cell(run)
    runs.remove(run)
    assert runs.every() == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot limit the size of a file")
def test_a_write_that_fails_half_way_leaves_nothing() -> None:
    first = runs.keep(send(asked()))
    before = file().read_bytes()
    limited = subprocess.run([sys.executable, "-c", KEEP_ONE_TOO_LARGE], capture_output=True, text=True)
    assert "the disk is full" in limited.stdout, limited.stderr
    assert file().read_bytes() == before and [run.id for run in runs.every()] == [first.id]


def test_no_secret_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key in a header, in the address, and in what the reply says of the payload."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", os.environ["OPENAI_BASE_URL"].replace("://", "://me:pass-word-1@"))
    run = runs.keep(
        send(
            asked(f"Repeat: {CANARY}", x_unknown=CANARY),
            f"/chat/completions?api-key={CANARY}",
            headers={"x-api-key": CANARY},
        )
    )
    runs.keep(send(asked(f"Repeat: {CANARY}"), headers={"x-api-key": CANARY}))
    stored = file().read_text() + runs.as_cell(run) + json.dumps(runs.as_fixture(run)) + repr(runs.every())
    assert CANARY not in stored and "canary" not in stored and "pass-word-1" not in stored


def test_the_file_is_the_learners_own() -> None:
    runs.keep(send(asked()))
    assert os.name == "nt" or file().stat().st_mode & 0o077 == 0


def test_as_a_cell_that_sends_the_same_again(url: str) -> None:
    run = runs.keep(send(asked("The same again?", seed=5)))
    client_sees: dict[str, Any] = {}
    exec(runs.as_cell(run), client_sees)
    assert client_sees["reply"].json()["choices"][0]["message"]["content"] == run.exchange.text


def test_as_a_fixture_for_a_test() -> None:
    run = runs.keep(asyncio.run(_read(stream(asked(stream=True)))))
    fixture = json.loads(json.dumps(runs.as_fixture(run)))
    reply = httpx.Response(**fixture["reply"])
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.startswith("data: {") and reply.text.encode() == run.exchange.reply.body
    assert fixture["request"]["payload"] == asked(stream=True)


def test_replay_sends_what_can_be_sent_again(client: httpx.Client) -> None:
    headers = {"x-mine": "yes", "x-api-key": "a-secret-of-mine"}
    run = runs.keep(send(asked("Once more"), headers=headers))

    async def again() -> Any:
        return await runs.replay(runs.find(run.id))

    sending = asyncio.run(again())
    assert sending.done and not sending.trouble
    request = sending.exchange.request
    assert request.payload == asked("Once more") and request.path == "/chat/completions"
    assert request.headers["x-mine"] == "yes" and "x-api-key" not in request.headers
    assert sending.exchange.text == run.exchange.text


def test_the_view_as_text_is_a_table_without_times() -> None:
    send_both = [send(asked("one", seed=1)), send(asked("two", seed=2))]
    first, second = map(runs.keep, send_both)
    runs.note(first, "mine")
    runs.pin(first)
    view = RunsView()
    head, newer, older = repr(view).splitlines()
    assert head.split() == ["pin", "status", "path", "model", "tokens", "first", "words", "note"]
    assert newer.split()[:2] == ["200", "/chat/completions"] and older.split()[0] == "★"
    assert older.endswith("mine") and first.when[:4] not in repr(view)
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == repr(view) and bundle["text/html"].startswith("<pre>pin")


def test_the_view_is_filtered_and_turned_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = send(asked())
    for number in range(23):
        runs.note(runs.keep(exchange), f"Note number {number}")
    view = RunsView()
    assert "1–10 of 23" in view._count.value and "… 13 more" in repr(view)
    view._older.click()
    view._older.click()
    assert "21–23 of 23" in view._count.value and view._older.disabled
    view._filter.value = "NOTE 17"
    assert "1–1 of 1" in view._count.value and "Note number 17" in repr(view)
    view._filter.value = "nothing says this"
    assert repr(view) == "no runs"


def test_the_view_tells_what_cannot_be_done(tmp_path: Path) -> None:
    run = runs.keep(send(asked("<b>bold</b>")))
    (tmp_path / "taken").write_text("no folder")
    view = RunsView(tmp_path / "taken")
    view._chosen = [run.id]
    view._draw()
    view._fixture.click()
    assert "taken" in view._said.value
    view.refresh()
    file().unlink()
    for button in (view._replay, view._cell, view._fixture):
        view._say("")
        button.click()
        assert "no run" in view._said.value
    view._note.value = "<i>lost</i>"
    view.refresh()
    assert repr(view) == "no runs"


def test_a_note_of_one_run_is_not_written_to_the_next() -> None:
    first, second = runs.keep(send(asked("one"))), runs.keep(send(asked("two")))
    view = RunsView()
    for run, words in ((first, "about one"), (second, "about two")):
        view._chosen = [run.id]
        view._draw()
        view._note.value = words
    assert (runs.find(first.id).note, runs.find(second.id).note) == ("about one", "about two")


def test_what_a_crash_left_of_a_new_file_is_in_nobodys_way() -> None:
    first, second = runs.keep(send(asked())), runs.keep(send(asked()))
    file().with_suffix(".part").write_bytes(b"half a li")
    runs.remove(first)
    assert [run.id for run in runs.every()] == [second.id]
    assert sorted(path.name for path in file().parent.iterdir()) == ["runs.jsonl", "runs.jsonl.lock"]
