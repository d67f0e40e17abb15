"""Connected and listening sockets, as streams and listeners that can be closed while a call is
under way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from tallow_core.errors import BrokenOffError
from tallow_core.spi.transport import ByteStream, Listener, StreamFacts
from tallow_core.text import printable
from tallow_core.types import Endpoint, ReadBuffer, WriteBuffer
from tallow_transport_unix.places import remove

T = TypeVar("T")

_JOIN = 1 << 16
"""Bytes up to which several buffers are copied into one, which is one call instead of many."""
_LINGER = 1.0
"""Seconds for which closing reads on when the other end was still sending."""
_PAUSE = 0.1
"""Seconds before accepting again when the process is out of descriptors or memory."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Calls:
    """Calls on a non-blocking socket that wait until it is ready; `end` stops those under way,
    before the socket is closed."""

    def __init__(self, sock: socket.socket, place: str) -> None:
        self.ended = False
        self._fd = sock.fileno()
        self._place = printable(place)
        self._waiting: dict[asyncio.Future[None], Callable[[int], Any]] = {}
        """Each with what takes its descriptor off the loop."""

    async def reading(self, call: Callable[[], T]) -> T:
        """What `call` returns once it does not block; what goes wrong, and being ended, is a
        `BrokenOffError`."""
        loop = asyncio.get_running_loop()
        return await self._run(call, loop.add_reader, loop.remove_reader)

    async def writing(self, call: Callable[[], T]) -> T:
        """The same, for calls that wait for room."""
        loop = asyncio.get_running_loop()
        return await self._run(call, loop.add_writer, loop.remove_writer)

    async def _run(
        self, call: Callable[[], T], add: Callable[..., Any], take_off: Callable[[int], Any]
    ) -> T:
        await asyncio.sleep(0)  # a call that is always ready must not starve the others
        while not self.ended:
            try:
                return call()
            except (BlockingIOError, InterruptedError):
                await self._ready(add, take_off)
            except OSError as error:
                told = printable((error.strerror or str(error)).lower())
                raise BrokenOffError(
                    f"The connection at {self._place} broke off ({told}): run the command again."
                ) from error
        raise BrokenOffError(
            f"The connection at {self._place} was closed on this side: run the command again."
        )

    async def _ready(self, add: Callable[..., Any], take_off: Callable[[int], Any]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = take_off
        add(self._fd, _wake, future)
        try:
            await future
        finally:
            if (
                self._waiting.pop(future, None) is not None
            ):  # after `end`, the descriptor may be another socket's
                take_off(self._fd)

    def end(self) -> None:
        """End the calls under way; later ones fail at once."""
        self.ended = True
        waiting, self._waiting = self._waiting, {}
        for future, take_off in waiting.items():
            take_off(self._fd)
            _wake(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class UnixStream(ByteStream):
    """A connected, non-blocking socket. `path` is the listener's: the end that dials has no
    address."""

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.facts = StreamFacts(path, loopback=True, encrypted=False)
        self._sock = sock
        self._calls = _Calls(sock, path)

    async def receive_into(self, buffer: WriteBuffer) -> int:
        """See `ByteStream.receive_into`."""
        return await self._calls.reading(lambda: self._sock.recv_into(buffer))

    async def send(self, *buffers: ReadBuffer) -> None:
        """See `ByteStream.send`."""
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN:
            buffers = (b"".join(buffers),)
        for buffer in buffers:
            rest = memoryview(buffer).cast("B")
            while rest:
                rest = rest[await self._calls.writing(lambda rest=rest: self._sock.send(rest)) :]  # type: ignore[misc]

    async def send_eof(self) -> None:
        """See `ByteStream.send_eof`."""
        await self._calls.writing(lambda: self._sock.shutdown(socket.SHUT_WR))

    async def aclose(self) -> None:
        """See `ByteStream.aclose`."""
        if self._calls.ended:
            return
        self._calls.end()
        try:
            await self._linger()
        finally:
            self._sock.close()

    async def _linger(self) -> None:
        """Announce the end. Bytes that were not read would make it an error at the other end, so
        what it still sends is read and dropped, for at most a second."""
        sink = bytearray(1 << 16)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            if not self._sock.recv_into(sink):
                return
            async with asyncio.timeout(_LINGER):
                while await asyncio.get_running_loop().sock_recv_into(self._sock, sink):
                    pass


class UnixListener(Listener):
    """A listening socket, and the file that is removed with it; `made` is what the file was when it
    was made."""

    def __init__(self, endpoint: Endpoint, sock: socket.socket, made: os.stat_result) -> None:
        self.endpoint = endpoint
        self._sock = sock
        self._made = made
        self._calls = _Calls(sock, endpoint.host)

    async def accept(self) -> ByteStream:
        """See `Listener.accept`."""
        while (sock := await self._calls.reading(self._next)) is None:
            await asyncio.sleep(_PAUSE)
        sock.setblocking(False)
        return UnixStream(sock, self.endpoint.host)

    def _next(self) -> socket.socket | None:
        """The next caller, None where there is no descriptor for it."""
        try:
            return self._sock.accept()[0]
        except ConnectionAbortedError:  # it has gone; perhaps there is another
            raise BlockingIOError from None
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return None
            raise

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        if not self._calls.ended:
            self._calls.end()
            self._sock.close()
            remove(self.endpoint.host, self._made)
