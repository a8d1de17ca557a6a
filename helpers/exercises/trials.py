"""Checks of a function that the learner writes: it is called, and what it returns is compared."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from helpers.exercises.grading import Point, short


class Trial(NamedTuple):
    """One call: its arguments, what is to come back, and why, in a sentence."""

    given: tuple[Any, ...]
    wanted: Any
    why: str


def tried(function: Any, *trials: Trial) -> Iterator[Point]:
    """Call what was handed in with each trial's arguments, up to the first that goes wrong."""
    yield Point(
        callable(function), "it is a function", "Hand in the function itself, by its name, without ()."
    )
    if not callable(function):
        return
    for given, wanted, why in trials:
        arguments = ", ".join(map(short, given))
        called = f"With ({arguments}) it" if len(arguments) <= 60 else "It"
        try:
            got = function(*deepcopy(given))
        except Exception as error:  # whatever a learner's code can raise is a sentence, not a traceback
            yield Point(False, "", f"{why} {called} raised {type(error).__name__}: {error}.")
            return
        right = got == wanted and isinstance(got, bool) == isinstance(wanted, bool)
        yield Point(right, why, f"{why} {called} returned {short(got)}, not {short(wanted)}.")
        if not right:
            return
