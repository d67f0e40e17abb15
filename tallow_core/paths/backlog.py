"""Records that were sent and that the receiver has not acknowledged."""

from __future__ import annotations

from collections import deque

from tallow_core.protocol.codec.wire import malformed
from tallow_core.types import ReadBuffer

MAX_KEPT_RECORDS = 32
"""The most copies of records that a sender keeps. With records of 1 MiB they take 32 MiB."""
MAX_SIZED_RECORDS = 4096
"""The most records whose size a sender remembers until they are acknowledged. It bounds the memory
where a receiver acknowledges nothing."""


class Backlog:
    """The unacknowledged records of the path in use: their count, their sizes in bytes, and copies
    of those that may have to be sent again."""

    def __init__(self) -> None:
        self.sent = self.acknowledged = 0
        """The number of records that were sent by the path in use, and how many of them the
        receiver has acknowledged."""
        self.in_flight = 0
        """Bytes of records that were sent and not acknowledged."""
        self._sizes: deque[int] = deque()
        self._kept: deque[bytearray] = deque()
        self._free: list[bytearray] = []

    @property
    def kept(self) -> int:
        """The number of copies."""
        return len(self._kept)

    def begin(self) -> None:
        """Count from zero for another path. The copies stay."""
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
        if len(self._sizes) < MAX_SIZED_RECORDS:
            self._sizes.append(size)
            self.in_flight += size

    def acknowledge(self, records: int) -> int:
        """Take the receiver's acknowledgement of the first `records` of the path. Returns the
        number of bytes that are new in it. Raises `RemoteProtocolError` for an impossible count."""
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
        """Take all copies, in order, to send them again."""
        kept, self._kept = self._kept, deque()
        return kept
