"""The relay server: rooms in which hosts wait, and connections that are spliced byte for byte
(docs/protocol/relay.md).

It sees nameplates, sealed streams, sizes and times. It stores a hash of each host's token and logs
no address and no nameplate. Everything that a stranger can make it hold is bounded: connections,
rooms, guests of a room, frame sizes, times.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tallow_core.config.schema import RelayServerSettings
from tallow_core.errors import BrokenOffError, TallowError, UnreachableError
from tallow_core.protocol.codec.frame import FrameType
from tallow_core.protocol.handshake.join import read_join
from tallow_core.protocol.relay.relay_frames import FIRST_SECONDS, Refusal, RelayRefused, refused
from tallow_core.relay.admission import Connections, network_of
from tallow_core.relay.guest_side import GuestSide
from tallow_core.relay.host_side import HostSide
from tallow_core.relay.relay_rooms import RoomTable
from tallow_core.session.frame_io import best_effort, read_frame
from tallow_core.spi.rooms import Rooms
from tallow_core.spi.transport import ByteStream, Listener


class RelayServer:
    """Serves listeners until cancelled. `report` takes sentences for the operator."""

    def __init__(
        self, rooms: Rooms, limits: RelayServerSettings, report: Callable[[str], None]
    ) -> None:
        self._table = RoomTable()
        self._hosts = HostSide(rooms, self._table, report)
        self._guests = GuestSide(self._table, limits)
        self._connections = Connections(limits)

    async def serve(self, listener: Listener) -> None:
        """Accept until cancelled; then send `CLOSING` to the hosts and close all connections."""
        try:
            while True:
                stream = await listener.accept()
                address = network_of(stream.facts.peer)
                admitted = self._connections.has_place(address)
                task = asyncio.create_task(
                    self._connection(stream) if admitted else stream.aclose()
                )
                self._connections.add(task, address, half_open=admitted)
        finally:
            await listener.aclose()
            await self._close()

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                for room in list(self._table.rooms.values()):
                    await best_effort(room.stream, refused(Refusal.CLOSING).encoded)
        expiries = [room.expiry for room in self._table.rooms.values() if room.expiry is not None]
        tasks = [*self._connections.tasks, *expiries]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, stream: ByteStream) -> None:
        try:
            frame = await read_frame(stream, FIRST_SECONDS)
            self._connections.first_frame_came(asyncio.current_task())
            if frame.type == FrameType.JOIN:
                await self._guests.serve(stream, read_join(frame))
            else:
                await self._hosts.serve(stream, frame)
        except RelayRefused as refusal:
            await best_effort(stream, refused(Refusal(refusal.number)).encoded)
        except (BrokenOffError, UnreachableError):
            pass  # gone, or silent for too long
        except TallowError:
            await best_effort(stream, refused(Refusal.MALFORMED).encoded)
        finally:
            await stream.aclose()
