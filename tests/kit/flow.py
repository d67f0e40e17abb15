"""Both ends of a flow of records, over streams in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import pytest

from tallow_core.config.schema import SessionSettings
from tallow_core.errors import RemoteProtocolError, TallowError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.paths.lane_pool import LanePool
from tallow_core.paths.record_receiver import RecordReceiver
from tallow_core.paths.record_sender import RecordSender
from tallow_core.paths.session_paths import open_paths
from tallow_core.plugin_settings import DriverSettings
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.lane_join import read_lane_hello
from tallow_core.protocol.lanes.record import FINAL, RecordType
from tallow_core.session.context import Context
from tallow_core.session.frame_io import read_frame
from tallow_core.session.lane import Dial, Lane
from tallow_core.session.session import Session
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import ByteStream
from tallow_core.testing.memory_transport import MemoryTransport
from tallow_core.types import NetworkPath, Role, Trust
from tests.kit.in_process import context_of
from tests.kit.machines import established
from tests.kit.virtual_clock import run_at_once


async def _streams(context: Context) -> tuple[ByteStream, ByteStream]:
    """The two ends of a connection."""
    memory = MemoryTransport(DriverSettings(context.settings.directories))
    listener = await memory.listen(memory.local(), lasting=False)
    deadline = asyncio.get_running_loop().time() + 5
    dialled = await memory.dial(
        listener.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
    )
    accepted = await listener.accept()
    await listener.aclose()
    return dialled, accepted


@dataclass
class Ends:
    """A session: the host sends, the guest receives."""

    context: Context
    host: Session
    guest: Session
    host_pool: LanePool
    guest_pool: LanePool
    out: RecordSender
    into: RecordReceiver
    first: Lane
    accepting: set[asyncio.Task[None]]
    streams: list[ByteStream]
    """Of the session's own path, the guest's and the host's end of each connection in turn."""
    dial: Dial

    async def spare(self, *, by_guest: bool = True) -> tuple[Lane, list[ByteStream]]:
        """Join a lane beside the path of the session; returns it as the guest has it, and its two
        streams."""
        pools = self.guest_pool, self.host_pool
        dialler, acceptor = pools if by_guest else pools[::-1]
        streams: list[ByteStream] = []

        async def accept(stream: ByteStream) -> None:
            try:
                await acceptor.accept(
                    stream, read_lane_hello(await read_frame(stream, 5)), "beside"
                )
            except TallowError:
                await stream.aclose()

        async def dial() -> ByteStream:
            dialled, accepted = await _streams(self.context)
            streams.extend((dialled, accepted))
            self.accepting.add(asyncio.create_task(accept(accepted)))
            return dialled

        before = len(self.guest.lanes._lanes)
        await dialler.dial(dial, "beside")
        async with asyncio.timeout(5):
            while len(self.guest.lanes._lanes) == before or not self.host_pool._ready:
                await asyncio.sleep(0)
        return self.guest.lanes._lanes[-1], streams

    async def send(self, *numbers: int, final: bool = False) -> None:
        """Send records that hold these numbers."""
        buffer = RecordBuffer.for_data()
        for number in numbers:
            buffer.plain[0] = RecordType.DATA | (FINAL if final and number == numbers[-1] else 0)
            buffer.plain[1:5] = u32(number)
            await self.out.transmit(buffer, 5)
        if final:
            await self.out.finish()

    async def receive(self, count: int | None = None) -> list[int]:
        """The numbers of the next records, or of all to the last."""
        numbers: list[int] = []
        while count is None or len(numbers) < count:
            body = await self.guest.guard(self.into.record())
            if body is None:
                break
            numbers.append(int.from_bytes(body, "big"))
        return numbers


def run(
    home: FilePath,
    scenario: Callable[[Ends], Awaitable[None]],
    session: SessionSettings | None = None,
    guests: SessionSettings | None = None,
) -> None:
    """Run a scenario with a session."""

    async def whole() -> None:
        async with ends(home, session, guests) as both:
            await scenario(both)

    run_at_once(whole(), 60)


async def refused(work: Awaitable[object], what: str) -> None:
    """Expect an error of the protocol that says so."""
    with pytest.raises(RemoteProtocolError, match=what):
        async with asyncio.timeout(10):
            await work


@asynccontextmanager
async def ends(
    home: FilePath, session: SessionSettings | None = None, guests: SessionSettings | None = None
) -> AsyncIterator[Ends]:
    """A session with its first data lane; `guests` are the guest's settings, if others."""
    context = context_of(home)
    context.settings = replace(context.settings, session=session or SessionSettings())
    context.policy._settings = context.settings
    both: tuple[Established, Established] = established()
    dialled, accepted = await _streams(context)
    accepting: set[asyncio.Task[None]] = set()

    streams: list[ByteStream] = []

    async def accept(stream: ByteStream) -> None:
        try:
            await host.lanes.accept(stream, read_lane_hello(await read_frame(stream, 5)))
        except TallowError:
            await stream.aclose()

    async def dial() -> ByteStream:
        ours, theirs = await _streams(context)
        streams.extend((ours, theirs))
        accepting.add(asyncio.create_task(accept(theirs)))
        return ours

    host = Session(context, Role.HOST, both[0], accepted, NetworkPath("direct", "test", "memory"))
    theirs = context_of(home)
    theirs.settings = replace(context.settings, session=guests or context.settings.session)
    guest = Session(
        theirs, Role.GUEST, both[1], dialled, NetworkPath("direct", "test", "memory"), dial
    )
    async with host, guest:
        host_pool, guest_pool = open_paths(context, host), open_paths(theirs, guest)
        await guest_pool.wish()
        lane = await guest.lanes.dial()
        first = await host.lanes.next_joined()
        out = RecordSender(host_pool, first)
        out._own_rate = 1.0  # known, so that it moves at once, and no path is slower
        into = RecordReceiver(guest_pool, lane)
        yield Ends(
            context,
            host,
            guest,
            host_pool,
            guest_pool,
            out,
            into,
            first,
            accepting,
            streams,
            dial,
        )
