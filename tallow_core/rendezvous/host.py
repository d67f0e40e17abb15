"""The host: makes the code, waits at every path at once, and lets in the first guest that proves it
knows the code."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tallow_core.aio import Scope
from tallow_core.errors import (
    AuthenticationError,
    ConfigError,
    PolicyError,
    TallowError,
    UnreachableError,
)
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.handshake.code import Code
from tallow_core.protocol.handshake.guess_budget import Budget
from tallow_core.protocol.handshake.handshake_machine import STATE_SECONDS, Established, ProofDue
from tallow_core.protocol.handshake.join import read_join
from tallow_core.protocol.relay.relay_frames import GuestWaiting, RelayRefused
from tallow_core.rendezvous.guess_counter import FileTally
from tallow_core.rendezvous.profile_checks import wishes
from tallow_core.rendezvous.relay_client import HostRoom
from tallow_core.secrets import equal, system_rng
from tallow_core.session.context import Context
from tallow_core.session.frame_io import best_effort, read_frame, read_some, write_frame
from tallow_core.spi.transport import ByteStream, Listener
from tallow_core.types import Endpoint, NetworkPath, Role

# Modules that only a guest needs are imported when one comes; `transfer.send` imports them while
# it waits.
if TYPE_CHECKING:
    from tallow_core.protocol.handshake.host_handshake import HostHandshake
    from tallow_core.session.session import Session

MAX_UNPROVED_STREAMS = 8
"""The most open connections that have not proved the code."""
MAX_REFUSALS = 64
"""The most connections that are refused with an answer at a time, while all places are taken."""
MAX_TAKES = 16
"""The most guests of a room that are taken at a time. The next ones wait, and so does the relay
that announces them."""
SAFE_SECONDS = 2.0
"""The time for which a guest that has not proved itself cannot be displaced by another one."""


class CodeVoid(AuthenticationError):
    """Too many wrong proofs: the code is void."""

    code = "code-void"


@dataclass(slots=True, eq=False, repr=False)
class _Stranger:
    """A connection that has proved nothing yet."""

    since: float
    stream: ByteStream
    task: asyncio.Task[None] | None = None
    displaced: bool = False
    proving: bool = False
    """Whether its proof waits to be checked. It keeps its place for that time."""


class Host:
    """A host that waits under one code. `open_host` makes it; `session` waits for the guest."""

    def __init__(self, context: Context, code: Code) -> None:
        self.context = context
        self.code = code
        self.listening: list[Endpoint] = []
        context.policy.demand()  # a refusal comes before a code is shown
        tally = FileTally(context.settings.directories.state, Role.HOST, code.nameplate)
        limits = context.policy.limits
        self._wishes = wishes(limits)
        self._budget = Budget(min(code.guesses, limits.guesses), tally)
        self._checking = asyncio.Lock()
        self._strangers: list[_Stranger] = []
        self.scope = Scope()
        self._session: Session | None = None
        self._won = False
        self._turning = 0
        self._said: set[str] = set()
        self._rooms = 0
        self._proved: asyncio.Future[tuple[Established, ByteStream, NetworkPath]] = (
            asyncio.get_running_loop().create_future()
        )

    async def session(self) -> Session:
        """Wait for a guest that proves itself. Raises `CodeVoid` when the guess budget is spent."""
        if self._budget.void:
            raise CodeVoid(
                "this code is void after too many wrong guesses; send again for a new one"
            )
        established, stream, path = await self.scope.guard(self._proof())
        from tallow_core.session.session import Session

        self._session = Session(self.context, Role.HOST, established, stream, path)
        return self._session

    async def _proof(self) -> tuple[Established, ByteStream, NetworkPath]:
        return await self._proved

    def forget_guesses(self) -> None:
        """Forget the guesses that were counted under the nameplate. The code is new: a relay may
        have chosen its number, and those guesses were for other words."""
        self._budget.clear()

    def again(self) -> None:
        """Wait for a proof again. The guest left before it accepted anything; that guest or another
        one may come."""
        self._session = None
        self._won = False
        self._proved = asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        """Stop waiting; a session that was handed out goes on."""
        await self.scope.close()

    # -- paths -----------------------------------------------------------------------------------

    async def accept(
        self, listener: Listener, kind: Literal["local", "direct"], transport: str
    ) -> None:
        """Serve a listener of the driver `transport` until cancelled."""
        while True:
            stream = await listener.accept()
            if self._turning >= MAX_REFUSALS:  # a flood: no more than this is worth an answer
                await stream.aclose()
                continue
            self._meet(stream, NetworkPath(kind, stream.facts.peer, transport), None)

    async def attend(self, room: HostRoom) -> None:
        """Take the guests of a room until cancelled. If a relay takes the room away, the wait ends
        unless there is another path."""
        self._rooms += 1
        places = asyncio.Semaphore(MAX_TAKES)
        try:
            async for guest in room.guests():
                await places.acquire()
                self.scope.spawn(self._take(room, guest)).add_done_callback(
                    lambda _: places.release()
                )
        except (RelayRefused, AuthenticationError) as refusal:
            self._rooms -= 1
            if not self._rooms and not self.listening:
                raise
            self.context.reporter.warn(f"the relay {room.endpoint.url} is left out: {refusal}")

    async def _take(self, room: HostRoom, guest: GuestWaiting) -> None:
        try:
            stream = await room.take(guest)
        except TallowError as error:
            self.context.reporter.note(f"a guest of the relay could not be taken: {error}")
            return
        transport = self.context.network.transport(room.endpoint.scheme).name
        self._meet(stream, NetworkPath("relay", room.endpoint.url, transport), guest.lane)

    def _meet(self, stream: ByteStream, path: NetworkPath, lane: bool | None) -> None:
        """Give a new connection a place among the unproved ones. `lane` is the flag in its Join if
        a relay has read that, else None."""
        now = asyncio.get_running_loop().time()
        if len(self._strangers) >= MAX_UNPROVED_STREAMS:
            oldest = next((stranger for stranger in self._strangers if not stranger.proving), None)
            if oldest is None or now - oldest.since < SAFE_SECONDS:
                self._turning += 1
                self.scope.spawn(_turn_away(stream, Alert.DISPLACED)).add_done_callback(
                    self._turned
                )
                return
            oldest.displaced = True
            if oldest.task is not None:
                oldest.task.cancel()
            self._forget(oldest)
        stranger = _Stranger(now, stream)
        self._strangers.append(stranger)
        stranger.task = self.scope.spawn(self._serve(stranger, path, lane))
        stranger.task.add_done_callback(lambda _: self._forget(stranger))

    def _turned(self, task: asyncio.Task[None]) -> None:
        self._turning -= 1

    def _forget(self, stranger: _Stranger) -> None:
        if stranger in self._strangers:
            self._strangers.remove(stranger)

    async def _serve(self, stranger: _Stranger, path: NetworkPath, lane: bool | None) -> None:
        stream, kept = stranger.stream, False
        try:
            if lane is None:
                lane = await self._joined(stream)
            kept = await (self._lane(stream, path) if lane else self._handshake(stream, path))
        except (TallowError, TimeoutError) as error:
            self.context.reporter.note(f"a guest ({path.kind}) did not get in: {error}")
        except asyncio.CancelledError:
            if stranger.displaced:
                await best_effort(stream, _alert(Alert.DISPLACED).encoded)
            raise
        finally:
            if not kept:
                await stream.aclose()

    async def _joined(self, stream: ByteStream) -> bool:
        join = read_join(await read_frame(stream, STATE_SECONDS))
        if join.nameplate != self.code.nameplate:
            await write_frame(stream, _alert(Alert.WRONG_NAMEPLATE))
            raise UnreachableError("it asked for another code")
        return join.lane

    async def _lane(self, stream: ByteStream, path: NetworkPath) -> bool:
        from tallow_core.protocol.lanes.lane_join import read_lane_hello

        hello = read_lane_hello(await read_frame(stream, STATE_SECONDS))
        session = self._session
        if session is None or not equal(hello.tag, session.lanes.tag):
            raise UnreachableError("it asked for a session that is not here")
        if not self.context.admits(session.established.suite, path):
            raise PolicyError("policy does not admit the suite of this session on that path")
        await session.lanes.accept(stream, hello)
        return True

    # -- the handshake ---------------------------------------------------------------------------

    async def _handshake(self, stream: ByteStream, path: NetworkPath) -> bool:
        if self._won:
            await best_effort(stream, _alert(Alert.TAKEN).encoded)
            return False
        try:
            drivers = self.context.drivers(path)
        except PolicyError as error:  # a rule closes this path
            self._say_once(f"a guest came by a path that policy closes: {error}")
            await best_effort(stream, _alert(Alert.NO_SUITE).encoded)
            raise
        from tallow_core.protocol.handshake.host_handshake import HostHandshake

        machine = HostHandshake(
            self.code, drivers, system_rng, self.context.veto_suite, self._wishes
        )
        try:
            async with asyncio.timeout(STATE_SECONDS):
                await _until_proof(machine, stream)
            established = await self._check(machine)
            await self._finish(machine, stream)
        except TimeoutError:
            machine.refuse(Alert.TIMEOUT)
            raise UnreachableError("it stopped before it proved anything") from None
        except PolicyError as error:
            self._say_once(f"a guest shares no suite with this side, still waiting: {error}")
            raise
        finally:
            if alert := machine.data_to_send():
                await best_effort(stream, alert)
        if self._proved.done() or self.scope.failed:  # the wait ended with an error meanwhile
            return False
        self._proved.set_result((established, stream, path))
        return True

    def _say_once(self, text: str) -> None:
        """Warn the first time; only note it after that. Any stranger can cause the same text
        again."""
        if text in self._said:
            self.context.reporter.note(text)
        else:
            self._said.add(text)
            self.context.reporter.warn(text)

    async def _finish(self, machine: HostHandshake, stream: ByteStream) -> None:
        """Send Done; a guest that cannot be reached any more gives its place back."""
        try:
            async with asyncio.timeout(STATE_SECONDS):
                await stream.send(machine.data_to_send())
        except BaseException:
            self._won = False
            raise

    async def _check(self, machine: HostHandshake) -> Established:
        """Check one proof. Proofs are checked one at a time, at the pace of the budget. Each is
        charged before it is compared."""
        for stranger in self._strangers:
            stranger.proving |= stranger.task is asyncio.current_task()
        async with self._checking:
            await asyncio.sleep(self._budget.delay(asyncio.get_running_loop().time()))
            if self._won:
                machine.refuse(Alert.TAKEN)
                raise UnreachableError("the code was used in the meantime")
            if self._budget.void:
                machine.refuse(Alert.VOID)
                raise UnreachableError("the code is void")
            try:
                self._budget.charge()
            except ConfigError as error:  # an uncounted guess is not checked, and no other will be
                machine.refuse(Alert.TIMEOUT)
                self.scope.fail(error)
                raise
            try:
                machine.check()
            except AuthenticationError:
                self._wrong()
                raise
            self._budget.give_back()
            self._won = True
        event = machine.next_event()
        assert isinstance(event, Established)
        return event

    def _wrong(self) -> None:
        spent, limit = self._budget.spent, self._budget.limit
        self.context.reporter.warn(
            f"somebody tried a wrong code ({spent} of {limit} guesses); still waiting"
        )
        if self._budget.void:
            self.scope.fail(
                CodeVoid(f"this code is void after {limit} wrong guesses; send again for a new one")
            )


def _alert(number: Alert) -> Frame:
    return Frame(FrameType.ALERT, bytes([number]))


async def _turn_away(stream: ByteStream, number: Alert) -> None:
    await best_effort(stream, _alert(number).encoded)
    await stream.aclose()


async def _until_proof(machine: HostHandshake, stream: ByteStream) -> None:
    while True:
        if data := machine.data_to_send():
            await stream.send(data)
        if isinstance(machine.next_event(), ProofDue):
            return
        machine.receive(await read_some(stream, machine.wants))
