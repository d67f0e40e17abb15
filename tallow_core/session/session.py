"""A session after the handshake: the control lane, further lanes, pings, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from tallow_core.config.rules import Route
from tallow_core.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    BrokenOffError,
    FileSystemError,
    LocalProtocolError,
    RefusedError,
    TallowError,
    TransportError,
)
from tallow_core.paths.lane_pool import Spares
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.lane_join import (
    CONTROL_KEYS,
    CONTROL_LANE,
    LaneAcceptor,
    LaneDialler,
    LaneHello,
    lane_tag,
)
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import read_reason, write_reason
from tallow_core.secrets import system_rng
from tallow_core.session.context import Context
from tallow_core.session.frame_io import read_some
from tallow_core.session.lane import Dial, Lane
from tallow_core.session.rekey import Rekeying
from tallow_core.session.safety_check import SafetyNumber
from tallow_core.spi.transport import ByteStream
from tallow_core.text import printable
from tallow_core.types import Role

T = TypeVar("T")

PING_SECONDS = 15.0
SILENCE_SECONDS = 60.0
LANE_SECONDS = 15.0
LAST_WORDS_SECONDS = 2.0
LANE_ATTEMPTS = 3
OPEN_LANES = 40
"""Lanes that an end has at once: the control lane, those that carry the data and those that did on
the path before, and spare ones."""
FIRST_LANE = {Role.HOST: 2, Role.GUEST: 1}


class StoppedError(BrokenOffError):
    """The other side said that it stops: there is nobody to dial again."""


class Path(NamedTuple):
    """How the other end was reached. `kind` is local, direct or relay; `transport` that of our end;
    `dial` opens a further stream, past its Join (guest only)."""

    kind: str
    address: str
    transport: str
    dial: Dial | None = None

    @property
    def route(self) -> Route:
        """What the rules of policy look at."""
        return Route(self.transport, self.kind == "relay")


class Session:
    """Both ends. Use as an async context manager: entering starts listening and pinging, leaving
    closes every lane."""

    def __init__(
        self, context: Context, role: Role, established: Established, stream: ByteStream, path: Path
    ) -> None:
        self.context = context
        self.role = role
        self.established = established
        self.path = path
        self.safety = SafetyNumber(established, role)
        self._lanes: list[Lane] = []
        self._joined: asyncio.Queue[Lane] = asyncio.Queue()
        self._expected = 1
        self._next_lane = FIRST_LANE[role]
        self._used: set[int] = {CONTROL_LANE}
        self._inbox: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=4)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dropped: list[Lane] = []
        self._gone = 0
        self.races = False
        """Whether this end looks for a direct path beside the one of this session."""
        self.raced = False
        """Whether the other end is known to do so."""
        self.handlers: dict[int, Callable[[bytes], Awaitable[None]]] = {}
        """Control messages that are taken as they come, in place of `receive`."""
        self.spares = Spares(self)
        self.control = self._add(Lane(stream, CONTROL_KEYS, established, role))
        self.rekeying = Rekeying(self)

    @property
    def tag(self) -> bytes:
        """What a LaneHello for this session begins with, under the present root."""
        return lane_tag(self.established.schedule)

    async def __aenter__(self) -> Session:
        if self.path.kind == "relay":
            from tallow_core.paths.direct_path_finder import Racer

            racer = Racer(self)
            self.races = racer.takes_part
            self.spawn(racer.run())
        self.spawn(self._listen())
        self.spawn(self._ping())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            await self._last_words(error)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(
            *(lane.aclose() for lane in self._lanes + self._dropped), return_exceptions=True
        )
        self.established.schedule.wipe()
        if self._failed.done() and not self._failed.cancelled():
            self._failed.exception()  # seen: nobody needs to be told again

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` until it is done or the session ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The same; if it fails, the session does."""
        task = self.task(work)
        task.add_done_callback(self._watch)
        return task

    def _watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the session, whatever is under way."""
        if not self._failed.done():
            self._failed.set_exception(error)

    # -- messages --------------------------------------------------------------------------------

    async def send(self, kind: RecordType, body: bytes = b"", *, final: bool = False) -> None:
        """Send one message on the control lane."""
        await self.control.send(kind, body, final=final)

    async def receive(self) -> tuple[int, bytes]:
        """The next message of the other end; raises what ended the session (`RefusedError`,
        `BrokenOffError`, ...)."""
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        return await self.guard(self._inbox.get())

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, and stop it with the session's error if the session fails first."""
        task = asyncio.create_task(work)
        try:
            either: list[asyncio.Future[Any]] = [task, self._failed]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._failed.result()
            return await self._best_error(task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _best_error(self, task: asyncio.Task[T]) -> T:
        try:
            return task.result()
        except TransportError:
            # The other end may have said why on the control lane, a moment after a data lane broke.
            await asyncio.wait({self._failed}, timeout=LAST_WORDS_SECONDS)
            if self._failed.done():
                self._failed.result()
            raise

    async def _listen(self) -> None:
        lane = self.control
        while not lane.opener.finished:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    kind, body = await lane.receive()
            except TimeoutError:
                raise BrokenOffError(
                    f"nothing was heard from the other side for {SILENCE_SECONDS:g} s; try again"
                ) from None
            await self._dispatch(lane, kind, body)
        # What is still to come on other lanes has this long; the pings have ended.
        await asyncio.sleep(SILENCE_SECONDS)
        raise BrokenOffError(
            "the other side ended the session before the transfer was done; try again"
        )

    async def _dispatch(self, lane: Lane, kind: int, body: memoryview) -> None:
        if kind == RecordType.PING:
            return
        if kind == RecordType.EPOCH:
            await self.rekeying.epoch(lane, body)
        elif kind in (RecordType.REFUSE, RecordType.ERROR):
            raise _ended(kind, body)
        elif (handler := self.handlers.get(kind)) is not None:
            await handler(bytes(body))
        else:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._inbox.put((kind, bytes(body)))
            except TimeoutError:
                raise malformed("messages that nothing waits for") from None

    async def _ping(self) -> None:
        while not self.control.sealer.finished:
            await asyncio.sleep(PING_SECONDS)
            if not self.control.sealer.finished:
                await self.control.send(RecordType.PING)
                await self.rekeying.if_due()

    async def _last_words(self, error: BaseException) -> None:
        """Tell the other end why, if it can still be told."""
        if self.control.sealer.finished or (
            self._failed.done() and isinstance(error, TransportError)
        ):
            return
        if isinstance(error, FileSystemError):  # its sentence may name paths of this machine
            body = write_reason(
                error.exit_status, "a file or folder there cannot be read or written"
            )
        elif isinstance(error, TallowError):
            body = write_reason(error.exit_status, str(error))
        elif isinstance(error, asyncio.CancelledError):
            body = write_reason(EXIT_INTERRUPTED, "it was interrupted there")
        else:
            body = write_reason(EXIT_BUG, "something went wrong there")
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.control.send(RecordType.ERROR, body, final=True)

    # -- lanes -----------------------------------------------------------------------------------

    @property
    def lanes(self) -> Sequence[Lane]:
        """Those that are open."""
        return self._lanes

    @property
    def moved(self) -> int:
        """Bytes that were sealed and opened, on all lanes there were."""
        return self._gone + sum(lane.sealer.total + lane.opener.total for lane in self._lanes)

    def _add(self, lane: Lane) -> Lane:
        self._lanes.append(lane)
        return lane

    def drop(self, lane: Lane) -> None:
        """Close a lane that is not used any more."""
        lane.cut = True
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._dropped.append(lane)
            self._gone += lane.sealer.total + lane.opener.total
            self.task(self._close(lane))

    async def _close(self, lane: Lane) -> None:
        await lane.aclose()
        self._dropped.remove(lane)

    def tell_path(self, lane: Lane, reason: str) -> None:
        """The data goes another way from here on, because a path was "found", is "broken", or was
        "slower"."""
        self.spares.in_use = lane if lane.address else None
        self.context.event("path", path="direct" if lane.address else self.path.kind, reason=reason)
        self.context.reporter.note(f"the data goes by {lane.address or self.path.address}")

    @property
    def next_number(self) -> int:
        """The id of the next lane that this end opens."""
        return self._next_lane

    def dialled(self, number: int) -> Lane | None:
        """The lane of this id that this end opened, None if it is gone; raises
        `RemoteProtocolError` if it never opened one."""
        if number % 2 != FIRST_LANE[self.role] % 2 or not 0 < number < self._next_lane:
            raise malformed(f"a word on lane {number}, which was not opened here")
        return next((lane for lane in self._lanes if lane.keys.lane == number), None)

    async def dial_aside(self, dial: Dial, address: str, taken: Callable[[Lane], None]) -> Lane:
        """Join a lane by a stream to `address`, which is not the path of this session; `taken` as
        in `dial_lane`."""
        stream = await dial()
        number, self._next_lane = self._next_lane, self._next_lane + 2
        lane = await self._dial_lane(stream, number, dial, address, taken)
        await self.rekeying.catch_up(lane)
        return lane

    async def accept_aside(self, stream: ByteStream, hello: LaneHello, address: str) -> Lane:
        """Let a lane join that came from `address`, not by the path of this session."""
        lane = await self._accept_lane(stream, hello)
        lane.address = address
        return lane

    async def dial_lane(self, taken: Callable[[Lane], None] | None = None) -> Lane:
        """Open a further lane on the path of this session; every attempt uses a new lane id.
        `taken` is called with it before the other end can name it."""
        if self.path.dial is None:
            raise BrokenOffError("this path cannot be dialled again; try again")
        for attempt in range(LANE_ATTEMPTS):
            lane, self._next_lane = self._next_lane, self._next_lane + 2
            try:
                async with asyncio.timeout(LANE_SECONDS):
                    return await self._dial_lane(
                        await self.path.dial(), lane, self.path.dial, "", taken
                    )
            except (TallowError, TimeoutError) as error:
                self.context.reporter.note(f"lane {lane} could not be opened: {error}")
                if attempt + 1 == LANE_ATTEMPTS:
                    raise BrokenOffError(
                        "no further connection to the other side could be opened; try again"
                    ) from error
            # 1 s, then 2 s: longer than strangers at the host's listener are safe in the place that
            # the lane needs.
            await asyncio.sleep(attempt + 1)
        raise AssertionError("unreachable")

    async def _dial_lane(
        self,
        stream: ByteStream,
        lane: int,
        dial: Dial,
        address: str,
        taken: Callable[[Lane], None] | None,
    ) -> Lane:
        machine = LaneDialler(self.established.schedule, lane, system_rng)
        try:
            if len(self._lanes) >= OPEN_LANES:
                raise malformed(f"more than {OPEN_LANES} lanes")
            began = time.monotonic()
            await stream.send(machine.data_to_send())
            await _feed(machine, stream)
            assert machine.keys is not None
            joined = Lane(stream, machine.keys, self.established, self.role)
            joined.dial, joined.address, joined.rtt = dial, address, time.monotonic() - began
            joined.rekeys = (
                self.rekeying.count
            )  # with the keys: a rekey may come while the last message is sent
            if taken is not None:
                taken(joined)
            await stream.send(machine.data_to_send())
            if joined.cut:
                raise BrokenOffError("it ended as soon as it had joined")
        except BaseException:
            await stream.aclose()
            raise
        return self._add(joined)

    def expect(self, count: int) -> None:
        """At the host: the other end was asked for so many further lanes on the path of this
        session."""
        self._expected += count

    async def accept_lane(self, stream: ByteStream, hello: LaneHello) -> None:
        """Let a lane join whose LaneHello named this session; raises `AuthenticationError` if it
        does not prove it."""
        self._check_expected()
        lane = await self._accept_lane(stream, hello)
        self._check_expected()
        self._expected = max(0, self._expected - 1)
        self.spawn(self._drain(lane))
        self._joined.put_nowait(lane)

    def _check_expected(self) -> None:
        if (
            self._expected < 1 and self.spares.in_use is None
        ):  # a lane beside the path may break at any moment
            raise malformed("a lane that nobody asked for")

    async def _accept_lane(self, stream: ByteStream, hello: LaneHello) -> Lane:
        if hello.lane in self._used or hello.lane % 2 != FIRST_LANE[self.role.peer] % 2:
            raise malformed("a lane id that was used before")
        if len(self._lanes) >= OPEN_LANES:
            raise malformed(f"more than {OPEN_LANES} lanes")
        machine = LaneAcceptor(self.established.schedule, hello, system_rng)
        async with asyncio.timeout(LANE_SECONDS):
            await stream.send(machine.data_to_send())
            began = time.monotonic()
            await _feed(machine, stream)
        assert machine.keys is not None
        if hello.lane in self._used or len(self._lanes) >= OPEN_LANES:
            raise malformed("a lane id that was used before, or too many lanes")
        self._used.add(hello.lane)
        lane = Lane(stream, machine.keys, self.established, self.role)
        lane.rekeys, lane.rtt = self.rekeying.count, time.monotonic() - began
        return self._add(lane)

    async def next_lane(self, least: int = 0) -> Lane:
        """The next lane that the other end opened on the path of this session, of an id not below
        `least`; older ones are ended."""
        self._expected = max(self._expected, 0 if self._joined.qsize() else 1)
        try:
            async with asyncio.timeout(LANE_SECONDS * (LANE_ATTEMPTS + 1)):
                while (lane := await self.guard(self._joined.get())).keys.lane < least or lane.cut:
                    self.spawn(self.end(lane))
        except TimeoutError:
            raise BrokenOffError(
                "the other side opened no data connection in time; try again"
            ) from None
        return lane

    def joined_lane(self) -> Lane | None:
        """One that the other end has opened on the path of this session and that nothing goes by
        yet, if there is one."""
        while not self._joined.empty():
            if not (lane := self._joined.get_nowait()).cut:
                return lane
        return None

    async def end(self, lane: Lane) -> None:
        """End our direction of a lane that is not needed."""
        with contextlib.suppress(TransportError, LocalProtocolError):  # it has ended by itself
            await lane.send(RecordType.CLOSE, final=True)

    async def _drain(self, lane: Lane) -> None:
        """The direction of a data lane that carries no data: epochs, and its authenticated end."""
        try:
            while not lane.opener.finished:
                kind, body = await lane.receive()
                if kind == RecordType.EPOCH:
                    await self.rekeying.epoch(lane, body)
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


def _ended(kind: int, body: memoryview) -> TallowError:
    _, text = read_reason(body)
    said = printable(text)
    if kind == RecordType.REFUSE:
        return RefusedError(f"the other side refused: {said}")
    return StoppedError(f"the other side stopped: {said}")
