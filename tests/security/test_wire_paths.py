"""T-19: a peer that proved the code and uses candidates to have us connect where it likes, or to
wear us out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tallow_core.app.compose import compose
from tallow_core.config.schema import Condition, PolicySettings, RelaySettings, Rule, Settings
from tallow_core.errors import UnreachableError
from tallow_core.paths import direct_path_finder as racing
from tallow_core.paths.dial_admission import MAX_DIALLED_PLACES
from tallow_core.paths.direct_path_finder import (
    DirectPathFinder,
    direct_transport,
)
from tallow_core.paths.lane_pool import JOIN_SECONDS, LanePool
from tallow_core.protocol.handshake.handshake_machine import Wish
from tallow_core.protocol.lanes.candidates import Candidate, read_candidates, write_candidates
from tallow_core.protocol.lanes.lane_join import LaneDialler
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.secrets import system_rng
from tallow_core.session.context import Context
from tallow_core.session.session import Session
from tallow_core.types import Endpoint, NetworkPath, Role
from tests.kit.addresses import DIALLED, REFUSED, own_addresses
from tests.kit.guest_by_relay import guest_by_relay
from tests.kit.hostile_peers import (
    Gone,
    Home,
    Line,
    Peer,
    attack,
    listening,
)
from tests.kit.in_process import Silent, Sink, context_of
from tests.kit.machines import DEFAULT, established


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A sender's home, with a file."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "file").write_text("content")
    return home


class Doors:
    """A listener at every address of this machine, on one port, that counts who comes."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Doors]:
        """Listen."""

        def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.came.append(str(writer.get_extra_info("sockname")[0]))
            writer.close()

        async with await asyncio.start_server(connected, "0.0.0.0", 0) as four:
            self.port = four.sockets[0].getsockname()[1]
            async with await asyncio.start_server(connected, "::", self.port):
                yield self

    def list(self, *addresses: str) -> bytes:
        """A list of candidates that lead here."""
        return write_candidates(
            [Candidate("tcp", ip_address(address), self.port) for address in addresses]
        )


def test_t19_nothing_on_this_machine_is_dialled(home: Home) -> None:
    """Every way to say loopback leads to our doors if it is dialled; the address of an interface
    does, which shows that they count."""

    async def scenario() -> None:
        async with Doors().open() as doors, guest_by_relay(home) as (program, peer):
            loopbacks = (
                "127.0.0.1",
                "127.9.9.9",
                "0.0.0.0",
                "::1",
                "::",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
            )
            await peer.line.seal(RecordType.CANDIDATES, doors.list(*loopbacks))
            await asyncio.sleep(4)  # more than one round
            assert doors.came == []
            ours = [str(address) for address in own_addresses()][:8]
            if ours:
                await peer.line.seal(RecordType.CANDIDATES, doors.list(*loopbacks, *ours))
                async with asyncio.timeout(10):
                    while not set(doors.came) >= set(ours):
                        await asyncio.sleep(0.05)
                assert set(doors.came) == set(ours)
            assert program.process.returncode is None

    attack(scenario())


def test_t19_relay_only_dials_nothing_and_tells_nothing(home: Home) -> None:
    async def scenario() -> None:
        async with (
            Doors().open() as doors,
            guest_by_relay(home, "--relay-only") as (_program, peer),
        ):
            ours = [str(address) for address in own_addresses()][:8] or ["10.0.0.1"]
            await peer.line.seal(RecordType.CANDIDATES, doors.list(*ours))
            kinds = set()
            try:
                async with asyncio.timeout(4):
                    while True:
                        kinds.add((await peer.line.open())[0])
            except TimeoutError:
                pass
            assert kinds == {RecordType.OFFER_PAGE}
            assert doors.came == []

    attack(scenario())


def _ports(count: int, first: int = 1) -> bytes:
    return write_candidates(
        [Candidate("tcp", ip_address("10.255.255.1"), port) for port in range(first, first + count)]
    )


BAD = {
    "none": [b"\x00"],
    "seventeen": [_ports(17)],
    "no layout": [b"\x01\xff"],
    "a flood": [_ports(1)] * 33,
    "a flood of lists that are cut": [_ports(16)[:-1]],
}


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("hidden", [False, True], ids=["racing", "relay-only"])
def test_t19_a_list_out_of_bounds_ends_the_session(bad: str, hidden: bool, home: Home) -> None:
    """Also where the lists are ignored: a peer that floods gets no further."""

    async def scenario() -> None:
        async with guest_by_relay(home, *(("--relay-only",) if hidden else ())) as (program, peer):
            for body in BAD[bad]:
                await peer.line.seal(RecordType.CANDIDATES, body)
            assert await program.wait(30) == 8, program.said()
            assert "candidate" in program.said().lower()

    attack(scenario())


async def _listed(peer: Peer) -> list[Candidate]:
    """The sender's own list."""
    async with asyncio.timeout(10):
        while True:
            kind, body = await peer.line.open()
            if kind == RecordType.CANDIDATES:
                return read_candidates(body)


def test_t19_what_a_sender_tells_of_itself(home: Home) -> None:
    """The addresses of its interfaces and no other; they are bound one by one, so a wildcard's port
    is not open on loopback. Strangers who hold its listener do not end the session, and once they
    have had their seconds whoever proves the session gets in."""

    async def join(peer: Peer, candidate: Candidate, lane: int) -> None:
        reader, writer = await asyncio.open_connection(str(candidate.address), candidate.port)
        line = Line(reader, writer)
        machine = LaneDialler(peer.established.schedule, lane, system_rng)
        try:
            await line.put(machine.data_to_send())
            while machine.keys is None:
                machine.receive(await line.take(machine.wants))
            await line.put(machine.data_to_send())
        finally:
            await line.aclose()

    async def scenario() -> None:
        if not own_addresses():
            pytest.skip("this machine has no address but loopback")
        async with guest_by_relay(home) as (program, peer):
            listed = await _listed(peer)
            assert {candidate.address for candidate in listed} == set(own_addresses()[:16])
            for candidate in listed:
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", candidate.port)
            strangers = [
                await asyncio.open_connection(str(listed[0].address), listed[0].port)
                for _ in range(40)
            ]
            with pytest.raises((Gone, ConnectionError)):
                await join(peer, listed[0], 1)
            await asyncio.sleep(JOIN_SECONDS + 1)
            await join(peer, listed[0], 3)
            for _, writer in strangers:
                writer.close()
            assert program.process.returncode is None

    attack(scenario())


def test_t19_a_listener_that_never_answers_holds_nothing_up(home: Home) -> None:
    """The peer's candidates accept and say nothing, or send garbage; strangers do the same at our
    listeners. The session goes on."""

    async def scenario() -> None:
        async def silent(line: Line) -> None:
            await asyncio.sleep(30)

        async def garbage(line: Line) -> None:
            await line.put(bytes(range(256)) * 20)
            await asyncio.sleep(1)

        ours = own_addresses()
        if not ours:
            pytest.skip("this machine has no address but loopback")
        async with (
            listening(silent) as one,
            listening(garbage) as other,
            guest_by_relay(home) as (program, peer),
        ):
            listed = [Candidate("tcp", ours[0], port) for port in (one, other)]
            await peer.line.seal(RecordType.CANDIDATES, write_candidates(listed))
            kind, _ = await peer.line.open()
            while kind != RecordType.OFFER_PAGE:
                kind, _ = await peer.line.open()
            await asyncio.sleep(2)
            assert program.process.returncode is None
            await peer.line.seal(RecordType.REFUSE, b"\x06\x00\x02no", final=True)
            assert await program.wait(20) == 6, program.said()

    attack(scenario())


# -- one end in this process, whose dials are counted --------------------------------------------


@dataclass
class Counting:
    """A transport that goes nowhere and remembers where it was to go."""

    name: str = "tcp"
    schemes: tuple[str, ...] = ("tcp",)
    addressing: str = "ip"
    roles: frozenset[str] = frozenset({"dial", "listen"})
    touches: frozenset[str] = frozenset({"tcp"})
    hides_addresses: bool = False
    max_streams: int = 1

    def __post_init__(self) -> None:
        self.dialled: list[Endpoint] = []
        self.at_once = self.most = 0

    async def dial(self, endpoint: Endpoint, deadline: float, **how: object) -> Any:
        """Remember it."""
        self.dialled.append(endpoint)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0.3)
        finally:
            self.at_once -= 1
        raise UnreachableError("nowhere")

    async def listen(self, endpoint: Endpoint, **how: object) -> Any:
        """Not here."""
        raise UnreachableError("nowhere")


def _context(home: Path, settings: Settings) -> Context:
    return compose(settings, Silent())


def _finder(context: Context, session: Session) -> DirectPathFinder:
    """What `open_paths` makes, not yet running."""
    pool = LanePool(context, session.scope, session.channel, session.lanes, session.path)
    transport = direct_transport(
        context, session.established, session.path, compares=session.safety.wanted
    )
    return DirectPathFinder(context, session.scope, session.channel, session.lanes, pool, transport)


async def _raced(
    context: Context, lists: list[bytes], seconds: float, theirs: Wish = Wish.NONE
) -> Counting:
    """Run one end's racing on these lists."""
    counting = Counting()
    context.network.__dict__["transports"] = {"tcp": counting}
    host, _ = established(drivers=DEFAULT)
    host = host._replace(theirs=theirs)
    sink: Any = Sink()
    session = Session(context, Role.HOST, host, sink, NetworkPath("relay", "test", "tls"))
    finder = _finder(context, session)
    for body in lists:
        await session.channel.dispatch(RecordType.CANDIDATES, body)
    try:
        async with asyncio.timeout(seconds):
            await finder.run()
    except TimeoutError:
        pass
    return counting


def _list(*addresses: str) -> bytes:
    return write_candidates([Candidate("tcp", ip_address(address), 4711) for address in addresses])


@pytest.mark.parametrize("part", [0, 1])
def test_t19_which_addresses_are_dialled(part: int, tmp_path: Path) -> None:
    """All that may be, and of those that may not be none, in whatever company."""

    async def scenario() -> None:
        listed = REFUSED[part * 13 : part * 13 + 13]
        allowed = DIALLED[part * 3 : part * 3 + 3]
        counting = await _raced(context_of(tmp_path), [_list(*listed, *allowed)], 1.5)
        assert {endpoint.host for endpoint in counting.dialled} == set(allowed)

    attack(scenario())


def test_t19_a_session_dials_so_many_places_and_so_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(racing, "STAGGER_SECONDS", 0.001)
    monkeypatch.setattr(racing, "FIRST_PAUSE_SECONDS", 0.01)

    async def scenario() -> None:
        context = context_of(tmp_path)
        counting = Counting()
        context.network.__dict__["transports"] = {"tcp": counting}
        host, _ = established(drivers=DEFAULT)
        sink: Any = Sink()
        session = Session(context, Role.HOST, host, sink, NetworkPath("relay", "test", "tls"))
        running = asyncio.create_task(_finder(context, session).run())
        for number in range(10):
            await session.channel.dispatch(RecordType.CANDIDATES, _ports(16, 1 + 16 * number))
            await asyncio.sleep(0.9)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(set(counting.dialled)) == MAX_DIALLED_PLACES
        assert counting.most <= 8

    attack(scenario())


@pytest.mark.parametrize(
    "why", ["paranoid", "relay-only", "their wish", "a rule", "another transport"]
)
def test_t19_where_no_direct_path_may_be_used_none_is(why: str, tmp_path: Path) -> None:
    """A rule that leaves no suite, or another one than the session has, closes the direct path."""
    settings, theirs, body = context_of(tmp_path).settings, Wish.NONE, _list("10.0.0.1")
    if why == "paranoid":
        settings = replace(settings, policy=PolicySettings(profile="paranoid"))
    elif why == "relay-only":
        settings = replace(settings, relay=RelaySettings(only=True))
    elif why == "their wish":
        theirs = Wish.SAFETY
    elif why == "a rule":
        rule = Rule(
            when=Condition(relay=False), deny=("cipher:aes-256-gcm", "cipher:chacha20-poly1305")
        )
        settings = replace(settings, policy=PolicySettings(rule=(rule,)))
    else:
        body = write_candidates([Candidate("tls", ip_address("10.0.0.1"), 4711)])

    async def scenario() -> None:
        assert (await _raced(_context(tmp_path, settings), [body], 0.7, theirs)).dialled == []
        if why == "a rule":
            assert (
                await _raced(
                    _context(tmp_path, replace(settings, policy=PolicySettings())), [body], 0.7
                )
            ).dialled

    attack(scenario())
