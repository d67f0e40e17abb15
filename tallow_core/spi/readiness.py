"""Waiting until a non-blocking socket can be read or written.

`loop.sock_*` would do for plain sockets, but not for a TLS socket, and neither lets `aclose` end a
call that another task is in: a descriptor closed under a registered callback leaves the loop
watching the next socket that gets its number.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from tallow_core.errors import BrokenOffError

T = TypeVar("T")

_STREAK = 8
"""How many calls may succeed at once, one after another, before other tasks get a turn: a fast
peer must not starve the loop."""


class _Direction:
    """The waiters for one direction of one descriptor; TLS can have two, since each of its
    directions may need both."""

    def __init__(self, fd: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        self._fd = fd
        self._add = add
        self._remove = remove
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._add(self._fd, self._wake)
        self._waiting.add(future)
        try:
            await future
        finally:
            self._forget(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _forget(self, future: asyncio.Future[None]) -> None:
        # Not after `fail`: the descriptor's number may be another socket's by now.
        if future in self._waiting:
            self._waiting.remove(future)
            if not self._waiting:
                self._remove(self._fd)

    def fail(self) -> None:
        if not self._waiting:
            return
        self._remove(self._fd)
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_exception(_closed())


class Readiness:
    """Runs calls on one non-blocking socket, waiting between attempts. `close` comes before the
    socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        fd = sock.fileno()
        self._reading = _Direction(fd, loop.add_reader, loop.remove_reader)
        self._writing = _Direction(fd, loop.add_writer, loop.remove_writer)
        self._streak = 0
        self.closed = False

    async def reading(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, once it does not block; plain sockets wait for data."""
        return await self._run(call, self._reading)

    async def writing(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, once it does not block; plain sockets wait for room."""
        return await self._run(call, self._writing)

    async def _run(self, call: Callable[[], T], blocked: _Direction) -> T:
        await self._take_turn()
        while not self.closed:
            try:
                return call()
            except ssl.SSLWantReadError:
                await self._wait(self._reading)
            except ssl.SSLWantWriteError:
                await self._wait(self._writing)
            except (BlockingIOError, InterruptedError):
                await self._wait(blocked)
        raise _closed()

    async def _wait(self, direction: _Direction) -> None:
        self._streak = 0
        await direction.wait()

    async def _take_turn(self) -> None:
        self._streak += 1
        if self._streak >= _STREAK:
            self._streak = 0
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the calls under way with a `BrokenOffError`; the descriptor may then be closed."""
        self.closed = True
        self._reading.fail()
        self._writing.fail()


def _closed() -> BrokenOffError:
    return BrokenOffError("the connection was closed on this side; run the command again")
