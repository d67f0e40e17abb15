"""Durations that tests may state on a busy machine: a generous upper bound that only ends what
hangs, and a lower bound that holds at any load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def ends_within(seconds: float, *, after: float = 0) -> AsyncIterator[None]:
    """The block ends by itself within so many seconds, and not before `after`."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        yield
    lasted = time.monotonic() - began
    if lasted < after:
        raise AssertionError(f"it lasted {lasted:.2f} s, less than {after:g} s")
