"""The lanes of a session: opening, accepting, dropping and counting them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from tallow_core.aio import Scope
from tallow_core.errors import BrokenOffError, LocalProtocolError, TallowError, TransportError
from tallow_core.events import Reporter
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.lane_join import (
    CONTROL_LANE,
    LaneAcceptor,
    LaneDialler,
    LaneHello,
    lane_tag,
)
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.secrets import system_rng
from tallow_core.session.epochs import Epochs
from tallow_core.session.frame_io import read_some
from tallow_core.session.lane import Dial, Lane
from tallow_core.spi.transport import ByteStream
from tallow_core.types import Role

JOIN_SECONDS = 15.0
MAX_JOIN_ATTEMPTS = 3
MAX_OPEN_LANES = 40
"""The most lanes that one end has open: the control lane, the lanes that carry the data, those that
carried it on the path before, and spare ones."""
FIRST_LANE = {Role.HOST: 2, Role.GUEST: 1}
"""The first lane id that an end opens; the next is greater by two."""

Taken = Callable[[Lane], None]
"""A callback for a lane that was dialled. It is called before the other end can name the lane."""


class LaneSet:
    """All open lanes, the control lane included. `dial_path` opens a further stream by the
    session's path; it is None at the end that cannot dial."""

    def __init__(
        self,
        scope: Scope,
        established: Established,
        role: Role,
        epochs: Epochs,
        reporter: Reporter,
        dial_path: Dial | None,
    ) -> None:
        self.role = role
        self.epochs = epochs
        self.dial_path = dial_path
        self.aside: Lane | None = None
        """The lane beside the session's path by which the data goes, or None."""
        self._scope = scope
        self._established = established
        self._reporter = reporter
        self._lanes: list[Lane] = []
        self._closing: list[Lane] = []
        self._moved_by_dropped = 0
        self._next_number = FIRST_LANE[role]
        self._used_numbers: set[int] = {CONTROL_LANE}
        self._joined: asyncio.Queue[Lane] = asyncio.Queue()
        self._expected = 1

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def moved(self) -> int:
        """Bytes that were sealed and opened so far, on all lanes."""
        return self._moved_by_dropped + sum(
            lane.sealer.total + lane.opener.total for lane in self._lanes
        )

    @property
    def tag(self) -> bytes:
        """The tag with which a LaneHello for this session begins, under the present root."""
        return lane_tag(self._established.schedule)

    @property
    def next_number(self) -> int:
        """The id of the next lane that this end opens."""
        return self._next_number

    def add(self, lane: Lane) -> Lane:
        """Count `lane` among the open ones, and return it."""
        self._lanes.append(lane)
        return lane

    def drop(self, lane: Lane) -> None:
        """Close a lane that is not used any more."""
        lane.cut = True
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._closing.append(lane)
            self._moved_by_dropped += lane.sealer.total + lane.opener.total
            self._scope.task(self._close(lane))

    async def _close(self, lane: Lane) -> None:
        await lane.aclose()
        self._closing.remove(lane)

    async def aclose(self) -> None:
        """Close every lane. Close the scope first."""
        await asyncio.gather(
            *(lane.aclose() for lane in self._lanes + self._closing), return_exceptions=True
        )

    async def end(self, lane: Lane) -> None:
        """End this end's direction of a lane that is not needed."""
        with contextlib.suppress(TransportError, LocalProtocolError):  # it has ended by itself
            await lane.put(RecordType.CLOSE, final=True)

    def dialled(self, number: int) -> Lane | None:
        """The open lane with this id that this end dialled, or None if it is gone. Raises
        `RemoteProtocolError` if this end never opened it."""
        if number % 2 != FIRST_LANE[self.role] % 2 or not 0 < number < self._next_number:
            raise malformed(f"a word on lane {number}, which was not opened here")
        return next((lane for lane in self._lanes if lane.keys.lane == number), None)

    # -- opening ---------------------------------------------------------------------------------

    async def dial(self, taken: Taken | None = None) -> Lane:
        """Open a further lane by the path of the session. Every attempt uses a new lane id."""
        if self.dial_path is None:
            raise BrokenOffError("this path cannot be dialled again; try again")
        for attempt in range(MAX_JOIN_ATTEMPTS):
            number = self._take_number()
            try:
                async with asyncio.timeout(JOIN_SECONDS):
                    stream = await self.dial_path()
                    return await self._dial(stream, number, self.dial_path, "", taken)
            except (TallowError, TimeoutError) as error:
                self._reporter.note(f"lane {number} could not be opened: {error}")
                if attempt + 1 == MAX_JOIN_ATTEMPTS:
                    raise BrokenOffError(
                        "no further connection to the other side could be opened; try again"
                    ) from error
            # The pauses are 1 s, then 2 s. A stranger that holds the lane's place at the host's
            # listener can be displaced by then.
            await asyncio.sleep(attempt + 1)
        raise AssertionError("unreachable")

    async def dial_aside(self, dial: Dial, address: str, taken: Taken) -> Lane:
        """Join a lane by a stream to `address`, which is not the path of the session."""
        stream = await dial()
        lane = await self._dial(stream, self._take_number(), dial, address, taken)
        await self.epochs.catch_up(lane)
        return lane

    def _take_number(self) -> int:
        number, self._next_number = self._next_number, self._next_number + 2
        return number

    async def _dial(
        self, stream: ByteStream, number: int, dial: Dial, address: str, taken: Taken | None
    ) -> Lane:
        machine = LaneDialler(self._established.schedule, number, system_rng)
        try:
            if len(self._lanes) >= MAX_OPEN_LANES:
                raise malformed(f"more than {MAX_OPEN_LANES} lanes")
            began = time.monotonic()
            await stream.send(machine.data_to_send())
            await _feed(machine, stream)
            lane = self._made(machine, stream, began)
            lane.dial, lane.address = dial, address
            if taken is not None:
                taken(lane)
            await stream.send(machine.data_to_send())
            if lane.cut:
                raise BrokenOffError("it ended as soon as it had joined")
        except BaseException:
            await stream.aclose()
            raise
        return self.add(lane)

    def _made(self, machine: LaneDialler | LaneAcceptor, stream: ByteStream, began: float) -> Lane:
        """Make the lane of a join that is complete. The lane notes the epoch that its keys belong
        to, because a rekey may come while the last message of the join is sent."""
        assert machine.keys is not None
        lane = Lane(stream, machine.keys, self._established, self.role)
        lane.rekeys, lane.rtt = self.epochs.count, time.monotonic() - began
        return lane

    # -- accepting -------------------------------------------------------------------------------

    def expect(self, count: int) -> None:
        """Expect `count` further lanes by the session's path. The host calls this when it asks the
        guest for them."""
        self._expected += count

    async def accept(self, stream: ByteStream, hello: LaneHello) -> None:
        """Let a lane join by the session's path. Its LaneHello has named this session. Raises
        `AuthenticationError` if the lane does not prove the session."""
        self._check_expected()
        lane = await self._accept(stream, hello)
        self._check_expected()
        self._expected = max(0, self._expected - 1)
        self._scope.spawn(self._drain(lane))
        self._joined.put_nowait(lane)

    def _check_expected(self) -> None:
        """Raise `RemoteProtocolError` if this end did not ask for a lane. A lane may come unasked
        while the data goes beside the session's path, because that path may break at any moment."""
        if self._expected < 1 and self.aside is None:
            raise malformed("a lane that this end did not ask for")

    async def accept_aside(self, stream: ByteStream, hello: LaneHello, address: str) -> Lane:
        """Let a lane join that came from `address`, not by the path of the session."""
        lane = await self._accept(stream, hello)
        lane.address = address
        return lane

    async def _accept(self, stream: ByteStream, hello: LaneHello) -> Lane:
        if hello.lane in self._used_numbers or hello.lane % 2 != FIRST_LANE[self.role.peer] % 2:
            raise malformed("a lane id that was used before")
        if len(self._lanes) >= MAX_OPEN_LANES:
            raise malformed(f"more than {MAX_OPEN_LANES} lanes")
        machine = LaneAcceptor(self._established.schedule, hello, system_rng)
        async with asyncio.timeout(JOIN_SECONDS):
            await stream.send(machine.data_to_send())
            began = time.monotonic()
            await _feed(machine, stream)
        if hello.lane in self._used_numbers or len(self._lanes) >= MAX_OPEN_LANES:
            raise malformed("a lane id that was used before, or too many lanes")
        self._used_numbers.add(hello.lane)
        return self.add(self._made(machine, stream, began))

    async def next_joined(self, least: int = 0) -> Lane:
        """Wait for the next lane that the other end opens by the session's path with an id of at
        least `least`. Lanes with lower ids are ended."""
        self._expected = max(self._expected, 0 if self._joined.qsize() else 1)
        try:
            async with asyncio.timeout(JOIN_SECONDS * (MAX_JOIN_ATTEMPTS + 1)):
                while (
                    lane := await self._scope.guard(self._joined.get())
                ).keys.lane < least or lane.cut:
                    self._scope.spawn(self.end(lane))
        except TimeoutError:
            raise BrokenOffError(
                "the other side opened no data connection in time; try again"
            ) from None
        return lane

    def take_joined(self) -> Lane | None:
        """Take a lane that the other end has opened by the session's path and that carries nothing
        yet. Returns None if there is none."""
        while not self._joined.empty():
            if not (lane := self._joined.get_nowait()).cut:
                return lane
        return None

    async def _drain(self, lane: Lane) -> None:
        """Read the direction of a data lane that carries no data. Only epochs and the authenticated
        end may come there."""
        try:
            while not lane.opener.finished:
                kind, body = await lane.next_record()
                if kind == RecordType.EPOCH:
                    await self.epochs.received(lane, body)
                elif kind != RecordType.CLOSE:
                    raise malformed(f"record {kind:#04x} against the flow of a data lane")
        except TransportError:
            if lane.carries:
                raise
            self.drop(lane)
        if lane.sealer.finished:
            self.drop(lane)


async def _feed(machine: LaneDialler | LaneAcceptor, stream: ByteStream) -> None:
    while machine.keys is None:
        machine.receive(await read_some(stream, machine.wants))
