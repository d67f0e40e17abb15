"""An event loop whose clock jumps over waits: what sleeps for a minute ends at once, and a busy
machine changes nothing."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

from tallow_core.paths.throughput import Throughput

T = TypeVar("T")

TICK_SECONDS = 1e-6
"""How far the clock goes with each look, so that work takes time, too."""


class _Jumping(selectors.SelectSelector):
    """Never waits: where a wait is asked for, the clock goes on by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "every task waits for another, and no deadline is set"
            self.now += max(timeout, 0)
        return events

    def clock(self) -> float:
        """The time of the loop, and of `time.monotonic` meanwhile."""
        self.now += TICK_SECONDS
        return self.now


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Jumping()
        self._clock = selector.clock
        super().__init__(selector)

    def time(self) -> float:
        return self._clock()


def run_at_once(scenario: Coroutine[Any, Any, T], within: float) -> T:
    """Run a scenario that uses no thread, process or socket; one that takes longer than `within`
    seconds of its own clock fails."""

    async def bounded() -> T:
        async with asyncio.timeout(within):
            return await scenario

    with asyncio.Runner(loop_factory=_Loop) as runner:
        clock = runner.get_loop().time
        with (
            mock.patch("time.monotonic", clock),
            mock.patch.object(Throughput.__init__, "__defaults__", (clock,)),
        ):
            return runner.run(bounded())
