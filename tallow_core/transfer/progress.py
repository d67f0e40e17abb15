"""The progress of a transfer: the amount so far, and the events while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from tallow_core.events import ProgressMade
from tallow_core.session.context import Context

INTERVAL_SECONDS = 0.2
WINDOW = 15
"""The number of events over which the rate is an average: three seconds."""


class Amount(NamedTuple):
    """Files, and bytes of content."""

    files: int = 0
    size: int = 0


@contextlib.asynccontextmanager
async def progress(
    context: Context, moved: Callable[[], int], total: int | None
) -> AsyncIterator[None]:
    """Report `progress` events (bytes, total, rate in bytes a second) while the block runs, and one
    at its end."""
    samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=WINDOW)

    def report() -> None:
        samples.append((time.monotonic(), moved()))
        (then, before), (now, after) = samples[0], samples[-1]
        rate = (after - before) / (now - then) if now > then else 0.0
        context.report(ProgressMade(after, total, round(rate)))

    async def tick() -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            report()

    task = asyncio.create_task(tick())
    try:
        yield
        report()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
