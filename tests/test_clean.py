"""`python -m helpers clean`: what lessons made goes, after a question; nothing else does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from helpers import CourseError, clean, lanes

OURS = ["course-one:latest", "course-two:small"]
THEIRS = ["my-course-model:latest", "llama3.2:latest"]


@pytest.fixture(autouse=True)
def course(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A practice server with models of the course and of the learner."""
    before = dict(os.environ)
    monkeypatch.setenv("OLLAMA_HOST", str(client.base_url))
    for name in (*OURS, THEIRS[0]):
        client.post("/api/copy", json={"source": "llama3.2", "destination": name}).raise_for_status()
    yield
    for name in (*OURS, THEIRS[0]):
        client.request("DELETE", "/api/delete", json={"model": name})
    os.environ.clear()
    os.environ.update(before)


def names(client: httpx.Client) -> set[str]:
    return {model["name"] for model in client.get("/api/tags").json()["models"]}


def answer(monkeypatch: pytest.MonkeyPatch, said: str | None) -> list[str]:
    """Answer the question so, None as someone who cannot be asked; return the questions."""
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        if said is None:
            raise EOFError
        return said

    monkeypatch.setattr("builtins.input", ask)
    return asked


def test_dry_run_lists_and_deletes_nothing(
    client: httpx.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clean.main(["--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == OURS
    assert {*OURS, *THEIRS} <= names(client)


@pytest.mark.parametrize("said", ["", "n", "what", None])
def test_without_a_yes_nothing_goes(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    assert answer(monkeypatch, said) == []
    assert clean.main([]) == 1
    assert {*OURS, *THEIRS} <= names(client)


@pytest.mark.parametrize("arguments", [["--yes"], []])
def test_the_course_s_models_go_and_no_other(
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    asked = answer(monkeypatch, "Y")
    client.post("/api/generate", json={"model": OURS[0]})
    assert clean.main(arguments) == 0
    assert asked == ([] if arguments else ["Delete these 2 models? [y/N] "])
    assert f"Deleted: {', '.join(OURS)}." in capsys.readouterr().out
    left = names(client)
    assert set(THEIRS) <= left and not [name for name in left if name.startswith("course-")]
    assert not [model for model in client.get("/api/ps").json()["models"] if model["name"] in OURS]
    assert clean.main(arguments) == 0
    assert "there is nothing to clean up" in capsys.readouterr().out


def test_a_model_of_another_name_is_never_deleted(client: httpx.Client) -> None:
    with pytest.raises(CourseError, match="not the course's"):
        clean.remove(["llama3.2:latest"])
    assert "llama3.2:latest" in names(client)


def test_a_wrong_option_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert clean.main(["--all"]) == 2
    assert capsys.readouterr().err == "clean does not know '--all'. It takes --yes or --dry-run.\n"


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    with pytest.raises(CourseError, match="No Ollama answers"):
        clean.made_here()


def test_the_lane_is_the_lessons_lane() -> None:
    assert lanes.choose().name == "practice"
