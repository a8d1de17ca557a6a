"""The one kind of error a learner meets: a sentence that says what to do next, without a traceback."""

from __future__ import annotations


class CourseError(Exception):
    """Something the learner can put right; the text says what happened and what to do."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
