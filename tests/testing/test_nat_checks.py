"""The conformance kit holds nat drivers to their contract: one that uses every power passes, and
each that breaks a promise is refused."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tallow_core.errors import UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import NAT
from tallow_core.spi.nat import Hole, Maps, Nat, Punches, Reach, RelayView, Signalling
from tallow_core.testing.checks import nat_checks
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.suite import run_checks
from tallow_core.types import Role, SocketAddress, Touch
from tallow_plugins.nats.interfaces import Interfaces
from tests.kit.in_process import context_of


class Faithful(Nat, Maps, Punches):
    """Uses every part of the contract, with a gateway and a peer that are not there."""

    name: ClassVar[str] = "faithful"
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Nothing."

    def __init__(self, settings: DriverSettings) -> None:
        self.mapped = 0

    async def gather(
        self, bases: Sequence[SocketAddress], deadline: float, *, relay_view: RelayView | None
    ) -> AsyncIterator[Reach]:
        """An own address, what the relay sees, and waiting until there is no time left."""
        yield Reach("host", "tcp", "192.0.2.1", 0, SocketAddress("192.0.2.1", 0))
        for base in bases:
            if relay_view is not None:
                yield Reach("reflexive", "tcp", relay_view.address, 1, base, 60.0, b"?")
        await asyncio.sleep(max(0.0, deadline - asyncio.get_running_loop().time()))

    def map(self, base: SocketAddress, lifetime: float) -> AbstractAsyncContextManager[Reach]:
        """A gateway that says yes."""
        return self._mapping(base, lifetime)

    @asynccontextmanager
    async def _mapping(self, base: SocketAddress, lifetime: float) -> AsyncIterator[Reach]:
        self.mapped += 1
        try:
            yield Reach("mapped", "tcp", "198.51.100.1", 4711, base, lifetime)
        finally:
            self.mapped -= 1

    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """Greet, and ask the core for a socket."""
        await signalling.send(b"hello", [SocketAddress("192.0.2.99", 9)])
        async with asyncio.timeout_at(deadline):
            if await signalling.receive() != b"hello":
                raise UnreachableError("it does not know this driver")
        remote = signalling.addresses[-1]
        made = await signalling.connect(remote, deadline)
        made.close()
        return Hole("tcp", SocketAddress("192.0.2.1", 0), remote, "punched")


class Endless(Faithful):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """Never ends."""
        yield Reach("host", "tcp", "192.0.2.1", 0, SocketAddress("192.0.2.1", 0))
        await asyncio.sleep(60)


class Named(Faithful):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """A name where a number should be."""
        yield Reach("host", "tcp", "localhost", 0, SocketAddress("localhost", 0))


class Elsewhere(Faithful):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """A base that was not given."""
        yield Reach("mapped", "tcp", "192.0.2.1", 7, SocketAddress("192.0.2.1", 7))


class MapsElsewhere(Faithful):
    def map(self, base: SocketAddress, lifetime: float) -> AbstractAsyncContextManager[Reach]:
        """To another base."""
        return self._mapping(SocketAddress("192.0.2.77", 7), lifetime)


class Floods(Faithful):
    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """More signals than a session carries."""
        while True:
            await signalling.send(b"again")


class Deaf(Faithful):
    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """Never ends."""
        await asyncio.sleep(60)
        raise AssertionError


class Guesses(Faithful):
    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """A hole to an address that the other end did not list."""
        remote = SocketAddress("198.51.100.9", 9)
        return Hole("tcp", SocketAddress("192.0.2.1", 0), remote, "punched")


def found_in(data: bytes) -> SocketAddress | None:
    """The first address in `data`."""
    text = re.search(rb"(\d+\.\d+\.\d+\.\d+):(\d+)", data)
    return SocketAddress(text[1].decode(), int(text[2])) if text else None


class DialsData(Faithful):
    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """Opens a socket by itself to what stands in data."""
        place = await planted(signalling, deadline)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            try:
                own.sendto(b"?", place)
            except PermissionError:
                pass
        raise UnreachableError("no way")


class AsksForData(Faithful):
    async def punch(self, role: Role, signalling: Signalling, deadline: float) -> Hole:
        """Asks the core for a socket to what stands in data."""
        place = await planted(signalling, deadline)
        made = await signalling.connect(place, deadline)
        made.close()
        raise UnreachableError("no way")


async def planted(signalling: Signalling, deadline: float) -> SocketAddress:
    """The first address in what the other end sends."""
    try:
        async with asyncio.timeout_at(deadline):
            while (place := found_in(await signalling.receive())) is None:
                pass
    except TimeoutError:
        raise UnreachableError("nothing came") from None
    return place


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check gives a driver for one call."""
    monkeypatch.setattr(nat_checks, "_SECONDS", 0.3)


def settings_of(home: Path) -> DriverSettings:
    return DriverSettings(context_of(home).settings.directories)


@pytest.mark.processes  # ifaddr asks other programs where the C library is
@pytest.mark.parametrize("driver", [Faithful, Interfaces])
def test_what_keeps_its_promises_passes(driver: type[Nat], tmp_path: Path) -> None:
    assert len(run_checks(NAT, driver, settings_of(tmp_path))) == 6


@pytest.mark.parametrize(
    ("driver", "check"),
    [
        (Endless, "gather_ends"),
        (Named, "gather_ends"),
        (Elsewhere, "gather_ends"),
        (MapsElsewhere, "mapping_leads_to_its_base"),
        (Floods, "punching_ends"),
        (Deaf, "punching_ends"),
        (Guesses, "punching_ends"),
        (DialsData, "opaque_data_is_not_dialled"),
        (AsksForData, "opaque_data_is_not_dialled"),
    ],
)
def test_t19_what_breaks_one_is_refused(driver: type[Nat], check: str, tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match=check):
        run_checks(NAT, driver, settings_of(tmp_path))
