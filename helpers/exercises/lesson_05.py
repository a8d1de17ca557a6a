"""Lesson 05: the models on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short

PARTS = ("license", "modelfile", "parameters", "system", "template")


@exercise(
    "A second name",
    task="""
        Give your model a second name, `course-second`. It must be the same model: the same ID in `ollama
        ls`.
    """,
    start="""
        answer = run("ollama ls course-")    # ← change this
        here.check("second_name", answer)
    """,
    hints=(
        "Nothing is downloaded or made anew: the command copies one name to another.",
        "`ollama cp`, then the name that is there, then the new one.",
    ),
    solution="""
        answer = run(f"ollama cp {name} course-second")
        here.check("second_name", answer)
    """,
)
def second_name(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield Point(
        line.command == "cp",
        "`ollama cp` copies a name",
        f"`ollama {line.command}` gives no model a second name.",
    )
    if line.command != "cp":
        return
    source, target = (seen.full(word) for word in [*line.words, "", ""][:2])
    wanted = seen.full("course-second")
    missing = f"The new name is {short(target)}; it is to be course-second."
    if source == wanted:
        missing = "The names are the wrong way round: first the one that is there, then the new one."
    yield Point(target == wanted, "the new name is course-second", missing)
    there = seen.models()
    copied = target == wanted and source in there
    if target == wanted:
        yield Point(copied, "it was copied", f"{short(source)} was not copied: {line.failed}")
    if copied:
        same = there[source]["digest"] == there.get(wanted, {}).get("digest")
        yield Point(same, "both names have one ID", "The two names have different IDs. Copy once more.")


@exercise(
    "Only the licence",
    task="""
        Before you use a model at work you want to read under which licence it is. Change the command so
        that it shows the whole licence and nothing else.
    """,
    start="""
        answer = run(f"ollama show {name}")    # ← change this
        here.check("only_licence", answer)
    """,
    hints=(
        "`ollama show --help` lists the parts that can be shown alone.",
        "The flag is spelt in American English: license.",
    ),
    solution="""
        answer = run(f"ollama show {name} --license")
        here.check("only_licence", answer)
    """,
)
def only_licence(value: Any) -> Iterator[Point]:
    line = seen.command(value)
    yield Point(
        line.command == "show",
        "it is `ollama show`",
        f"`ollama {line.command}` shows no licence; `show` does.",
    )
    asked = [part for part in PARTS if line.flags.get(part)]
    missing = "Without a flag the command shows a bit of everything, and of the licence two lines."
    if asked and "license" not in asked:
        missing = f"--{asked[0]} is another part of the model."
    yield Point("license" in asked, "the flag asks for the licence", missing)
    if asked:
        yield Point(len(asked) == 1, "and for nothing else", "Two parts at once are refused. Keep one flag.")


@exercise(
    "The heaviest",
    task="""
        Which model takes most space on this machine? Find its name in the reply of `/api/tags` by code,
        not by eye, and hand it in.
    """,
    start="""
        models = httpx.get(server + "/api/tags").json()["models"]
        heaviest = small    # ← change this
        here.check("heaviest", heaviest)
    """,
    hints=(
        "The list is in the order of the last change: its first is not the heaviest.",
        'Each model has a "size". `max(models, key=…)` finds the one with the largest.',
    ),
    solution="""
        models = httpx.get(server + "/api/tags").json()["models"]
        heaviest = max(models, key=lambda model: model["size"])["name"]
        here.check("heaviest", heaviest)
    """,
)
def heaviest(value: Any) -> Iterator[Point]:
    there = seen.models()
    if isinstance(value, dict):
        raise CourseError('Hand in the name alone, not the whole model: its field "name".')
    if isinstance(value, int):
        raise CourseError("That is a size. Hand in the name of the model that has it.")
    known = isinstance(value, str) and seen.full(value) in there
    yield Point(known, "it is one of your models", f"{short(value)} is no model in /api/tags.")
    if known:
        mine = there[seen.full(value)]["size"]
        most = max(model["size"] for model in there.values())
        yield Point(mine == most, "none is larger", f"There is a larger one than {short(value)}.")


@exercise(
    "Removed by HTTP",
    task="""
        The first line makes a copy that nobody needs. Change the second so that the request removes it:
        the twin of `ollama rm`.
    """,
    start="""
        httpx.post(server + "/api/copy", json={"source": name, "destination": "course-spare"})
        answer = httpx.get(server + "/api/delete?model=course-spare")    # ← change this
        here.check("removed", answer)
    """,
    hints=(
        "405: the path is right, the method is not. The reply's header `allow` says which are right.",
        'It is DELETE, and the model\'s name goes into a JSON body, {"model": …}.',
        '`httpx.delete` sends no body; `httpx.request("DELETE", url, json=…)` does.',
    ),
    solution="""
        httpx.post(server + "/api/copy", json={"source": name, "destination": "course-spare"})
        answer = httpx.request("DELETE", server + "/api/delete", json={"model": "course-spare"})
        here.check("removed", answer)
    """,
)
def removed(value: Any) -> Iterator[Point]:
    sent = seen.request(value, "/api/delete")
    path = sent.path.partition("?")[0]
    yield Point(
        path == "/api/delete", "the path is /api/delete", f"{short(path)} is not the path that removes."
    )
    yield Point(sent.method == "DELETE", "the method is DELETE", f"The method is {sent.method}.")
    body = sent.payload if isinstance(sent.payload, dict) else {}
    named = body.get("model") or body.get("name")
    missing = "The body names no model." if named is None else f"The body names {short(named)}."
    yield Point(named in ("course-spare", "course-spare:latest"), "the body names course-spare", missing)
    if path == "/api/delete" and sent.method == "DELETE" and named:
        yield Point(sent.status == 200, "the server removed it", f"The server refused: {sent.error}")
