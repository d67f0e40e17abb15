"""One lane: a stream, and the two halves that seal and open its records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tallow_core.errors import BrokenOffError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.handshake.key_schedule import Schedule
from tallow_core.protocol.lanes.lane_join import CONTROL_LANE, LaneKeys
from tallow_core.protocol.lanes.record import (
    FINAL,
    LENGTH,
    MAX_CONTROL_RECORD_BYTES,
    MAX_DATA_RECORD_BYTES,
    Opener,
    RecordType,
    Sealer,
    record_length,
)
from tallow_core.spi.transport import ByteStream
from tallow_core.types import ReadBuffer, Role

Dial = Callable[[], Awaitable[ByteStream]]


class Lane:
    """Puts sealed records on a stream and takes the other end's off it. `put` and its like wait for
    each other; one task calls `next_record`."""

    def __init__(
        self, stream: ByteStream, keys: LaneKeys, established: Established, role: Role
    ) -> None:
        self.stream = stream
        self.keys = keys
        self._role = role
        self.cap = MAX_CONTROL_RECORD_BYTES if keys.lane == CONTROL_LANE else MAX_DATA_RECORD_BYTES
        cipher, schedule, padded = established.cipher, established.schedule, established.padded
        self.sealer = Sealer(
            cipher, schedule.kdf, keys.lane, role, keys.secret(schedule, role), padded=padded
        )
        self.opener = Opener(
            cipher,
            schedule.kdf,
            keys.lane,
            role.peer,
            keys.secret(schedule, role.peer),
            padded=padded,
        )
        self._sending = asyncio.Lock()
        self._out = RecordBuffer.for_control()
        self._in = RecordBuffer(self.cap)
        self._head = memoryview(bytearray(LENGTH.size))
        self._have = 0
        self.rekeys = 0
        self.cut = False
        self.address = ""
        """The address that the lane leads to beside the session's path; "" on that path."""
        self.dial: Dial | None = None
        """Opens a further stream to the same place, if this end opened this one."""
        self.rtt = 0.0
        """The round trip when this lane joined, in seconds."""
        self.carries = False
        """Whether data was sent on the lane."""
        self.heard = time.monotonic()

    async def put(self, kind: RecordType, body: ReadBuffer = b"", *, final: bool = False) -> None:
        """Seal and send one small record (at most 64 KiB less tag and padding)."""
        async with self._sending:
            plain = self._out.plain
            plain[0] = kind | (FINAL if final else 0)
            plain[1 : 1 + len(body)] = body
            await self._seal(self._out, 1 + len(body))

    async def put_filled(self, buffer: RecordBuffer, size: int) -> None:
        """Seal `buffer.plain[:size]` in place and send it; the buffer may be reused afterwards."""
        async with self._sending:
            await self._seal(buffer, size)

    async def put_epoch(self, number: int, schedule: Schedule) -> None:
        """End the epoch of our direction: what follows is sealed under the renewed root."""
        async with self._sending:
            if self.sealer.finished:
                return
            plain = self._out.plain
            plain[0] = RecordType.EPOCH
            plain[1:5] = u32(number)
            await self._seal(self._out, 5)
            self.sealer.renew(self.keys.secret(schedule, self._role))

    async def _seal(self, buffer: RecordBuffer, size: int) -> None:
        if self.cut:
            raise BrokenOffError("a record was cut off in the middle; nothing can follow it")
        length = self.sealer.seal(buffer.plain, size)
        LENGTH.pack_into(buffer.whole, 0, length)
        self.cut = True  # until all of it is sent: after half a record, the next would look forged
        await self.stream.send(buffer.whole[: LENGTH.size + length])
        self.cut = False

    async def next_record(self) -> tuple[int, memoryview]:
        """The next record: (its type, its body, valid until the next call). `opener.finished` says
        whether it was the final one.

        Raises `BrokenOffError` if the stream ends before the final record.
        """
        while self._have < LENGTH.size:
            self._have += await self._some(self._head[self._have :])
        length = record_length(self._head, self.cap)
        raw, got = self._in.aligned, 0
        while (
            got < length
        ):  # up to four bytes of the next record's length come along: one call less a record
            got += await self._some(raw[got : length + LENGTH.size])
        self._have = got - length
        self._head[: self._have] = raw[length:got]
        plain = self.opener.open(raw[:length])
        return plain[0] & ~FINAL, plain[1:]

    def renew_opener(self, schedule: Schedule) -> None:
        """Open what follows under the renewed root: the other end ended its epoch."""
        self.opener.renew(self.keys.secret(schedule, self._role.peer))

    async def _some(self, view: memoryview) -> int:
        count = await self.stream.receive_into(view)
        if count == 0:
            raise BrokenOffError(
                "the connection ended before the other side had finished; try again"
            )
        self.heard = time.monotonic()
        return count

    async def aclose(self) -> None:
        """Drop the keys and close the stream."""
        self.cut = True  # a send that begins now fails
        self.sealer.wipe()
        self.opener.wipe()
        await self.stream.aclose()
