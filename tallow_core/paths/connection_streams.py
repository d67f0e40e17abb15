"""Streams of connections that carry several (`Multiplexed`), for code that wants one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tallow_core.errors import BrokenOffError, TransportError
from tallow_core.spi.byte_stream import ByteStream, Multiplexed
from tallow_core.spi.transport import Listener, Transport

_MAX_UNTAKEN_STREAMS = 16
"""The most streams of one listener that wait to be accepted. The next ones are taken in after
that."""


class StreamSource:
    """Opens streams to one place. It uses the last connection that was dialled as long as that
    carries another stream, else it dials a new one."""

    def __init__(self, dial: Callable[[], Awaitable[ByteStream]]) -> None:
        self._dial = dial
        self._connection: Multiplexed | None = None

    async def open(self) -> ByteStream:
        """Open the next stream; raises what the dial does."""
        if (connection := self._connection) is not None:
            try:
                return await connection.open_stream()
            except TransportError:  # it has ended, or carries as many as it may
                self._connection = None
        stream = await self._dial()
        if isinstance(stream, Multiplexed):
            self._connection = stream
        return stream


def each_stream(listener: Listener, transport: Transport) -> Listener:
    """A listener that accepts every stream of every connection that `listener` accepts."""
    return listener if transport.max_streams == 1 else _StreamListener(listener)


class _StreamListener(Listener):
    """Accepts the streams of the connections of another listener, in the order in which they
    come."""

    def __init__(self, listener: Listener) -> None:
        self.bound = listener.bound
        self.endpoint = listener.endpoint
        self._listener = listener
        self._come: asyncio.Queue[ByteStream | Exception] = asyncio.Queue(_MAX_UNTAKEN_STREAMS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None

    async def accept(self) -> ByteStream:
        if self._failure is not None:
            raise self._failure
        if not self._tasks:
            self._spawn(self._connections())
        found = await self._come.get()
        if isinstance(found, ByteStream):
            return found
        self._failure = found
        raise found

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connections(self) -> None:
        try:
            while True:
                stream = await self._listener.accept()
                await self._put(stream)
                if isinstance(stream, Multiplexed):
                    self._spawn(self._further(stream))
        except Exception as error:  # a plugin's too: the caller of `accept` must see it
            await self._come.put(error)

    async def _further(self, connection: Multiplexed) -> None:
        try:
            while True:
                await self._put(await connection.accept_stream())
        except TransportError:
            return  # the connection has ended
        except Exception as error:
            await self._come.put(error)

    async def _put(self, stream: ByteStream) -> None:
        """Queue a stream; close it if the listener is closed first."""
        try:
            await self._come.put(stream)
        except BaseException:
            await stream.aclose()
            raise

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.aclose()
        while not self._come.empty():
            if isinstance(found := self._come.get_nowait(), ByteStream):
                await found.aclose()
        self._come.put_nowait(BrokenOffError("the listener was closed on this side"))
