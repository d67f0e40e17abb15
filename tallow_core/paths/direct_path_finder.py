"""While a session runs through a relay, both ends look for a direct path beside it.

Each end listens at the addresses of its interfaces and lists them to the other, sealed. Each dials
what the other lists, several at once. What joins is a spare lane; the host moves the data to it
(`tallow_core.paths.record_sender`). An end that gives no address away neither dials nor listens.
Addresses come and go, so both are looked at again, ever less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools

from tallow_core.aio import Scope
from tallow_core.errors import LocalProtocolError, PolicyError, TallowError, TransportError
from tallow_core.paths.connection_streams import StreamSource, each_stream
from tallow_core.paths.lane_pool import JOIN_SECONDS, LanePool
from tallow_core.paths.own_addresses import own_addresses
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.candidates import (
    MAX_CANDIDATE_LISTS,
    MAX_CANDIDATES,
    Address,
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
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, NetworkPath, Trust

STAGGER_SECONDS = 0.075
AT_ONCE = 8
MOST_UNPROVED = 8
MOST_DIALLED = 64
"""Different places that one session has us dial at most: what a peer lists is its choice, and it
may be using us to look around."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
HELLO_CAP = 64


class DirectPathFinder:
    """One end of it, for one session."""

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
        self._listeners: dict[Address, Listener] = {}
        self._told: list[Candidate] = []
        self._lists_sent = self._lists_read = 0
        self._theirs: list[Candidate] = []
        self._dialled: set[Endpoint] = set()
        self._unproved = 0
        self._wake = asyncio.Event()
        channel.handle(RecordType.CANDIDATES, self._on_candidates)
        pool.searches = transport is not None

    async def run(self) -> None:
        """Until the session ends."""
        if self._transport is None:
            return
        try:
            pause = FIRST_PAUSE
            while True:
                await self._tell()
                await self._dial_all()
                pause = FIRST_PAUSE if await self._woken(pause) else min(pause * 2, LONGEST_PAUSE)
        finally:
            await asyncio.gather(
                *(listener.aclose() for listener in self._listeners.values()),
                return_exceptions=True,
            )

    async def _woken(self, pause: float) -> bool:
        """Wait for the other end's next list, or `pause`."""
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    # -- ours ------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Listen at the addresses that there are now, and tell the other end if they are others
        than before."""
        await self._listen(own_addresses()[:MAX_CANDIDATES])
        ours = [
            _candidate(address, listener.endpoint) for address, listener in self._listeners.items()
        ]
        if (
            not ours
            or ours == self._told
            or self._lists_sent >= MAX_CANDIDATE_LISTS
            or self._channel.ended
        ):
            return
        self._told = ours
        self._lists_sent += 1
        with contextlib.suppress(
            LocalProtocolError
        ):  # our final word went out while this one waited its turn
            await self._channel.send(RecordType.CANDIDATES, write_candidates(ours))

    async def _listen(self, addresses: list[Address]) -> None:
        assert self._transport is not None
        for address in [address for address in self._listeners if address not in addresses]:
            await self._listeners.pop(address).aclose()
        for address in addresses:
            if address in self._listeners:
                continue
            with contextlib.suppress(TransportError):  # it may be too new, or gone again
                place = Endpoint(self._transport.schemes[0], str(address), 0)
                bound = await self._transport.listen(place, lasting=False)
                listener = self._listeners[address] = each_stream(bound, self._transport)
                self._scope.spawn(self._accept(listener))

    async def _accept(self, listener: Listener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except TransportError:
                return
            if self._unproved >= MOST_UNPROVED:  # strangers: the session goes on by the relay
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
                self._ask_plugins(address)
                hello = read_lane_hello(await read_frame(stream, None, cap=HELLO_CAP))
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

    # -- theirs ----------------------------------------------------------------------------------

    async def _on_candidates(self, body: bytes) -> None:
        """The other end's list. It is checked and counted also where we take no part."""
        candidates = read_candidates(body)
        self._lists_read += 1
        if self._lists_read > MAX_CANDIDATE_LISTS:
            raise malformed(f"more than {MAX_CANDIDATE_LISTS} lists of candidates")
        self._pool.peer_searches = True
        self._theirs = [candidate for candidate in candidates if self._may_dial(candidate)]
        self._wake.set()

    def _may_dial(self, candidate: Candidate) -> bool:
        why = refusal(candidate.address)
        if not why and (self._transport is None or candidate.transport != self._transport.name):
            why = "not by a transport that is used here"
        if why:
            self._context.reporter.note(f"{candidate.endpoint.url} is not dialled: {why}", 2)
        return not why

    async def _dial_all(self) -> None:
        """Dial all that the other end has listed, side by side, each a little after the one before;
        the first that joins ends it."""
        pending: set[asyncio.Task[None]] = set()
        try:
            for candidate in self._theirs:
                if not self._pool.wanted or not self._counts(candidate.endpoint):
                    break
                pending.add(asyncio.create_task(self._dial(candidate.endpoint)))
                _, pending = await asyncio.wait(pending, timeout=STAGGER_SECONDS)
                while len(pending) >= AT_ONCE:
                    _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            while pending and self._pool.wanted:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _ask_plugins(self, address: str) -> None:
        reason = self._context.plugins.veto("tallow_veto_peer", path="direct", address=address)
        if reason is not None:
            raise PolicyError(f"a plugin refuses it: {reason}")

    def _counts(self, endpoint: Endpoint) -> bool:
        if endpoint not in self._dialled and len(self._dialled) >= MOST_DIALLED:
            return False
        self._dialled.add(endpoint)
        return True

    async def _dial(self, endpoint: Endpoint) -> None:
        try:
            self._ask_plugins(endpoint.url)
            await self._pool.dial(
                StreamSource(functools.partial(self._open, endpoint)).open, endpoint.url
            )
        except (TallowError, TimeoutError) as error:
            self._context.reporter.note(
                f"no direct path by {endpoint.url}: {error or 'no answer in time'}", 2
            )

    async def _open(self, endpoint: Endpoint) -> ByteStream:
        assert self._transport is not None
        deadline = asyncio.get_running_loop().time() + JOIN_SECONDS
        path = NetworkPath("direct", endpoint.url, self._transport.name)
        return await self._context.network.dial(endpoint, deadline, path, trust=Trust.SESSION)


def _candidate(address: Address, endpoint: Endpoint) -> Candidate:
    assert endpoint.port is not None
    return Candidate(endpoint.scheme, address, endpoint.port, endpoint.pin)


def direct_transport(
    context: Context, established: Established, path: NetworkPath, *, compares: bool
) -> Transport | None:
    """What direct lanes beside `path` use: the first transport with addresses that policy allows
    there together with the suite of this session. None where nothing may go beside `path` or no
    address may be given away, and where either end asks for padding or the safety number, as one
    that hides does."""
    network = context.network
    if context.hidden or established.padded or compares or network.alone(path):
        return None
    for transport in network.addressed("listen"):
        direct = NetworkPath("direct", "", transport.name)
        if "dial" in transport.roles and context.admits(established.suite, direct):
            return None if network.alone(direct) else transport
    return None
