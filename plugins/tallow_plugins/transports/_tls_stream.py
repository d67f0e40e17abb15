"""A TLS 1.3 connection as a stream.

TLS reads and writes memory, and a carrier the socket, many records at a time: an SSL socket would
do three system calls for every 16 KiB, and `asyncio`'s streams copy more.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import replace
from functools import partial
from typing import Any

from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.sockets import broken_off
from tallow_core.types import ReadBuffer, WriteBuffer
from tallow_plugins.transports._carriers import Carrier

_JOIN_BYTES = 1 << 14
"""The size up to which several buffers are copied into one. A TLS record holds no more."""
_PIECE_BYTES = 1 << 18
"""The number of bytes that are sealed before they are sent."""


class TlsStream(ByteStream):
    """TLS 1.3 over a carrier. The handshake runs in the first call that needs it.

    Each direction ends by itself: `send_eof` ends the carrier's, since close_notify and reading on
    do not go together in Python's `ssl` (the call that sends it fails the connection if it meets
    data).
    """

    def __init__(
        self,
        carrier: Carrier,
        context: ssl.SSLContext,
        *,
        server: bool = False,
        name: str | None = None,
    ) -> None:
        self.facts = replace(carrier.facts, encrypted=True)
        self._carrier = carrier
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._arrived, self._leaving, server_side=server, server_hostname=name
        )
        self._shaking = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._secured = False
        self._ended = False
        self._failure: OSError | None = None

    async def secure(self) -> None:
        """Shake hands, if that was not done; raises the `OSError` of the socket or of TLS."""
        async with self._shaking:
            while not self._secured:
                try:
                    self._tls.do_handshake()
                    self._secured = True
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._carrier.reading(self._fetch)
                except ssl.SSLError:
                    await self._carrier.send_what_fits(self._leaving.read())  # the alert
                    raise
            await self._flush()

    def certificate(self) -> bytes:
        """The other end's certificate (DER); empty if it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        try:
            if not self._secured:
                await self.secure()
            if self._ended:
                return 0
            view = memoryview(buffer).cast("B")
            count = await self._carrier.reading(partial(self._gather, view))
            # The answer to a KeyUpdate; a task that is sending takes it along.
            if self._leaving.pending and not self._sending.locked():
                async with self._sending:
                    await self._flush()
            return count
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    def _gather(self, view: memoryview) -> int:
        """Fill `view` from as many TLS records as have come. Failures after the first wait for the
        next call, so that bytes before them are not lost."""
        if self._failure is not None:
            raise self._failure
        filled = 0
        try:
            while filled < len(view) and not self._ended:
                try:
                    # With a buffer, `read` returns a count.
                    got: Any = self._tls.read(len(view) - filled, view[filled:])
                    filled += got
                    self._ended = not got  # with its close_notify or without: see `only_tls_1_3`
                except ssl.SSLWantReadError:
                    self._fetch()
                except ssl.SSLEOFError:
                    self._ended = True
        except (BlockingIOError, InterruptedError):
            if not filled:
                raise
        except OSError as error:
            if not filled:
                raise
            self._failure = error
        return filled

    def _fetch(self) -> None:
        self._carrier.fetch(self._arrived)

    async def send(self, *buffers: ReadBuffer) -> None:
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN_BYTES:
            buffers = (b"".join(buffers),)
        try:
            if not self._secured:
                await self.secure()
            async with self._sending:
                for buffer in buffers:
                    view = memoryview(buffer).cast("B")
                    while view:
                        view = view[self._tls.write(view[:_PIECE_BYTES]) :]
                        await self._flush()
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def _flush(self) -> None:
        """Send all that TLS has sealed."""
        while self._leaving.pending:
            await self._carrier.send(self._leaving.read())

    async def send_eof(self) -> None:
        try:
            if not self._secured:
                await self.secure()
            await self._carrier.send_eof()
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def aclose(self) -> None:
        if self._carrier.stopped:
            return
        self._carrier.stop()
        # Else close_notify would come in the middle of a record.
        if self._secured and not self._sending.locked():
            with contextlib.suppress(OSError, ValueError):
                self._tls.unwrap()
            await self._carrier.send_what_fits(self._leaving.read())
        await self._carrier.aclose()
