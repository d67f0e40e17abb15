"""T-19: a peer that proved the code and uses signals, or candidates with data, to have us connect
where it likes, or to wear us out."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from tallow_core.errors import PolicyError, RemoteProtocolError, UnreachableError
from tallow_core.paths import dial_admission as admission
from tallow_core.paths.dial_admission import DialAdmission
from tallow_core.paths.signal_exchange import SignalExchange
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.signal import (
    MAX_SIGNAL_BYTES,
    MAX_SIGNALS,
    Signal,
    read_signal,
)
from tallow_core.session.channel import Channel
from tallow_core.types import SocketAddress
from tests.kit.addresses import DIALLED, REFUSED, own_addresses
from tests.kit.guest_by_relay import guest_by_relay
from tests.kit.hostile_peers import Home, attack
from tests.kit.in_process import context_of


class Recording:
    """A channel that remembers what was sent; `handlers` are what was registered."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.handlers: dict[int, Any] = {}
        self.ended = False

    def handle(self, kind: RecordType, handler: Any) -> None:
        """As `Channel.handle`."""
        self.handlers[kind] = handler

    async def post(self, kind: RecordType, body: bytes = b"", *, final: bool = False) -> None:
        """As `Channel.post`."""
        self.sent.append(body)


def exchange(home: Path) -> tuple[SignalExchange, Recording]:
    channel = Recording()
    signals = SignalExchange(
        cast("Channel", channel), DialAdmission(context_of(home)), lambda: None
    )
    return signals, channel


def places(*addresses: str, port: int = 7) -> tuple[tuple[Any, int], ...]:
    return tuple((ip_address(address), port) for address in addresses)


def soon() -> float:
    return asyncio.get_running_loop().time() + 1


@pytest.mark.parametrize("part", [0, 1])
def test_t19_addresses_of_signals_pass_what_those_of_candidates_pass(
    part: int, tmp_path: Path
) -> None:
    refused, allowed = REFUSED[part * 13 : part * 13 + 13], DIALLED[part * 3 : part * 3 + 3]

    async def scenario() -> None:
        signals, channel = exchange(tmp_path)
        opened = signals.open("x")
        signal = Signal("x", b"", places(*refused[:8], *allowed))
        await channel.handlers[RecordType.SIGNAL](signal.encoded())
        assert opened.addresses == tuple(SocketAddress(each, 7) for each in allowed)
        for host in refused:
            with pytest.raises(PolicyError):
                await opened.connect(SocketAddress(host, 7), soon())

    attack(scenario())


def test_t19_a_driver_gets_a_socket_to_admitted_addresses_only(tmp_path: Path) -> None:
    """Not to what stands in data, nor to another port of what was listed; and to so many places."""
    if not (ours := [str(each) for each in own_addresses()]):
        pytest.skip("this machine has no address but loopback")

    async def scenario() -> None:
        signals, channel = exchange(tmp_path)
        opened = signals.open("x")
        family = socket.AF_INET6 if ":" in ours[0] else socket.AF_INET
        with socket.socket(family) as door:
            door.bind((ours[0], 0))
            door.listen()
            place = SocketAddress(ours[0], door.getsockname()[1])
            data = f"{place.host}:{place.port}".encode()
            await channel.handlers[RecordType.SIGNAL](Signal("x", data).encoded())
            assert await opened.receive() == data
            for wrong in (place, SocketAddress("localhost", place.port)):
                with pytest.raises(PolicyError):
                    await opened.connect(wrong, soon())
            listed = Signal("x", b"", places(place.host, port=place.port))
            await channel.handlers[RecordType.SIGNAL](listed.encoded())
            with pytest.raises(PolicyError):
                await opened.connect(SocketAddress(place.host, place.port ^ 1), soon())
            for _ in range(3):
                (await opened.connect(place, soon())).close()
            (await opened.connect(place, soon(), protocol="udp")).close()
        with pytest.raises(UnreachableError):
            await opened.connect(place, soon())

    attack(scenario())


def test_t19_so_many_places_in_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_DIALLED_PLACES", 2)

    async def scenario() -> None:
        signals, channel = exchange(tmp_path)
        opened = signals.open("x")
        listed = Signal("x", b"", places("192.0.2.77", "192.0.2.78", "192.0.2.79"))
        await channel.handlers[RecordType.SIGNAL](listed.encoded())
        for place in opened.addresses[:2]:
            with pytest.raises(UnreachableError):
                await opened.connect(place, asyncio.get_running_loop().time() + 0.05)
        with pytest.raises(PolicyError, match="as many places"):
            await opened.connect(opened.addresses[2], soon())

    attack(scenario())


def test_t19_what_is_sent_and_kept_is_bounded(tmp_path: Path) -> None:
    """No address that the other end would refuse is listed; more than a session carries is neither
    sent nor taken; what is for a driver that is not here is counted and dropped."""

    async def scenario() -> None:
        signals, channel = exchange(tmp_path)
        opened = signals.open("x")
        await opened.send(b"?", [SocketAddress("127.0.0.1", 1), SocketAddress("10.0.0.1", 2)])
        assert read_signal(channel.sent[0]).places == places("10.0.0.1", port=2)
        with pytest.raises(PolicyError):
            await opened.send(bytes(MAX_SIGNAL_BYTES + 1))
        with pytest.raises(PolicyError):
            await opened.send(b"", [SocketAddress("10.0.0.1", 2)] * 17)
        for _ in range(MAX_SIGNALS - 1):
            await opened.send(b"")
        with pytest.raises(PolicyError):
            await opened.send(b"")
        take = channel.handlers[RecordType.SIGNAL]
        for _ in range(MAX_SIGNALS):
            await take(Signal("y", b"?").encoded())
        with pytest.raises(RemoteProtocolError):
            await take(Signal("y", b"?").encoded())

    attack(scenario())


BAD = {
    "no layout": [b"\x01x\xff"],
    "too long": [Signal("x", bytes(MAX_SIGNAL_BYTES + 1)).encoded()],
    "a flood": [Signal("x", b"").encoded()] * (MAX_SIGNALS + 1),
    "too much": [Signal("x", bytes(MAX_SIGNAL_BYTES)).encoded()] * 17,
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A sender's home, with a file."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "file").write_text("content")
    return home


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("hidden", [False, True], ids=["racing", "relay-only"])
def test_t19_signals_out_of_bounds_end_the_session(bad: str, hidden: bool, home: Home) -> None:
    """Also where no driver takes them."""

    async def scenario() -> None:
        async with guest_by_relay(home, *(("--relay-only",) if hidden else ())) as (program, peer):
            for body in BAD[bad]:
                await peer.line.seal(RecordType.SIGNAL, body)
            assert await program.wait(30) == 8, program.said()
            assert "signal" in program.said().lower()

    attack(scenario())
