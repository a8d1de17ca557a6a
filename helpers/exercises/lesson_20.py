"""Lesson 20: the playground. What is handed in are payloads, replies, or the runs that a playground kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import seen
from helpers.exercises.grading import Point, exercise, short
from helpers.widgets.payload import parse
from helpers.widgets.runs import Run

PATH = "/chat/completions"
LIMITS = ("max_completion_tokens", "max_tokens")


def _two(value: Any) -> tuple[seen.Request, seen.Request]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise CourseError("The check wants two requests in a list: [first, second].")
    first, second = (seen.request(one.exchange if isinstance(one, Run) else one, PATH) for one in value)
    return first, second


def _changed(first: seen.Request, second: seen.Request) -> list[str]:
    """The names of the fields in which two payloads differ."""
    names = [*first.fields, *(name for name in second.fields if name not in first.fields)]
    missing = object()
    return [name for name in names if first.fields.get(name, missing) != second.fields.get(name, missing)]


@exercise(
    "One field apart",
    task="""
        An experiment changes one thing. Make `second` a copy of `first` that differs in its temperature and
        in nothing else. (Two runs of a playground can be handed in as well: `play.kept[-2:]`.)
    """,
    start="""
        first = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Name a colour"}],
            "temperature": 1,
        }
        second = first | {"top_p": 0.5}    # ← change this
        here.check("apart", [first, second])
    """,
    hints=(
        "`first | {…}` is a copy of `first` in which the fields on the right are other ones.",
        "`temperature` goes from 0 to 2.",
    ),
    solution="""
        first = {
            "model": here.models["sampling"],
            "messages": [{"role": "user", "content": "Name a colour"}],
            "temperature": 1,
        }
        second = first | {"temperature": 0}
        here.check("apart", [first, second])
    """,
)
def apart(value: Any) -> Iterator[Point]:
    first, second = _two(value)
    changed = _changed(first, second)
    others = [f"`{name}`" for name in changed if name != "temperature"]
    yield Point(
        "temperature" in changed,
        "the temperatures differ",
        f"Both have the temperature {short(first.fields.get('temperature'))}.",
    )
    yield Point(not others, "nothing else does", f"They also differ in {', '.join(others)}.")
    if "temperature" in changed and not others:
        yield seen.accepted(first)
        yield seen.accepted(second)


@exercise(
    "The same again",
    task="""
        `first` is a kept run. Send its very request again: the payload and the path are in the run.
    """,
    start="""
        from helpers import send
        from helpers.widgets import runs
        question = [{"role": "user", "content": "Tell me a fun fact"}]
        first = runs.keep(send({"model": here.models["chat"], "messages": question, "stream": True}))
        again = send({"model": here.models["chat"], "messages": question})    # ← change this
        here.check("again", [first, again])
    """,
    hints=(
        "A run's `exchange` has the `request`, and that has the `payload`.",
        "`send(payload, path)` takes the path as its second argument.",
    ),
    solution="""
        from helpers import send
        from helpers.widgets import runs
        question = [{"role": "user", "content": "Tell me a fun fact"}]
        first = runs.keep(send({"model": here.models["chat"], "messages": question, "stream": True}))
        again = send(first.exchange.request.payload, first.path)
        here.check("again", [first, again])
    """,
)
def again(value: Any) -> Iterator[Point]:
    first, second = _two(value)
    twice = value[0] is not value[1]
    yield Point(twice, "it was sent a second time", "That is one and the same reply twice. Send the request.")
    changed = [f"`{name}`" for name in _changed(first, second)]
    yield Point(not changed, "with the same payload", f"The payloads differ in {', '.join(changed)}.")
    yield Point(
        first.path == second.path,
        "to the same path",
        f"The path was {first.path}, and the second time {second.path}.",
    )
    if twice and not changed and first.path == second.path:
        yield seen.accepted(second)


@exercise(
    "Three places to mend",
    task="""
        Put this text into the playground and see what it marks. Mend it: a comma too many, a value of the
        wrong kind, and (with a reasoning model) a field that has another name now. The limit of 500 tokens
        stays, and the reply is to come as a stream.
    """,
    start='''
        text = """{
          "model": "MODEL",
          "messages": [{"role": "user", "content": "Tell me a fun fact"}],
          "max_tokens": 500,
          "stream": "yes",
        }""".replace("MODEL", here.models["chat"])    # ← change the text
        here.check("mend", text)
    ''',
    hints=(
        "`play.text = text` puts it into a playground; `play.diagnostics` says what is wrong, and where.",
        "JSON writes `true` without quotes. What limits a reasoning model is `max_completion_tokens`.",
    ),
    solution='''
        text = """{
          "model": "MODEL",
          "messages": [{"role": "user", "content": "Tell me a fun fact"}],
          "max_completion_tokens": 500,
          "stream": true
        }""".replace("MODEL", here.models["chat"])
        here.check("mend", text)
    ''',
)
def mend(value: Any) -> Iterator[Point]:
    if not isinstance(value, str):
        raise CourseError(f"The check wants the text of a payload, not {short(value)}.")
    parsed = parse(value)
    told = parsed.errors[0]["message"] if parsed.errors else ""
    yield Point(parsed.payload is not None, "it is JSON", f"It is not JSON yet. {told}")
    if parsed.payload is None:
        return
    payload = parsed.payload
    flag = payload.get("stream")
    streams = f"`stream` is {short(flag)}; it is to be true." if flag is not None else "`stream` is gone."
    yield Point(flag is True, "the reply comes as a stream", streams)
    limits = [payload[name] for name in LIMITS if name in payload]
    missing = (
        f"The limit is {short(limits[0])}, not 500." if limits else "Nothing limits the reply to 500 tokens."
    )
    yield Point(limits == [500], "at most 500 tokens", missing)
    if flag is True and limits == [500]:
        yield seen.accepted(seen.request(payload, PATH))
