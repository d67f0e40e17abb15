"""While a session runs through a relay, both ends look for a direct path beside it.

Each end listens where its nat drivers say that it may be reached, and lists the addresses to the
other end, sealed. Each dials what the other lists, several at once. Where nothing joins, nat
drivers of both ends may punch. What joins is a spare lane; the host moves the data to it
(`tallow_core.paths.record_sender`). An end that gives no address away neither dials nor listens.
Addresses come and go, so both are looked at again, ever less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress

from tallow_core.aio import Scope
from tallow_core.errors import LocalProtocolError, TallowError, TransportError
from tallow_core.paths.connection_streams import StreamSource, each_stream
from tallow_core.paths.dial_admission import DialAdmission
from tallow_core.paths.lane_pool import JOIN_SECONDS, LanePool
from tallow_core.paths.nat_drivers import NatDrivers
from tallow_core.paths.own_candidates import own_candidates
from tallow_core.paths.signal_exchange import SignalExchange
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.candidates import (
    MAX_CANDIDATE_LISTS,
    MAX_CANDIDATES,
    Candidate,
    read_candidates,
    refusal,
    write_candidates,
)
from tallow_core.protocol.lanes.lane_join import read_lane_hello
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.secrets import equal
from tallow_core.session.channel import Channel
from tallow_core.session.context import Context
from tallow_core.session.frame_io import read_frame
from tallow_core.session.lane_set import LaneSet
from tallow_core.spi.nat import Hole, Nat, Punches, Reach, SignalChannel, SocketProtocol
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, NetworkPath, Role, SocketAddress, Trust

STAGGER_SECONDS = 0.075
MAX_DIALS_AT_ONCE = 8
MAX_UNPROVED_STREAMS = 8
"""The most connections to this end's listeners that have not proved the session yet."""
MAX_PUNCHES = 3
"""The most times that each driver punches in a session."""
PUNCH_SECONDS = 10.0
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 2.0, 60.0
MAX_HELLO_BYTES = 64


class DirectPathFinder:
    """Looks for a direct path, at one end of one session. Without a `transport` this end takes no
    part: it only checks and counts what the other end sends."""

    def __init__(
        self,
        context: Context,
        scope: Scope,
        channel: Channel,
        lanes: LaneSet,
        pool: LanePool,
        transport: Transport | None,
    ) -> None:
        self._context = context
        self._scope = scope
        self._channel = channel
        self._lanes = lanes
        self._pool = pool
        self._transport = transport
        touches = frozenset() if transport is None else transport.touches
        self._protocol: SocketProtocol = "udp" if "udp" in touches else "tcp"
        self._wake = asyncio.Event()
        self._admission = DialAdmission(context)
        self._signals = SignalExchange(channel, self._admission, self._peer_searches)
        nats = context.nats if transport is not None else []
        self._nats = NatDrivers(nats, scope, context.reporter, self._wake.set)
        self._signal_channels: dict[str, SignalChannel] = {
            driver.name: self._signals.open(driver.name) for driver, _ in self._nats.punching
        }
        self._listeners: dict[SocketAddress, Listener] = {}
        self._punched: set[SocketAddress] = set()
        self._punching: asyncio.Task[None] | None = None
        self._punches = 0
        self._listed: list[Candidate] = []
        self._lists_sent = self._lists_read = 0
        self._theirs: list[Candidate] = []
        self._unproved = 0
        channel.handle(RecordType.CANDIDATES, self._on_candidates)
        pool.searches = transport is not None

    async def run(self) -> None:
        """Look for a direct path until the session ends."""
        if self._transport is None:
            return
        try:
            pause = FIRST_PAUSE_SECONDS
            while True:
                await self._list()
                await self._dial_all()
                self._punch_all()
                woken = await self._woken(pause)
                pause = FIRST_PAUSE_SECONDS if woken else min(pause * 2, MAX_PAUSE_SECONDS)
        finally:
            await asyncio.gather(
                *(listener.aclose() for listener in self._listeners.values()),
                return_exceptions=True,
            )

    async def _woken(self, pause: float) -> bool:
        """Wait for the other end's next list, for a change of this end's mappings, or for `pause`
        seconds. Returns whether one of the two came."""
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    # -- ours ------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """Listen at the present addresses, and list them if they differ from before. If this end
        now listens at new addresses, the nat drivers are asked once more."""
        for _ in range(2):
            before = self._bases()
            reaches: list[Reach] = []
            async for reaches in self._nats.gather(before):
                await self._listen_for(reaches)
                await self._send_list(reaches)
            await self._close_all_but(reaches)
            if self._bases() == before:
                break
        self._nats.keep_mapped(self._bases())

    def _bases(self) -> list[SocketAddress]:
        return [_place(listener.bound) for listener in self._listeners.values()]

    async def _send_list(self, reaches: list[Reach]) -> None:
        ours = own_candidates(reaches, self._listeners, self._protocol)
        if (
            not ours
            or ours == self._listed
            or self._lists_sent >= MAX_CANDIDATE_LISTS
            or self._channel.ended
        ):
            return
        self._listed = ours
        self._lists_sent += 1
        with contextlib.suppress(
            LocalProtocolError
        ):  # our final message went out while this one waited for the lane
            await self._channel.post(RecordType.CANDIDATES, write_candidates(ours))

    async def _listen_for(self, reaches: list[Reach]) -> None:
        """Listen at each base that asks for it."""
        for base in _bases_to_listen_at(reaches):
            await self._listen(base)

    async def _close_all_but(self, reaches: list[Reach]) -> None:
        """Close the listeners that no driver asks for any more. `reaches` are those of a whole
        gathering: a slow driver's may be missing from the lists before the last."""
        for base in self._listeners.keys() - {*_bases_to_listen_at(reaches), *self._punched}:
            await self._listeners.pop(base).aclose()

    async def _listen(self, base: SocketAddress) -> None:
        assert self._transport is not None
        if base in self._listeners:
            return
        with contextlib.suppress(TransportError):  # it may be too new, or gone again
            place = Endpoint(self._transport.schemes[0], base.host, base.port)
            shared = bool(self._nats.punching)
            bound = await self._transport.listen(place, lasting=False, shared=shared)
            listener = self._listeners[base] = each_stream(bound, self._transport)
            self._scope.spawn(self._accept(listener))

    async def _accept(self, listener: Listener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except TransportError:
                return
            if (
                self._unproved >= MAX_UNPROVED_STREAMS
            ):  # strangers: the session goes on by the relay
                await stream.aclose()
            else:
                self._unproved += 1
                self._scope.task(self._take(stream)).add_done_callback(self._taken)

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._unproved -= 1
        self._scope.watch(task)

    async def _take(self, stream: ByteStream) -> None:
        address = stream.facts.peer
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                self._admission.ask_plugins(address)
                hello = read_lane_hello(await read_frame(stream, None, cap=MAX_HELLO_BYTES))
                if not equal(hello.tag, self._lanes.tag):
                    raise malformed("a lane of another session")
                await self._pool.accept(stream, hello, address)
        except (TallowError, TimeoutError) as error:
            self._context.reporter.note(
                f"a connection from {address} did not become a lane: {error}", 2
            )
            await stream.aclose()
        except BaseException:
            await stream.aclose()
            raise

    def _peer_searches(self) -> None:
        self._pool.peer_searches = True

    # -- theirs ----------------------------------------------------------------------------------

    async def _on_candidates(self, body: bytes) -> None:
        candidates = read_candidates(body)
        self._lists_read += 1
        if self._lists_read > MAX_CANDIDATE_LISTS:
            raise malformed(f"more than {MAX_CANDIDATE_LISTS} lists of candidates")
        self._peer_searches()
        admitted = [candidate for candidate in candidates if self._admits(candidate)]
        self._theirs = sorted(admitted, key=lambda candidate: -candidate.priority)
        self._wake.set()

    def _admits(self, candidate: Candidate) -> bool:
        ours = self._transport is not None and candidate.transport == self._transport.name
        but = "" if ours else "not by a transport that is used here"
        return self._admission.admit(candidate.address, candidate.port, but=but)

    async def _dial_all(self) -> None:
        """Dial all addresses that the other end has listed, each a little after the one before. The
        first lane that joins ends the others."""
        pending: set[asyncio.Task[None]] = set()
        try:
            for candidate in self._theirs:
                if not self._pool.wanted or not self._admission.counts(candidate.endpoint):
                    break
                pending.add(asyncio.create_task(self._dial(candidate.endpoint)))
                _, pending = await asyncio.wait(pending, timeout=STAGGER_SECONDS)
                while len(pending) >= MAX_DIALS_AT_ONCE:
                    _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            while pending and self._pool.wanted:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _dial(self, endpoint: Endpoint, local: SocketAddress | None = None) -> None:
        try:
            self._admission.ask_plugins(endpoint.url)
            source = StreamSource(functools.partial(self._open, endpoint, local))
            await self._pool.dial(source.open, endpoint.url)
        except (TallowError, TimeoutError) as error:
            self._context.reporter.note(
                f"no direct path by {endpoint.url}: {error or 'no answer in time'}", 2
            )

    async def _open(self, endpoint: Endpoint, local: SocketAddress | None) -> ByteStream:
        assert self._transport is not None
        deadline = asyncio.get_running_loop().time() + JOIN_SECONDS
        path = NetworkPath("direct", endpoint.url, self._transport.name)
        return await self._context.network.dial(
            endpoint, deadline, path, trust=Trust.SESSION, local=local
        )

    # -- punching --------------------------------------------------------------------------------

    def _punch_all(self) -> None:
        """Let the drivers punch, one after the other, if dialling has not led to a direct path."""
        busy = self._punching is not None and not self._punching.done()
        drivers = [each for each in self._nats.punching if each[0].name in self._signal_channels]
        if drivers and not busy and self._pool.wanted and self._punches < MAX_PUNCHES:
            self._punches += 1
            self._punching = self._scope.spawn(self._punch_in_turn(drivers))

    async def _punch_in_turn(self, drivers: list[tuple[Nat, Punches]]) -> None:
        for driver, punches in drivers:
            if self._pool.wanted:
                await self._punch(driver, punches)

    async def _punch(self, driver: Nat, punches: Punches) -> None:
        signals = self._signal_channels[driver.name]
        deadline = asyncio.get_running_loop().time() + PUNCH_SECONDS
        try:
            async with asyncio.timeout_at(deadline + 1):
                hole = await punches.punch(self._lanes.role, signals, deadline)
            await self._use(hole)
        except (TallowError, TimeoutError) as error:
            why = error or "no way in time"
            self._context.reporter.note(f"{driver.name} did not punch: {why}", 2)
        except Exception as error:  # a plugin's: the session goes on
            self._nats.leave_out(driver, error)

    async def _use(self, hole: Hole) -> None:
        """Use a punched hole. The guest dials and the host accepts, so that it is clear which end
        is the client."""
        assert self._transport is not None
        remote = self._admission.demand(hole.remote)
        if hole.protocol != self._protocol:
            raise TransportError(f"it is a way for {hole.protocol}, which is not used here")
        if self._lanes.role is Role.GUEST:
            if self._admission.counts(remote):
                await self._dial(Endpoint(self._transport.schemes[0], *remote), hole.local)
        elif not refusal(ipaddress.ip_address(hole.local.host)):
            self._punched.add(hole.local)
            await self._listen(hole.local)


def _place(endpoint: Endpoint) -> SocketAddress:
    assert endpoint.port is not None
    return SocketAddress(endpoint.host, endpoint.port)


def direct_transport(
    context: Context, established: Established, path: NetworkPath, *, compares: bool
) -> Transport | None:
    """Choose the transport for direct lanes beside `path`: the first with addresses that policy
    allows there together with the suite of this session.

    Returns None where nothing may go beside `path`, where no address may be given away, and where
    either end asks for padding or the safety number, as an end that hides does.
    """
    network = context.network
    if context.hidden or established.padded or compares or network.alone(path):
        return None
    for transport in network.addressed("listen"):
        direct = NetworkPath("direct", "", transport.name)
        if "dial" in transport.roles and context.admits(established.suite, direct):
            return None if network.alone(direct) else transport
    return None


def _bases_to_listen_at(reaches: list[Reach]) -> list[SocketAddress]:
    """The addresses of this machine where a driver asks the core to listen."""
    asked = dict.fromkeys(
        reach.base for reach in reaches if reach.kind == "host" and not reach.base.port
    )
    allowed = [base for base in asked if not refusal(ipaddress.ip_address(base.host))]
    return allowed[:MAX_CANDIDATES]
