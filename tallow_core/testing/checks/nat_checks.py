"""What every nat driver has to do. Each check takes the driver class and settings whose directories
may be written to. Nothing beyond this machine has to be there."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, get_args

from tallow_core.errors import TallowError, TransportError
from tallow_core.protocol.lanes.candidates import MAX_DRIVER_DATA_BYTES
from tallow_core.spi.nat import (
    Hole,
    Maps,
    Nat,
    Punches,
    Reach,
    RelayView,
    SocketProtocol,
)
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import descriptor_is_complete
from tallow_core.testing.expect import require
from tallow_core.testing.fake_nat import FakeSignalChannel
from tallow_core.testing.socket_watch import forbidden
from tallow_core.types import CandidateKind, Endpoint, Role, SocketAddress, Touch

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_SECONDS = 1.0
"""What a check gives a driver for one call."""
_SLACK = 0.5
_BASES = (SocketAddress("192.0.2.10", 40001), SocketAddress("2001:db8::10", 40002))
_VIEW = RelayView("198.51.100.20", 40001, Endpoint("tls", "relay.example", 443))
_PLANTED = tuple(f"203.0.113.{number}" for number in range(1, 33))
"""Addresses for documentation (RFC 5737), which only opaque data holds."""


def reveals_is_stated(driver: type[Nat], settings: DriverSettings) -> None:
    """The driver says in a sentence what it reveals, and what it uses of the network."""
    descriptor_is_complete(driver)
    require(driver.reveals.endswith("."), "`reveals` is not a sentence")
    require(driver.touches <= set(get_args(Touch)), "`touches` names what there is not")


def gather_ends(driver: type[Nat], settings: DriverSettings) -> None:
    """`gather` ends by its deadline, with and without bases and a relay's view, and yields
    addresses that the core can list."""

    async def gather() -> None:
        for bases, view in (((), None), (_BASES, None), (_BASES, _VIEW)):
            for reach in await _gathered(driver(settings), bases, view):
                _check_reach(reach, bases)

    complete(gather())


def gather_can_be_cancelled(driver: type[Nat], settings: DriverSettings) -> None:
    """Cancelled in the middle, `gather` ends at once, and the next one works."""

    async def cancel() -> None:
        nat = driver(settings)
        task = asyncio.create_task(_gathered(nat, _BASES, None))
        await asyncio.sleep(0.01)
        task.cancel()
        async with asyncio.timeout(_SLACK):
            await asyncio.gather(task, return_exceptions=True)
        await _gathered(nat, _BASES, None)

    complete(cancel())


def mapping_leads_to_its_base(driver: type[Nat], settings: DriverSettings) -> None:
    """A driver that maps has a port of a gateway lead to the base, or says that it cannot."""
    if not issubclass(driver, Maps):
        return

    async def map_it() -> None:
        nat = driver(settings)
        assert isinstance(nat, Maps)
        with suppress(TransportError):
            async with asyncio.timeout(5):
                async with nat.map(_BASES[0], 60.0) as reach:
                    _check_reach(reach, _BASES)
                    require(reach.kind == "mapped", f"a mapping is {reach.kind!r}, not mapped")
                    require(reach.base == _BASES[0], "a mapping leads to another base")

    complete(map_it())


def punching_ends(driver: type[Nat], settings: DriverSettings) -> None:
    """Two ends that punch end by their deadline, within the bounds of signals, each with a hole to
    an address of the other or with an `UnreachableError`."""
    if not issubclass(driver, Punches):
        return

    async def punch() -> None:
        host, guest = FakeSignalChannel.pair(_addresses(1), _addresses(2))
        found = await _punched(driver, settings, host, guest)
        for signals, hole in zip((host, guest), found, strict=True):
            if isinstance(hole, Hole):
                require(hole.remote in signals.addresses, "a hole leads to another address")
                require(hole.protocol in get_args(SocketProtocol), "a hole has no protocol")
            else:
                require(isinstance(hole, TransportError), f"it raised {hole!r}")

    complete(punch())


def opaque_data_is_not_dialled(driver: type[Nat], settings: DriverSettings) -> None:
    """No address in the data that the other end sends is dialled: T-19."""

    async def tempt() -> None:
        nat = driver(settings)
        with forbidden(_PLANTED) as tried:
            with suppress(TransportError):
                await _gathered(nat, _BASES, None)
            if isinstance(nat, Punches):
                for role in Role:
                    await _tempted(nat, role)
        require(not tried, f"it dialled {', '.join(tried)}, which stood in opaque data only")

    complete(tempt())


CHECKS: tuple[Callable[[type[Nat], DriverSettings], None], ...] = (
    reveals_is_stated,
    gather_ends,
    gather_can_be_cancelled,
    mapping_leads_to_its_base,
    punching_ends,
    opaque_data_is_not_dialled,
)


async def _gathered(
    nat: Nat, bases: Sequence[SocketAddress], view: RelayView | None
) -> list[Reach]:
    deadline = asyncio.get_running_loop().time() + _SECONDS
    async with asyncio.timeout_at(deadline + _SLACK):
        return [reach async for reach in nat.gather(bases, deadline, relay_view=view)]


def _check_reach(reach: Reach, bases: Sequence[SocketAddress]) -> None:
    require(isinstance(reach, Reach), f"{reach!r} is no Reach")
    require(reach.kind in get_args(CandidateKind), f"{reach.kind!r} is no kind")
    require(reach.protocol in get_args(SocketProtocol), f"{reach.protocol!r} is no protocol")
    for host in (reach.address, reach.base.host):
        with suppress(ValueError):
            ipaddress.ip_address(host)
            continue
        require(False, f"{host!r} is not numeric")
    require(0 <= reach.port <= 65535, f"{reach.port} is no port")
    if reach.base not in bases:
        require(reach.port == reach.base.port == 0, "a base is neither given nor asks for a port")
    require(reach.lifetime is None or reach.lifetime > 0, "a lifetime is not above zero")
    require(len(reach.data) <= MAX_DRIVER_DATA_BYTES, "its data has more than 512 bytes")


def _addresses(last: int) -> list[SocketAddress]:
    return [
        SocketAddress(f"192.0.2.{last}", 41000),
        SocketAddress(f"2001:db8::{last}", 41000),
    ]


async def _punched(
    driver: type[Nat], settings: DriverSettings, *ends: FakeSignalChannel
) -> list[Hole | BaseException]:
    deadline = asyncio.get_running_loop().time() + _SECONDS
    async with asyncio.timeout_at(deadline + _SLACK):
        return list(
            await asyncio.gather(
                *(
                    nat.punch(role, signals, deadline)
                    for role, signals in zip((Role.HOST, Role.GUEST), ends, strict=True)
                    if isinstance(nat := driver(settings), Punches)
                ),
                return_exceptions=True,
            )
        )


async def _tempted(nat: Punches, role: Role) -> None:
    """One end against a peer whose data is full of addresses: as text, packed, and in front of,
    behind and in place of what the driver itself sends."""
    signals = FakeSignalChannel.pair(_addresses(1), _addresses(2))[0]
    for data in _baits():
        signals.inbox.put_nowait(data)
    deadline = asyncio.get_running_loop().time() + _SECONDS
    punching = asyncio.ensure_future(nat.punch(role, signals, deadline))
    seen = 0
    while not punching.done():
        for data in signals.sent[seen:]:
            for bait in _baits():
                signals.inbox.put_nowait(data + bait)
                signals.inbox.put_nowait(bait + data)
        seen = len(signals.sent)
        await asyncio.wait({punching}, timeout=0.05)
        if asyncio.get_running_loop().time() > deadline + _SLACK:
            punching.cancel()
    with suppress(TallowError, asyncio.CancelledError, ValueError):
        hole = await punching
        require(hole.remote in signals.addresses, "a hole leads to an address in opaque data")
    require(
        not signals.refused, "it asked for a socket to an address that stood in opaque data only"
    )


def _baits() -> list[bytes]:
    texts = [f"{host}:{41000 + number}" for number, host in enumerate(_PLANTED)]
    packed = b"".join(
        ipaddress.ip_address(host).packed + (41000).to_bytes(2, "big") for host in _PLANTED
    )
    sdp = "\n".join(
        f"a=candidate:{number} 1 tcp 2130706431 {host} 41000 typ host tcptype active"
        for number, host in enumerate(_PLANTED)
    )
    return [" ".join(texts).encode(), packed, sdp.encode(), *map(str.encode, texts[:4])]
