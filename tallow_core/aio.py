"""Blocking calls that may never return: a read of a terminal or pipe, a write to a pipe that nobody
empties.

They run on threads that the process does not wait for at its end; `asyncio.to_thread` would.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def detached(call: Callable[[], T]) -> T:
    """Run `call` on a daemon thread and return its result. Cancelling leaves the call behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (call(), None)
        except BaseException as error:
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(settle, *outcome)
        except RuntimeError:
            pass  # the loop has ended: nobody waits any more

    threading.Thread(target=run, daemon=True).start()
    return await future


TURN_SECONDS = 0.005
"""For so long one task may go on: pings, progress and further lanes notice nothing. A turn of the
loop after each record would be a twentieth of all that Python does for it."""


class Yielder:
    """Lets other tasks run every `TURN_SECONDS`."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def pause(self) -> None:
        """Let them run if it is time."""
        if time.monotonic() - self._since >= TURN_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()
