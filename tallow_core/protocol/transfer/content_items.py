"""The items that DATA records are packed of: chunks, holes, packed chunks, trailers and failures
(docs/protocol/transfer.md, "Content").

    CHUNK   = 0x01 || file[4] || offset[8] || length[4] || bytes
    TRAILER = 0x02 || file[4] || size[8] || hash[32]
    FAILED  = 0x03 || file[4] || reason[1]
    HOLE    = 0x04 || file[4] || offset[8] || length[4]
    PACKED  = 0x05 || file[4] || offset[8] || length[4] || size[4] || frame

`file` is the entry's number in the manifest. Small files share records, so that a file costs no
round trip. Neither a chunk nor a hole crosses a segment boundary, so that each segment is hashed by
itself while it streams. A hole is a run of zeros in a sparse file. A packed chunk is `length` bytes
of content as a frame of `size` bytes, by the compressor of the suite; each is independent of the
others.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

CHUNK = Struct(">BIQI")
TRAILER = Struct(">BIQ32s")
FAILED = Struct(">BIB")
HOLE = Struct(">BIQI")
PACKED = Struct(">BIQII")
MAX_PACKED_BYTES = 1 << 20
"""The most bytes of content in a packed chunk. A full record holds as many of a plain chunk."""


class ItemType(IntEnum):
    """Numbers of items; never reused."""

    CHUNK = 0x01
    TRAILER = 0x02
    FAILED = 0x03
    HOLE = 0x04
    PACKED = 0x05


class Reason(IntEnum):
    """Why the sender could not send a file that it had offered."""

    UNREADABLE = 1
    CHANGED = 2
