"""Signals: messages by which nat drivers of the same name at both ends exchange offers and answers,
on the control lane.

Their data is opaque to the core, and no address in it is ever dialled. Addresses travel beside it,
in fields of their own, so that the core can refuse them (T-19).
"""

from __future__ import annotations

from typing import NamedTuple

from tallow_core.offers import NAME
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.lanes.candidates import Address, read_place, write_place
from tallow_core.types import ReadBuffer

MAX_SIGNAL_BYTES = 16 * 1024
"""The most bytes of data in one message."""
MAX_SIGNAL_PLACES = 16
"""The most addresses in one message."""
MAX_SIGNALS = 64
"""The most messages that an end sends in a session. One more ends the session."""
MAX_SESSION_SIGNAL_BYTES = 256 * 1024
"""The most bytes of data in all messages of an end in a session."""


class Signal(NamedTuple):
    """`driver`: the name of the nat driver that sends and takes it. `places`: (address, port)."""

    driver: str
    data: bytes
    places: tuple[tuple[Address, int], ...] = ()

    def encoded(self) -> bytes:
        """driver (text8) || count[1] || for each a place || data (bytes16)."""
        writer = Writer().text8(self.driver).u8(len(self.places))
        for address, port in self.places:
            write_place(writer, address, port)
        return writer.bytes16(self.data).done()


def read_signal(body: ReadBuffer) -> Signal:
    """Read the body of SIGNAL; raises `RemoteProtocolError`."""
    reader = Reader(body, "Signal")
    driver, count = reader.text8(), reader.u8()
    if not NAME.fullmatch(driver):
        raise malformed("a signal of a driver without a name")
    if count > MAX_SIGNAL_PLACES:
        raise malformed(f"a signal with {count} addresses")
    places = tuple(read_place(reader) for _ in range(count))
    signal = Signal(driver, reader.bytes16(MAX_SIGNAL_BYTES), places)
    reader.end()
    return signal


class SignalBudget:
    """Counts the signals of one end in a session."""

    def __init__(self) -> None:
        self._count = self._size = 0

    def spend(self, signal: Signal) -> bool:
        """Count one; False if it is more than a session may have."""
        self._count += 1
        self._size += len(signal.data)
        return self._count <= MAX_SIGNALS and self._size <= MAX_SESSION_SIGNAL_BYTES
