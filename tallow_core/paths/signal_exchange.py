"""Signals between nat drivers of the same name at both ends."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence

from tallow_core.errors import PolicyError, UnreachableError
from tallow_core.paths.dial_admission import DialAdmission
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.candidates import refusal
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.signal import (
    MAX_SIGNAL_BYTES,
    MAX_SIGNAL_PLACES,
    Signal,
    SignalBudget,
    read_signal,
)
from tallow_core.session.channel import Channel
from tallow_core.spi.nat import SignalChannel, SocketProtocol
from tallow_core.types import SocketAddress

MAX_CONNECTS_AT_ONCE = 8


class SignalExchange:
    """Carries the signals of one session's nat drivers. It takes every signal, and counts those
    without a driver too. `heard` is called for each."""

    def __init__(
        self, channel: Channel, admission: DialAdmission, heard: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._heard = heard
        self._admission = admission
        self._sent, self._received = SignalBudget(), SignalBudget()
        self._inboxes: dict[str, asyncio.Queue[bytes]] = {}
        self._connects = asyncio.Semaphore(MAX_CONNECTS_AT_ONCE)
        channel.handle(RecordType.SIGNAL, self._on_signal)

    def open(self, driver: str) -> SignalChannel:
        """The signal channel of the driver of this name. Data that came before this call is lost;
        addresses are kept."""
        return _DriverSignalChannel(self, driver)

    def inbox(self, driver: str) -> asyncio.Queue[bytes]:
        """The data that came for a driver."""
        return self._inboxes.setdefault(driver, asyncio.Queue())

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """See `SignalChannel.addresses`."""
        return self._admission.addresses

    async def _on_signal(self, body: bytes) -> None:
        signal = read_signal(body)
        if not self._received.spend(signal):
            raise malformed("more signals than a session may have")
        self._heard()
        for address, port in signal.places:
            self._admission.admit(address, port)
        if signal.driver in self._inboxes:  # else no such driver is used here
            self._inboxes[signal.driver].put_nowait(signal.data)

    async def send(self, driver: str, data: bytes, addresses: Sequence[SocketAddress]) -> None:
        """See `SignalChannel.send`."""
        if len(data) > MAX_SIGNAL_BYTES or len(addresses) > MAX_SIGNAL_PLACES:
            raise PolicyError("a signal has at most 16 KiB of data and 16 addresses")
        places = [(ipaddress.ip_address(host), port) for host, port in addresses]
        admitted = tuple(place for place in places if not refusal(place[0]))
        signal = Signal(driver, data, admitted)
        if not self._sent.spend(signal):
            raise PolicyError("the nat drivers exchange more than a session may carry")
        if self._channel.ended:
            raise UnreachableError("the session has ended")
        await self._channel.post(RecordType.SIGNAL, signal.encoded())

    async def connect(
        self,
        address: SocketAddress,
        deadline: float,
        local: SocketAddress | None,
        protocol: SocketProtocol,
    ) -> socket.socket:
        """See `SignalChannel.connect`."""
        place = self._admission.demand(address)
        if not self._admission.counts(place):
            raise PolicyError("this session has dialled as many places as it may")
        self._admission.ask_plugins(place.host)
        try:
            async with asyncio.timeout_at(deadline), self._connects:
                return await _connected(place, local, protocol)
        except (OSError, TimeoutError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "no answer"
            raise UnreachableError(f"{place.host} port {place.port}: {why}") from None


async def _connected(
    place: SocketAddress, local: SocketAddress | None, protocol: SocketProtocol
) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if local is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "SO_REUSEPORT"):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(local)
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        with contextlib.suppress(OSError):
            made.close()
        raise
    return made


class _DriverSignalChannel(SignalChannel):
    def __init__(self, exchange: SignalExchange, driver: str) -> None:
        self._exchange = exchange
        self._driver = driver
        self._inbox = exchange.inbox(driver)

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        return self._exchange.addresses

    async def send(self, data: bytes, addresses: Sequence[SocketAddress] = ()) -> None:
        await self._exchange.send(self._driver, data, addresses)

    async def receive(self) -> bytes:
        return await self._inbox.get()

    async def connect(
        self,
        address: SocketAddress,
        deadline: float,
        *,
        local: SocketAddress | None = None,
        protocol: SocketProtocol = "tcp",
    ) -> socket.socket:
        return await self._exchange.connect(address, deadline, local, protocol)
