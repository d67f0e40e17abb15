"""Runs an asynchronous check with a time limit, also against a driver that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tallow_core.errors import TallowError
from tallow_core.testing.expect import ConformanceError

PATIENCE_SECONDS = 30.0
"""Seconds for a whole check; reached only by a driver that hangs or finds nothing."""
_GRACE = 2.0
"""Seconds within which a cancelled check has to be over."""


def complete(check: Coroutine[Any, Any, None], seconds: float | None = None) -> None:
    """Run `check` in a loop of its own; `ConformanceError` if it has not ended after `seconds`
    (PATIENCE_SECONDS by default).

    Not with `asyncio.run`, which waits at its end for every task: a driver that swallows
    cancellation would hold it for ever.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(
        lambda *_: None
    )  # what is left behind by a driver that broke off is not news
    try:
        _within(loop, check, PATIENCE_SECONDS if seconds is None else seconds)
    finally:
        _abandon(loop)
        loop.close()


def _within(
    loop: asyncio.AbstractEventLoop, check: Coroutine[Any, Any, None], seconds: float
) -> None:
    task = loop.create_task(check)
    if not loop.run_until_complete(asyncio.wait({task}, timeout=seconds))[0]:
        raise ConformanceError(f"the driver hangs: no result within {seconds:g} s")
    try:
        task.result()
    except TallowError as error:
        raise ConformanceError(f"an error that was not called for: {error}") from error


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs, and wait for it a little."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_GRACE))
    loop.run_until_complete(
        asyncio.wait({loop.create_task(loop.shutdown_asyncgens())}, timeout=_GRACE)
    )
