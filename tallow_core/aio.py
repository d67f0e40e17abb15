"""What asyncio lacks: a scope of background tasks, blocking calls that may never return, and turns
for other tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Scope:
    """Owns background tasks. The first failure of a spawned one is the failure of the scope.

    Make it while an event loop runs.
    """

    def __init__(self) -> None:
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def failed(self) -> bool:
        """Whether a task, or `fail`, has ended the work here."""
        return self._failure.done()

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` until it is done or the scope closes. Its result or error is the caller's."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` like `task` does. If it raises, the scope fails."""
        task = self.task(work)
        task.add_done_callback(self.watch)
        return task

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Fail with the error of a task that is done, if it has one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the work of this scope with `error`. Only the first error counts."""
        if not self._failure.done():
            self._failure.set_exception(error)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`; stop it and raise the failure of the scope if that comes first."""
        task = asyncio.create_task(work)
        try:
            either: list[asyncio.Future[Any]] = [task, self._failure]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._failure.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def failure_within(self, seconds: float) -> None:
        """Raise the failure of the scope if there is one or comes in time; else return."""
        await asyncio.wait({self._failure}, timeout=seconds)
        if self._failure.done():
            self._failure.result()

    async def close(self) -> None:
        """Cancel every task and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failure.done():
            self._failure.exception()  # retrieved: asyncio does not report it as lost


async def detached(call: Callable[[], T]) -> T:
    """Run `call`, which may never return, on a daemon thread and return its result.

    A read of a terminal may last for ever, and so may a write to a full pipe. The process does not
    wait for such a thread at its end, as it would with `asyncio.to_thread`. Cancelling leaves the
    call behind.
    """
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
            pass  # the loop has ended, and with it the wait for this call

    threading.Thread(target=run, daemon=True).start()
    return await future


TURN_SECONDS = 0.005
"""How long one task may run before it lets others run: short enough for pings and progress. A turn
of the loop after each record would cost a twentieth of the record's time."""


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
