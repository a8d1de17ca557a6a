"""Two texts side by side, to be read; where no widget can be drawn, a unified diff."""

from __future__ import annotations

import difflib
from typing import Any

import traitlets

from helpers.show import visible

from .bundle import Bundled, whole
from .parts import with_twin


class Difference(Bundled):
    """What differs between two texts; what is the same is folded away.

    Its repr is the unified diff, empty if the texts are the same.
    """

    left = traitlets.Unicode().tag(sync=True)
    right = traitlets.Unicode().tag(sync=True)
    left_label = traitlets.Unicode().tag(sync=True)
    right_label = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, left: str, right: str, *, left_label: str = "left", right_label: str = "right"
    ) -> None:
        given = {"left": left, "right": right, "left_label": left_label, "right_label": right_label}
        super().__init__(kind="difference", **given)
        self.add_class("difference")

    @traitlets.validate("left", "right", "left_label", "right_label")
    def _whole(self, proposal: Any) -> str:
        return whole(proposal.value)

    def __repr__(self) -> str:
        sides = (self.left.splitlines(), self.right.splitlines())
        lines = difflib.unified_diff(*sides, self.left_label, self.right_label, lineterm="")
        return visible("\n".join(lines))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_twin(super()._repr_mimebundle_(**kwargs), repr(self))
