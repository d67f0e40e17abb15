"""A limit on bytes a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tallow_core.files.record_buffer import PAYLOAD_BYTES

CREDIT_SECONDS = 0.2
"""The unused allowance that may be spent later, in seconds of the rate. It arises while something
else is slow."""

_SHARES = 8
_MIN_PORTION_BYTES = 4096


class Throttle:
    """A token bucket: `spend` returns when what was spent so far is allowed. A rate of 0 is no
    limit."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    @property
    def portion(self) -> int:
        """Bytes to send at once, so that it does not come in bursts: an eighth of a second's,
        within bounds."""
        return (
            min(PAYLOAD_BYTES, max(_MIN_PORTION_BYTES, self._rate // _SHARES))
            if self._rate
            else PAYLOAD_BYTES
        )

    async def spend(self, count: int) -> None:
        """Account for `count` bytes that have moved."""
        if not self._rate:
            return
        now = self._clock()
        self._due = max(self._due, now - CREDIT_SECONDS) + count / self._rate
        if self._due > now:
            await self._sleep(self._due - now)
