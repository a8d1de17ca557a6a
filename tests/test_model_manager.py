"""The model manager against a real practice server; its pulls take time, as they do when a file is large."""

from __future__ import annotations

import asyncio
import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import ipywidgets as widgets
import pytest

from helpers.errors import CourseError
from helpers.widgets.model_manager import ModelManager

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a clock that runs, where weights come at 400 MB a second."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "helpers", "practice", "--port", "0", "--home", str(home)]
    environ = {**os.environ, "COURSE_PULL_SPEED": "400"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def ollama(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OLLAMA_HOST", server)
    monkeypatch.delenv("COURSE_FROZEN", raising=False)
    return server


def run(work: Callable[[ModelManager], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        manager = ModelManager()
        await work(manager)
        manager.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def press(manager: ModelManager, name: str) -> None:
    next(one for one in every(manager) if isinstance(one, widgets.Button) and one.description == name).click()


def every(box: widgets.Box) -> Iterator[widgets.Widget]:
    for child in box.children:
        yield child
        if isinstance(child, widgets.Box):
            yield from every(child)


def seen(manager: ModelManager) -> str:
    """The words of all that is on the screen."""
    parts = [
        one.value for one in every(manager) if isinstance(one, widgets.HTML) and "<style>" not in one.value
    ]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", " ".join(parts))).split())


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_its_text_is_the_tables_of_ls_and_ps_without_ages(ollama: str) -> None:
    async def work(manager: ModelManager) -> None:
        assert "await manager.refresh()" in repr(manager)
        await manager.refresh()
        await manager.load("llama3.2")
        assert repr(manager).splitlines() == [
            "NAME                 SIZE      QUANTIZATION    CAN",
            "all-minilm:latest    45 MB     F16             embedding",
            "llama3.2:latest      2.0 GB    Q4_K_M          completion, tools",
            "",
            "in memory",
            "NAME               SIZE      CONTEXT",
            "llama3.2:latest    2.5 GB    4096",
        ]
        await manager.load("all-minilm")
        assert [model["name"] for model in manager.loaded] == ["all-minilm:latest", "llama3.2:latest"]
        await manager.unload("all-minilm")
        await manager.unload("llama3.2")
        assert manager.loaded == [] and repr(manager).endswith("in memory\nnothing")

    run(work)


def test_the_time_in_memory_counts_down_only_where_it_is_seen_and_ends_by_itself(ollama: str) -> None:
    async def work(manager: ModelManager) -> None:
        async with httpx.AsyncClient(base_url=ollama, trust_env=False) as client:
            await client.post("/api/generate", json={"model": "llama3.2", "keep_alive": "1.5s"})
            await manager.refresh()
            assert manager._ticking is None  # nobody looks
            manager._repr_mimebundle_()
            assert manager._ticking is not None
            await until(lambda: "nothing" in seen(manager))
            await until(lambda: manager._ticking is None)
            await client.post("/api/generate", json={"model": "llama3.2", "keep_alive": "5m"})
            await manager.refresh()
            assert re.search(r"4:5\d min|5:00 min", seen(manager)) and manager._ticking is not None
            manager.close()
            await until(lambda: manager._ticking is None)
            await client.post("/api/generate", json={"model": "llama3.2", "keep_alive": 0})

    run(work)


def test_a_pull_shows_each_layer_can_be_cancelled_and_goes_on_from_there(ollama: str) -> None:
    async def work(manager: ModelManager) -> None:
        name = next(one for one in every(manager) if getattr(one, "description", "") == "Model to pull")
        name.value = "gemma3:1b"
        press(manager, "Pull")
        await until(lambda: any(0 < there < total for there, total in manager.layers.values()))
        press(manager, "Cancel the pull")
        await until(lambda: manager._pulling is None)
        layer, (there, total) = next(iter(manager.layers.items()))
        assert 0 < there < total == 815319165 and "cancelled" in seen(manager) and layer in seen(manager)
        await manager.refresh()
        assert "gemma3:1b" not in repr(manager)

        press(manager, "Pull")
        await until(lambda: layer in manager.layers)
        assert manager.layers[layer][0] >= there
        await until(lambda: manager._pulling is None)
        assert "gemma3:1b is there." in seen(manager) and "100 % · 815 MB of 815 MB" in seen(manager)
        assert 'role="progressbar"' in manager._progress.value and "gemma3:1b" in repr(manager)

    run(work)


def test_a_copy_is_deleted_after_one_question_and_a_model_of_ones_own_after_two(ollama: str) -> None:
    async def work(manager: ModelManager) -> None:
        await manager.refresh()
        await manager.copy("llama3.2", "course-twin")
        await manager.copy("llama3.2", "mine")
        with pytest.raises(CourseError, match="your own model"):
            await manager.delete("mine:latest")
        for name, questions in (("course-twin:latest", 1), ("mine:latest", 2)):
            manager._model.value = name
            press(manager, "Delete")
            press(manager, "No, keep it")
            press(manager, "Yes, delete")  # nothing is asked, so nothing happens
            assert name in repr(manager)
            press(manager, "Delete")
            for _ in range(questions):
                assert (
                    manager._confirming.layout.display == "flex"
                    and f"Delete {name}?" in seen(manager)
                    or (f"{name} is your own model" in seen(manager))
                )
                press(manager, "Yes, delete")
            await until(lambda name=name: f"{name} is deleted." in seen(manager))
            assert name not in repr(manager)

    run(work)


def test_show_has_parameters_template_and_license_as_text(ollama: str) -> None:
    async def work(manager: ModelManager) -> None:
        await manager.refresh()
        assert manager._model.options == tuple(model["name"] for model in manager.installed)
        manager._model.value = "llama3.2:latest"
        press(manager, "Show")
        await until(lambda: "template" in seen(manager))
        assert '"<|eot_id|>"' in seen(manager) and "Practice stand-in" in seen(manager)
        manager.shown = {"name": HOSTILE, "license": HOSTILE}
        manager.installed = [{"name": HOSTILE, "capabilities": [HOSTILE]}]
        manager._say(HOSTILE)
        manager._draw()
        assert all("<img" not in one.value for one in every(manager) if isinstance(one, widgets.HTML))
        assert seen(manager).count(HOSTILE) == 5

    run(work)


def test_what_goes_wrong_is_a_sentence(ollama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(manager: ModelManager) -> None:
        manager._pull_name.value = "no-such-model"
        press(manager, "Pull")
        await until(lambda: "The server says: pull model manifest: file does not exist" in seen(manager))
        press(manager, "Load")
        assert "Choose a model first" in seen(manager)
        with pytest.raises(CourseError, match="absent:latest"):
            await manager.show("absent")
        with pytest.raises(CourseError, match="needs a name"):
            await manager.copy("llama3.2", " ")
        for address, said in (
            ("http://user:secret@127.0.0.1:9", r"Nothing answers at 127\.0\.0\.1:9\."),
            ("http://127.0.0.1:port", "not a valid address"),
            ("", "not set"),
        ):
            monkeypatch.setenv("OLLAMA_HOST", address)
            with pytest.raises(CourseError, match=said):
                await manager.refresh()

    run(work)
