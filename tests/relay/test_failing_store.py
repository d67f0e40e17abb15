"""A store of rooms that fails is reported to the relay's operator, and refuses hosts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest

from tallow_core.config.schema import RelayServerSettings
from tallow_core.directories import Directories
from tallow_core.errors import TransportError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.protocol.codec.frame import FrameType
from tallow_core.protocol.relay.relay_frames import OpenRoom, Refusal
from tallow_core.relay.server import RelayServer
from tallow_core.session.frame_io import read_frame, write_frame
from tallow_core.spi.rooms import Rooms
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.testing.memory_transport import MemoryTransport
from tallow_core.types import Trust


class FailingRooms(Rooms):
    """Cannot reach its database."""

    name: ClassVar[str] = "failing"

    def __init__(self, settings: DriverSettings, max_rooms: int) -> None:
        """Take anything."""

    async def open(self, wanted: str | None, token_hash: bytes, now: float) -> str:
        raise self.error

    async def owner(self, nameplate: str) -> bytes | None:
        raise self.error

    async def close(self, nameplate: str, now: float) -> None:
        raise self.error

    error: ClassVar[Exception] = TransportError("no connection to the database")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TransportError("no connection to the database"), "no connection to the database"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_the_operator_reads_why_and_the_host_is_refused(
    tmp_path: Path, error: Exception, told: str
) -> None:
    settings = DriverSettings(Directories(*[tmp_path] * 4))
    rooms = FailingRooms(settings, 10)
    FailingRooms.error = error
    reports: list[str] = []

    async def refusals() -> list[bytes]:
        memory = MemoryTransport(settings)
        listener = await memory.listen(memory.local(), lasting=True)
        server = RelayServer(rooms, RelayServerSettings(), reports.append)
        serving = asyncio.create_task(server.serve(listener))
        found = []
        for _ in range(3):
            deadline = asyncio.get_running_loop().time() + 5
            stream = await memory.dial(
                listener.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
            )
            await write_frame(stream, OpenRoom(None).frame())
            frame = await read_frame(stream, 5)
            assert frame.type == FrameType.RELAY_REFUSED
            found.append(frame.body)
            await stream.aclose()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return found

    assert asyncio.run(refusals()) == [bytes([Refusal.FULL])] * 3
    (report,) = reports
    assert "store of rooms failing" in report
    assert told in report
