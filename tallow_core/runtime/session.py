"""A session after the handshake: the control lane, further lanes, pings, rekeying, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from tallow_core.errors import EXIT_BUG, EXIT_INTERRUPTED, BrokenOffError, FileSystemError, RefusedError, TallowError, TransportError
from tallow_core.policy import Route
from tallow_core.protocol.handshake import Established
from tallow_core.protocol.lanes import CONTROL_KEYS, CONTROL_LANE, LaneAcceptor, LaneDialler, LaneHello, lane_tag
from tallow_core.protocol.messages import Rekey, read_reason, read_rekey, write_reason
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.wire import Reader, malformed
from tallow_core.runtime.context import Context
from tallow_core.runtime.frames import read_some
from tallow_core.runtime.lane import Lane
from tallow_core.runtime.safety import SafetyNumber
from tallow_core.secrets import system_rng
from tallow_core.spi.kem import KemPair
from tallow_core.spi.transport import ByteStream
from tallow_core.text import printable
from tallow_core.types import Role

T = TypeVar("T")

PING_SECONDS = 15.0
SILENCE_SECONDS = 60.0
LANE_SECONDS = 15.0
LAST_WORDS_SECONDS = 2.0
LANE_ATTEMPTS = 3
OPEN_LANES = 16
FIRST_LANE = {Role.HOST: 2, Role.GUEST: 1}


class StoppedError(BrokenOffError):
    """The other side said that it stops: there is nobody to dial again."""


@dataclass(frozen=True, slots=True)
class Path:
    """How the other end was reached. `kind` is local, direct or relay; `transport` that of our end; `dial` opens a further stream, past its
    Join (guest only)."""

    kind: str
    address: str
    transport: str
    dial: Callable[[], Awaitable[ByteStream]] | None = None

    @property
    def route(self) -> Route:
        """What the rules of policy look at."""
        return Route(self.transport, self.kind == "relay")


class Session:
    """Both ends. Use as an async context manager: entering starts listening and pinging, leaving closes every lane."""

    def __init__(self, context: Context, role: Role, established: Established, stream: ByteStream, path: Path) -> None:
        self.context = context
        self.role = role
        self.established = established
        self.path = path
        self.safety = SafetyNumber(established, role)
        self._limits = context.policy.limits
        self._lanes: list[Lane] = []
        self._joined: asyncio.Queue[Lane] = asyncio.Queue()
        self._next_lane = FIRST_LANE[role]
        self._used: set[int] = {CONTROL_LANE}
        self._inbox: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=4)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rekey_pair: KemPair | None = None
        self._rekey_request = b""
        self._rekeys = 0
        self._rekeyed_bytes = 0
        self._rekeyed_at = time.monotonic()
        self.control = self._add(Lane(stream, CONTROL_KEYS, established, role))

    @property
    def tag(self) -> bytes:
        """What a LaneHello for this session begins with, under the present root."""
        return lane_tag(self.established.schedule)

    async def __aenter__(self) -> Session:
        self._spawn(self._listen())
        self._spawn(self._ping())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            await self._last_words(error)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.aclose() for lane in self._lanes), return_exceptions=True)
        self.established.schedule.wipe()
        if self._failed.done() and not self._failed.cancelled():
            self._failed.exception()  # seen: nobody needs to be told again

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._watch)

    def _watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    # -- messages -------------------------------------------------------------------------------------------------------------

    async def send(self, kind: RecordType, body: bytes = b"", *, final: bool = False) -> None:
        """Send one message on the control lane."""
        await self.control.send(kind, body, final=final)

    async def receive(self) -> tuple[int, bytes]:
        """The next message of the other end; raises what ended the session (`RefusedError`, `BrokenOffError`, ...)."""
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
                raise BrokenOffError(f"nothing was heard from the other side for {SILENCE_SECONDS:g} s; try again") from None
            await self._dispatch(lane, kind, body)
        # What is still to come on other lanes has this long; the pings have ended.
        await asyncio.sleep(SILENCE_SECONDS)
        raise BrokenOffError("the other side ended the session before the transfer was done; try again")

    async def _dispatch(self, lane: Lane, kind: int, body: memoryview) -> None:
        if kind == RecordType.PING:
            return
        if kind == RecordType.EPOCH:
            await self.epoch(lane, body)
        elif kind == RecordType.REKEY:
            await self._rekey_asked(bytes(body))
        elif kind == RecordType.REKEY_ANSWER:
            await self._rekey_answered(bytes(body))
        elif kind in (RecordType.REFUSE, RecordType.ERROR):
            raise _ended(kind, body)
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
                await self.rekey_if_due()

    async def _last_words(self, error: BaseException) -> None:
        """Tell the other end why, if it can still be told."""
        if self.control.sealer.finished or (self._failed.done() and isinstance(error, TransportError)):
            return
        if isinstance(error, FileSystemError):  # its sentence may name paths of this machine
            body = write_reason(error.exit_status, "a file or folder there cannot be read or written")
        elif isinstance(error, TallowError):
            body = write_reason(error.exit_status, str(error))
        elif isinstance(error, asyncio.CancelledError):
            body = write_reason(EXIT_INTERRUPTED, "it was interrupted there")
        else:
            body = write_reason(EXIT_BUG, "something went wrong there")
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.control.send(RecordType.ERROR, body, final=True)

    # -- lanes ----------------------------------------------------------------------------------------------------------------

    def _add(self, lane: Lane) -> Lane:
        self._lanes.append(lane)
        return lane

    async def dial_lane(self) -> Lane:
        """Open a further lane on the path of this session; every attempt uses a new lane id."""
        if self.path.dial is None:
            raise BrokenOffError("this path cannot be dialled again; try again")
        for attempt in range(LANE_ATTEMPTS):
            lane, self._next_lane = self._next_lane, self._next_lane + 2
            try:
                async with asyncio.timeout(LANE_SECONDS):
                    return await self._dial_lane(await self.path.dial(), lane)
            except (TallowError, TimeoutError) as error:
                self.context.reporter.note(f"lane {lane} could not be opened: {error}")
                if attempt + 1 == LANE_ATTEMPTS:
                    raise BrokenOffError("no further connection to the other side could be opened; try again") from error
            # 1 s, then 2 s: longer than strangers at the host's listener are safe in the place that the lane needs.
            await asyncio.sleep(attempt + 1)
        raise AssertionError("unreachable")

    async def _dial_lane(self, stream: ByteStream, lane: int) -> Lane:
        machine = LaneDialler(self.established.schedule, lane, system_rng)
        try:
            await stream.send(machine.data_to_send())
            await _feed(machine, stream)
            assert machine.keys is not None
            joined = Lane(stream, machine.keys, self.established, self.role)
            joined.rekeys = self._rekeys  # with the keys: a rekey may come while the last message is sent
            await stream.send(machine.data_to_send())
        except BaseException:
            await stream.aclose()
            raise
        return self._add(joined)

    async def accept_lane(self, stream: ByteStream, hello: LaneHello) -> None:
        """Let a lane join whose LaneHello named this session; raises `AuthenticationError` if it does not prove it."""
        if hello.lane in self._used or hello.lane % 2 != FIRST_LANE[self.role.peer] % 2:
            raise malformed("a lane id that was used before")
        if len(self._lanes) >= OPEN_LANES:
            raise malformed(f"more than {OPEN_LANES} lanes")
        machine = LaneAcceptor(self.established.schedule, hello, system_rng)
        async with asyncio.timeout(LANE_SECONDS):
            await stream.send(machine.data_to_send())
            await _feed(machine, stream)
        assert machine.keys is not None
        if hello.lane in self._used or len(self._lanes) >= OPEN_LANES:
            raise malformed("a lane id that was used before, or too many lanes")
        self._used.add(hello.lane)
        lane = Lane(stream, machine.keys, self.established, self.role)
        lane.rekeys = self._rekeys
        self._joined.put_nowait(self._add(lane))

    async def next_lane(self) -> Lane:
        """The next lane that the other end opened; its far direction is drained in the background."""
        try:
            async with asyncio.timeout(LANE_SECONDS * (LANE_ATTEMPTS + 1)):
                lane = await self.guard(self._joined.get())
        except TimeoutError:
            raise BrokenOffError("the other side opened no data connection in time; try again") from None
        self._spawn(self._drain(lane))
        return lane

    async def _drain(self, lane: Lane) -> None:
        """The direction of a data lane that carries no data: epochs, and its authenticated end."""
        while not lane.opener.finished:
            kind, body = await lane.receive()
            if kind == RecordType.EPOCH:
                await self.epoch(lane, body)
            elif kind != RecordType.CLOSE:
                raise malformed(f"record {kind:#04x} against the flow of a data lane")

    # -- rekeying -------------------------------------------------------------------------------------------------------------

    async def rekey_if_due(self) -> None:
        """At the host: begin a fresh KEM if enough bytes or time have passed and none is under way."""
        if self.role is not Role.HOST or self._rekey_pair is not None or self._unanswered():
            return
        moved, seconds = self._moved() - self._rekeyed_bytes, time.monotonic() - self._rekeyed_at
        if moved < self._limits.rekey_bytes and seconds < self._limits.rekey_seconds:
            return
        if self.control.sealer.finished:
            return
        self._rekey_pair = self.established.kem.generate()
        self._rekey_request = Rekey(self._rekeys + 1, self._rekey_pair.public).encoded()
        await self.control.send(RecordType.REKEY, self._rekey_request)

    def _unanswered(self) -> bool:
        """Whether a lane has yet to follow the last rekey."""
        return any(lane.rekeys < self._rekeys and not lane.opener.finished for lane in self._lanes)

    def _moved(self) -> int:
        return sum(lane.sealer.total + lane.opener.total for lane in self._lanes)

    async def _rekey_asked(self, body: bytes) -> None:
        request = read_rekey(body)
        if self.role is not Role.GUEST or request.number != self._rekeys + 1 or self._unanswered():
            raise malformed("a Rekey out of turn")
        ciphertext, secret = self.established.kem.encapsulate(request.material)
        answer = Rekey(request.number, ciphertext).encoded()
        await self.control.send(RecordType.REKEY_ANSWER, answer)
        self._renew(secret, body + answer)

    async def _rekey_answered(self, body: bytes) -> None:
        answer = read_rekey(body)
        if self._rekey_pair is None or answer.number != self._rekeys + 1:
            raise malformed("a RekeyAnswer out of turn")
        secret = self.established.kem.decapsulate(self._rekey_pair, answer.material)
        self._rekey_pair.wipe()
        self._rekey_pair = None
        self._renew(secret, self._rekey_request + body)
        for lane in [lane for lane in self._lanes if lane.rekeys < self._rekeys]:  # one that joins from here on has the new root
            await lane.send_epoch(self._rekeys, self.established.schedule)

    def _renew(self, secret: bytearray, messages: bytes) -> None:
        self.established.schedule.renew(secret, messages)
        self._rekeys += 1
        self._rekeyed_bytes, self._rekeyed_at = self._moved(), time.monotonic()
        self.context.reporter.note(f"fresh keys from a new KEM run (number {self._rekeys})", 2)

    async def epoch(self, lane: Lane, body: memoryview) -> None:
        """The other end ended its epoch on `lane`; the guest answers with its own, so that the host knows when all have moved on."""
        reader = Reader(body, "Epoch")
        number = reader.u32()
        reader.end()
        if number != self._rekeys or lane.rekeys != number - 1:
            raise malformed("an Epoch out of turn")
        lane.rekeys = number
        lane.renew_opener(self.established.schedule)
        if self.role is Role.GUEST:
            await lane.send_epoch(number, self.established.schedule)


async def _feed(machine: LaneDialler | LaneAcceptor, stream: ByteStream) -> None:
    while machine.keys is None:
        machine.receive(await read_some(stream, machine.wants))


def _ended(kind: int, body: memoryview) -> TallowError:
    _, text = read_reason(body)
    said = printable(text)
    if kind == RecordType.REFUSE:
        return RefusedError(f"the other side refused: {said}")
    return StoppedError(f"the other side stopped: {said}")
