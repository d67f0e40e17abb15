"""Buffers for records.

What read and recv write into should be aligned: that was measured to matter more than any other
change to the path of the bytes. An anonymous mmap starts at a page; a bytearray does not.
"""

from __future__ import annotations

import mmap

from tallow_core.protocol.lanes.record import (
    LENGTH,
    MAX_CONTROL_RECORD_BYTES,
    MAX_DATA_RECORD_BYTES,
)
from tallow_core.protocol.transfer.content_items import CHUNK

PAGE = 4096
PAYLOAD_BYTES = 1 << 20
"""Bytes of file content in a full data record."""

_TAIL = 4096
_BEGIN = PAGE - CHUNK.size - 1 - LENGTH.size


class RecordBuffer:
    """Room for one record: `length[4] || type[1] || plaintext || tag`, `plain` starting at the
    type.

    The content of a chunk that is the first item of its record begins at a page boundary; so does
    `aligned`, for receiving.
    """

    def __init__(self, cap: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, PAGE + cap + _TAIL))
        self.whole = self._memory[_BEGIN:]
        self.plain = self._memory[_BEGIN + LENGTH.size :]
        self.aligned = self._memory[PAGE:]

    @classmethod
    def for_data(cls) -> RecordBuffer:
        """A buffer for records of a data lane."""
        return cls(MAX_DATA_RECORD_BYTES)

    @classmethod
    def for_control(cls) -> RecordBuffer:
        """A buffer for records of the control lane."""
        return cls(MAX_CONTROL_RECORD_BYTES)
