"""Runs a command's coroutine: on a selector loop everywhere, ended in order by SIGINT and
SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_THRESHOLD = 10_000
"""New containers before the youngest are searched for cycles: with Python's 700, loading the
drivers alone would take fifteen searches."""


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end.

    What was imported before lives as long as the process: the garbage collector leaves it alone
    from here on. SIGTERM, and SIGHUP of a closed terminal, interrupt like SIGINT: what waits is
    cancelled and cleans up; KeyboardInterrupt follows.
    """
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
    gc.enable()
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_interruptible(work))


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    with contextlib.suppress(
        NotImplementedError, AttributeError
    ):  # Windows has none on a loop: SIGTERM just ends the process there
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, terminate)
    try:
        return await work
    except asyncio.CancelledError:
        if terminated:
            raise KeyboardInterrupt from None
        raise
