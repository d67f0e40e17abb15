"""A WebSocket connection as a stream, over any other stream: the library `websockets` reads and
writes the protocol, and does no I/O."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from tallow_core.errors import BrokenOffError
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.types import ReadBuffer, WriteBuffer

MAX_MESSAGE_BYTES = 1 << 20
"""A longer message of the other end ends the connection."""
_PIECE_BYTES = 1 << 16
"""How much goes into one message."""
_GOODBYE_SECONDS = 1.0
"""How long closing waits for its last words to leave."""


class WebSocketStream(ByteStream):
    """Bytes in binary messages; an empty one is the end of its direction. The handshake runs in the
    first call that needs it. `path` is the one that a listener answers at."""

    def __init__(
        self,
        below: ByteStream,
        protocol: ClientProtocol | ServerProtocol,
        header: tuple[str, str] | None = None,
        *,
        path: str = "",
    ) -> None:
        self.facts = below.facts
        self._below = below
        self._protocol = protocol
        self._header = header
        self._path = path
        self._opening = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._room = bytearray(_PIECE_BYTES)
        self._held = memoryview(b"")
        """What has come in messages and was not received."""
        self._ended = False
        self._said_end = False
        self._closed = False

    async def open(self) -> None:
        """Shake hands, if that was not done."""
        async with self._opening:
            if not self._is_opening():
                return
            if isinstance(self._protocol, ClientProtocol):
                request = self._protocol.connect()
                if self._header is not None:
                    request.headers[self._header[0]] = self._header[1]
                self._protocol.send_request(request)
            while self._is_opening():
                await self._flush()
                await self._read()
                right = self._answer()
                await self._flush()
                if not right or self._protocol.handshake_exc is not None:
                    raise self._broken("the handshake failed")

    def _is_opening(self) -> bool:
        return self._protocol.state is State.CONNECTING

    def _answer(self) -> bool:
        """Take the request or the response of the other end, if it has come; False for a request
        that is answered with an error."""
        protocol, right = self._protocol, True
        for event in protocol.events_received():
            if isinstance(event, Frame):  # in one packet with the response
                self._take(event)
            elif isinstance(protocol, ServerProtocol) and isinstance(event, Request):
                right = event.path.partition("?")[0] == self._path
                protocol.send_response(
                    protocol.accept(event)
                    if right
                    else protocol.reject(HTTPStatus.NOT_FOUND, "Not found.\n")
                )
        return right

    async def _read(self) -> None:
        """Hand the protocol what the stream below has."""
        if count := await self._below.receive_into(self._room):
            self._protocol.receive_data(bytes(memoryview(self._room)[:count]))
            return
        if self._is_opening():
            raise self._broken("it ended in the handshake")
        self._protocol.receive_eof()
        self._ended = True

    async def _flush(self) -> None:
        async with self._sending:
            for data in self._protocol.data_to_send():
                await (self._below.send(data) if data else self._below.send_eof())

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE or (frame.opcode is Opcode.BINARY and not frame.data):
            self._ended = True
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT) and not self._ended:
            self._held = memoryview(bytes(self._held) + bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            raise self._broken("it sends text")

    async def receive_into(self, buffer: WriteBuffer) -> int:
        """See `ByteStream.receive_into`."""
        self._check()
        await self.open()
        while not self._held and not self._ended:
            await self._read()
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._take(event)
            if self._protocol.parser_exc is not None:
                raise self._broken("it breaks the protocol")
            with suppress(*((BrokenOffError,) if self._ended else ())):
                await self._flush()  # the answer to a ping or to the end
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    async def send(self, *buffers: ReadBuffer) -> None:
        """See `ByteStream.send`."""
        self._check()
        await self.open()
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            for start in range(0, len(view), _PIECE_BYTES):
                await self._message(bytes(view[start : start + _PIECE_BYTES]))

    async def _message(self, data: bytes) -> None:
        if self._protocol.state is not State.OPEN:
            raise self._broken("the other end has closed it")
        self._protocol.send_binary(data)
        await self._flush()

    async def send_eof(self) -> None:
        """See `ByteStream.send_eof`."""
        self._check()
        await self.open()
        if not self._said_end:
            self._said_end = True
            await self._message(b"")

    async def aclose(self) -> None:
        """See `ByteStream.aclose`."""
        if self._closed:
            return
        self._closed = True
        try:
            # Else it would come in the middle of a message.
            if self._protocol.state is State.OPEN and not self._sending.locked():
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    self._protocol.send_close()
                    await self._flush()
        except (BrokenOffError, TimeoutError):
            pass  # the other end has gone
        finally:
            await self._below.aclose()

    def _check(self) -> None:
        if self._closed:
            raise self._broken("it was closed on this side")

    def _broken(self, why: str) -> BrokenOffError:
        return BrokenOffError(
            f"the WebSocket to {self.facts.peer} broke off ({why}); run the command again"
        )
