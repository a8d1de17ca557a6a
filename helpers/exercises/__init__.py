"""Exercises that grade the request that was sent, never a model's words: here.check("name", value).

grading.py     an exercise, a point, what a check found
seen.py        what a check may look at: a request, a command line, a model
progress.py    the learner's own record, a file on this machine
lesson_NN.py   the exercises of lesson NN: texts, solution, and the check as a function
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import progress
from helpers.exercises.grading import Exercise, Graded, Told
from helpers.show import Drawing


@cache
def of_lesson(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson by name, in the lesson's order; none if it has none."""
    module = f"{__name__}.lesson_{lesson[:2]}"
    if find_spec(module) is None:
        return {}
    found = vars(import_module(module)).values()
    return {one.name: one for one in found if isinstance(one, Exercise)}


def check(lesson: str, name: str, value: Any) -> Graded:
    """Grade what the learner did and count the try. Raises CourseError if there is no such exercise."""
    exercise = _find(lesson, name)
    graded = exercise.grade(value)
    progress.tried(lesson, name, graded.passed)
    return graded


def hint(lesson: str, name: str) -> Told:
    """The hints seen so far and the next one. Raises CourseError if there is no such exercise."""
    exercise = _find(lesson, name)
    seen = min(progress.record(lesson, name).get("hints", 0) + 1, len(exercise.hints))
    progress.note(lesson, name, hints=seen)
    lines = [f"{number}. {text}" for number, text in enumerate(exercise.hints[:seen], 1)]
    more = f'here.hint("{name}") again for the next.' if seen < len(exercise.hints) else ""
    return Told("\n".join(lines), more or f'That is all; here.solution("{name}") shows one way.')


def solution(lesson: str, name: str) -> Told:
    """One way to solve an exercise, as a whole cell. Raises CourseError if there is no such exercise."""
    exercise = _find(lesson, name)
    progress.note(lesson, name, solution=True)
    return Told(exercise.solution, "")


def report(lessons: list[str]) -> Drawing:
    """How far each of these lessons is, as a table; nothing in it but names and numbers."""
    return progress.report({lesson: list(of_lesson(lesson)) for lesson in lessons if of_lesson(lesson)})


def _find(lesson: str, name: str) -> Exercise:
    exercises = of_lesson(lesson)
    if name in exercises:
        return exercises[name]
    near = difflib.get_close_matches(str(name), exercises, n=1, cutoff=0.5)
    there = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(exercises) or 'none'}."
    raise CourseError(f"Lesson {lesson} has no exercise {name!r}. {there}")
