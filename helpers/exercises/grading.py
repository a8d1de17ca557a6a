"""An exercise, the points its check looks for, and what was found: as plain text and as escaped HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any, NamedTuple

import httpx

from helpers import redact
from helpers.errors import CourseError
from helpers.show import cut

LONGEST = 400  # letters of one sentence


class Point(NamedTuple):
    """One thing that a check looks for: what to say when it is there, and what when it is missing."""

    ok: bool
    right: str
    missing: str


Check = Callable[[Any], Iterator[Point]]


@dataclass(frozen=True, repr=False)
class Graded:
    """What a check found, in the order in which it looked; it may have stopped at the first thing missing."""

    name: str
    title: str
    points: tuple[Point, ...]
    hints: bool

    @property
    def passed(self) -> bool:
        return all(point.ok for point in self.points)

    def _lines(self) -> list[tuple[str, str]]:
        """A mark and a sentence for each line."""
        done = sum(point.ok for point in self.points)
        far = "solved" if self.passed else f"not yet: {done} right, {len(self.points) - done} to mend"
        lines = [("✓" if self.passed else "✗", f"{self.title} · {far}")]
        lines += [("  ✓", point.right) if point.ok else ("  ✗", point.missing) for point in self.points]
        if self.hints and not self.passed:
            lines.append(("  →", f'stuck? here.hint("{self.name}")'))
        return [(mark, _told(text)) for mark, text in lines]

    def __repr__(self) -> str:
        return "\n".join(f"{mark} {text}" for mark, text in self._lines())

    def _repr_html_(self) -> str:
        (mark, head), *rest = self._lines()
        colour = "var(--jp-success-color1, #2e7d32)" if self.passed else "var(--jp-error-color1, #b71c1c)"
        items = "".join(f"<div>{html.escape(f'{mark.strip()} {text}')}</div>" for mark, text in rest)
        return (
            f'<div role="status" style="border-left: 3px solid {colour}; padding-left: 8px">'
            f"<div><strong>{html.escape(f'{mark} {head}')}</strong></div>{items}</div>"
        )


@dataclass(frozen=True, repr=False)
class Told:
    """A hint or a solution."""

    text: str
    more: str

    def __repr__(self) -> str:
        return f"{self.text}\n{self.more}".rstrip()

    def _repr_html_(self) -> str:
        more = f"<div>{html.escape(self.more)}</div>" if self.more else ""
        return f'<pre style="white-space: pre-wrap">{html.escape(self.text)}</pre>{more}'


@dataclass(frozen=True)
class Exercise:
    """One exercise. `start` and `solution` are whole cells, whose last line hands the work to the check."""

    name: str
    title: str
    task: str
    start: str
    hints: tuple[str, ...]
    solution: str
    check: Check

    def grade(self, value: Any) -> Graded:
        """Run the check over what the learner hands in, whatever that is."""
        points: list[Point] = []
        try:
            points += self.check(value)
        except CourseError as error:  # what was handed in cannot be looked at, or its request cannot be sent
            points.append(Point(False, "", str(error)))
        return Graded(self.name, self.title, tuple(points), bool(self.hints))


def exercise(
    title: str, *, task: str, start: str, hints: tuple[str, ...], solution: str
) -> Callable[[Check], Exercise]:
    """Make the check that is decorated into an exercise of its name."""

    def made(check: Check) -> Exercise:
        name = check.__name__
        texts = [dedent(text).strip() for text in (task, start, solution)]
        return Exercise(name, title, texts[0], texts[1], hints, texts[2], check)

    return made


def short(value: Any) -> str:
    """A value as Python writes it, on one line and not too long, for a sentence."""
    return cut(repr(value), 80, 1)


def _told(text: str) -> str:
    """A sentence that may be shown: no key in it, no letter that steers a screen."""
    scrub = redact.scrubber(httpx.Request("GET", "http://localhost"))
    return cut(scrub(text.encode(errors="replace")).decode(), LONGEST, 4)
