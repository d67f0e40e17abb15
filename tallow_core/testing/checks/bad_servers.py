"""A server on this machine that says nothing, or nonsense, and counts who stays connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tallow_core.testing.checks.stream_checks import SOON
from tallow_core.testing.expect import require
from tallow_core.testing.fake_network import RecordingConnector
from tallow_core.types import SocketAddress


class BadServer:
    """Counts connections that are open; `direct` leads to it from everywhere."""

    def __init__(self, answer: bytes, *, closes: bool) -> None:
        self.direct = RecordingConnector()
        self._answer = answer
        self._closes = closes
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open += 1
        try:
            writer.write(self._answer)
            if self._closes:
                writer.write_eof()
            while await reader.read(1 << 12):
                pass
        except OSError:
            pass  # reset by the driver
        finally:
            self._open -= 1
            writer.close()

    async def all_closed(self) -> None:
        """Wait until no connection is open; `ConformanceError` if one stays."""
        deadline = asyncio.get_running_loop().time() + SOON
        while self._open and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        require(not self._open, "a connection to the server stays open")


@asynccontextmanager
async def bad_server(answer: bytes, *, closes: bool = False) -> AsyncIterator[BadServer]:
    """A server that answers every connection with `answer`, and then says that this was all if it
    `closes`."""
    server = BadServer(answer, closes=closes)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    place = SocketAddress(*listening.sockets[0].getsockname()[:2])
    server.direct = RecordingConnector(redirect=place)
    try:
        yield server
    finally:
        listening.close()
