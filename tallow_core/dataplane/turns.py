"""Turns for other tasks between records: sending and receiving may finish without ever waiting."""

from __future__ import annotations

import asyncio
import time

TURN_SECONDS = 0.005
"""For so long one task may go on: pings, progress and further lanes notice nothing. A turn of the
loop after each record would be a twentieth of all that Python does for it."""


class Turns:
    """Lets other tasks run every `TURN_SECONDS`."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give(self) -> None:
        """Let them run if it is time."""
        if time.monotonic() - self._since >= TURN_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()
