"""The conformance kit holds nat drivers to their contract: one that uses every power passes, and
each that breaks a promise is refused."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tallow_core.errors import UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import NAT
from tallow_core.spi.nat import Hole, Nat, Reach, SignalChannel
from tallow_core.testing.checks import nat_checks
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.fake_nat import FakeNat
from tallow_core.testing.suite import run_checks
from tallow_core.types import Role, SocketAddress
from tallow_plugins.nats.interfaces import Interfaces
from tests.kit.in_process import context_of


class Endless(FakeNat):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """Never ends."""
        yield Reach("host", "tcp", "192.0.2.1", 0, SocketAddress("192.0.2.1", 0))
        await asyncio.sleep(60)


class Named(FakeNat):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """A name where a number should be."""
        yield Reach("host", "tcp", "localhost", 0, SocketAddress("localhost", 0))


class Elsewhere(FakeNat):
    async def gather(self, *_: Any, **__: Any) -> AsyncIterator[Reach]:
        """A base that was not given."""
        yield Reach("mapped", "tcp", "192.0.2.1", 7, SocketAddress("192.0.2.1", 7))


class MapsElsewhere(FakeNat):
    def map(self, base: SocketAddress, lifetime: float) -> AbstractAsyncContextManager[Reach]:
        """To another base."""
        return self._mapping(SocketAddress("192.0.2.77", 7), lifetime)


class Floods(FakeNat):
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """More signals than a session carries."""
        while True:
            await signals.send(b"again")


class Deaf(FakeNat):
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """Never ends."""
        await asyncio.sleep(60)
        raise AssertionError


class Guesses(FakeNat):
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """A hole to an address that the other end did not list."""
        remote = SocketAddress("198.51.100.9", 9)
        return Hole("tcp", SocketAddress("192.0.2.1", 0), remote, "punched")


def found_in(data: bytes) -> SocketAddress | None:
    """The first address in `data`."""
    text = re.search(rb"(\d+\.\d+\.\d+\.\d+):(\d+)", data)
    return SocketAddress(text[1].decode(), int(text[2])) if text else None


class DialsData(FakeNat):
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """Opens a socket by itself to what stands in data."""
        place = await planted(signals, deadline)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            try:
                own.sendto(b"?", place)
            except PermissionError:
                pass
        raise UnreachableError("no way")


class AsksForData(FakeNat):
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """Asks the core for a socket to what stands in data."""
        place = await planted(signals, deadline)
        made = await signals.connect(place, deadline)
        made.close()
        raise UnreachableError("no way")


async def planted(signals: SignalChannel, deadline: float) -> SocketAddress:
    """The first address in what the other end sends."""
    try:
        async with asyncio.timeout_at(deadline):
            while (place := found_in(await signals.receive())) is None:
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
@pytest.mark.parametrize("driver", [FakeNat, Interfaces])
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
