"""Records that were sent and that the receiver has not acknowledged."""

from __future__ import annotations

from collections import deque

from tallow_core.protocol.codec.wire import malformed
from tallow_core.types import ReadBuffer

MAX_KEPT = 32
"""Copies of records that a sender keeps: with those of 1 MiB, 32 MiB."""
MAX_SIZES = 4096
"""Records whose size is remembered until they are acknowledged. A receiver that says nothing does
not make a sender remember more."""


class Backlog:
    """Of the path in use: counts, sizes in bytes, and copies where records may have to be sent
    again."""

    def __init__(self) -> None:
        self.sent = self.acknowledged = 0
        """Records by the path in use."""
        self.in_flight = 0
        """Bytes of records that were sent and not acknowledged."""
        self._sizes: deque[int] = deque()
        self._kept: deque[bytearray] = deque()
        self._free: list[bytearray] = []

    @property
    def kept(self) -> int:
        """How many copies there are."""
        return len(self._kept)

    def begin(self) -> None:
        """Count from zero, for another path. Copies stay."""
        self.sent = self.acknowledged = self.in_flight = 0
        self._sizes = deque()

    def keep(self, record: ReadBuffer) -> None:
        """Copy a record that is about to be sent."""
        copy = self._free.pop() if self._free else bytearray()
        copy[:] = record
        self._kept.append(copy)

    def add(self, size: int) -> None:
        """Count a record of `size` bytes that is being sent."""
        self.sent += 1
        if len(self._sizes) < MAX_SIZES:
            self._sizes.append(size)
            self.in_flight += size

    def acknowledge(self, records: int) -> int:
        """The receiver has the first `records` of the path. Returns the bytes that are new among
        them; raises `RemoteProtocolError` for a count that cannot be."""
        if not self.acknowledged <= records <= self.sent:
            raise malformed("records that were acknowledged before, or that were never sent")
        size = 0
        for _ in range(records - self.acknowledged):
            if self._kept:
                self._free.append(self._kept.popleft())
            size += self._sizes.popleft() if self._sizes else 0
        self.acknowledged = records
        self.in_flight -= size
        return size

    def take_kept(self) -> deque[bytearray]:
        """Every copy, in order, to be sent again."""
        kept, self._kept = self._kept, deque()
        return kept
