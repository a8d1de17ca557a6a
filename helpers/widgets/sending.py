"""A request on its way: begun at once, read in the background, stopped at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from typing import Any

from helpers import wire
from helpers.errors import CourseError
from helpers.wire import Exchange

PULSE = 0.2  # seconds between two looks of a cell that waits: a loop asleep does not see its interrupt
STOPPED = "Stopped before the reply began."


class Sending:
    """What `begin` returns; `await` it to wait until it has ended, which raises nothing.

    Attributes:
        exchange: what came so far; None until the reply begins.
        trouble: why there is no reply, or no whole one, in one sentence; else empty.
        done: True when nothing more will come.
    """

    def __init__(self, changed: Callable[[Sending], object] | None, every: float) -> None:
        self.exchange: Exchange | None = None
        self.trouble = ""
        self.done = False
        self._changed = changed
        self._every = every
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None]

    def stop(self) -> None:
        """Hang up; what came stays."""
        if not self.done:
            self._task.cancel()

    def __await__(self) -> Generator[Any, None, Sending]:
        return self._ended().__await__()

    async def _ended(self) -> Sending:
        try:
            while not self.done:
                await asyncio.wait([self._task], timeout=PULSE)
        except BaseException:  # the waiting cell was interrupted
            self.stop()
            raise
        return self

    async def _run(self, payload: Any, path: str, headers: Mapping[str, str] | None) -> None:
        try:
            self.exchange = await wire.stream(payload, path, headers=headers)
            self._soon()
            async for _ in self.exchange:
                self._soon()
        except CourseError as error:
            self.trouble = str(error)

    def _over(self, task: asyncio.Task[None]) -> None:
        if self.exchange is not None:
            self.trouble = self.exchange.broken or ""
        elif task.cancelled():
            self.trouble = STOPPED
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._tell)

    def _tell(self) -> None:
        self._timer = None
        if self._changed is not None:
            self._changed(self)


def begin(
    payload: Any,
    path: str = "/chat/completions",
    *,
    headers: Mapping[str, str] | None = None,
    on_change: Callable[[Sending], object] | None = None,
    every: float = 0.1,
) -> Sending:
    """Send `payload` from the running event loop and return at once.

    Args:
        payload, path, headers: as wire.send() takes them.
        on_change: called with the Sending at most once in `every` seconds while something comes, and once
            more at the end.
        every: seconds.
    """
    sending = Sending(on_change, every)
    sending._task = asyncio.ensure_future(sending._run(payload, path, headers))
    sending._task.add_done_callback(sending._over)
    return sending
