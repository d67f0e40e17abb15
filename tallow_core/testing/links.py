"""Links that lose: streams that are cut, stalled, splintered or corrupted, and datagrams that
vanish, come twice or change places."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from tallow_core.secrets import Rng
from tallow_core.spi.transport import ByteStream
from tallow_core.types import ReadBuffer, WriteBuffer


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """What a link does to the bytes that come in: all positions count from the first byte received,
    None is never.

    A stream transport is reliable, so nothing is reordered: from byte `cut` on the stream has
    ended, as it looks when a router ends it; before byte `stall` it waits for ever; bit
    `flip` of it (8 * byte + bit) comes inverted; `step` bytes come at most at once.
    """

    cut: int | None = None
    stall: int | None = None
    flip: int | None = None
    step: int | None = None


class LossyStream(ByteStream):
    """`stream` behind a bad link. What is sent goes through as it is: wrap the other end too for
    faults in both directions."""

    def __init__(self, stream: ByteStream, faults: StreamFaults) -> None:
        self.facts = stream.facts
        self._stream = stream
        self._faults = faults
        self.received = 0
        """Bytes that came through."""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        if self.received == self._faults.cut:
            return 0
        if self.received == self._faults.stall:
            await asyncio.get_running_loop().create_future()
        view = memoryview(buffer).cast("B")[: self._most()]
        count = await self._stream.receive_into(view)
        self._corrupt(view[:count])
        self.received += count
        return count

    def _most(self) -> int | None:
        """How many bytes may come at once, so that the next fault is met exactly."""
        ahead = [
            place - self.received
            for place in (self._faults.cut, self._faults.stall)
            if place is not None and place > self.received
        ]
        return min(
            [*ahead, *([] if self._faults.step is None else [self._faults.step])], default=None
        )

    def _corrupt(self, view: memoryview) -> None:
        place, bit = divmod(-1 if self._faults.flip is None else self._faults.flip, 8)
        if self.received <= place < self.received + len(view):
            view[place - self.received] ^= 1 << bit

    async def send(self, *buffers: ReadBuffer) -> None:
        await self._stream.send(*buffers)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class DatagramLink:
    """One direction of a path for datagrams. Each draw is a byte of `rng`, so that a seeded one
    repeats the whole run.

    `loss`, `duplication` and `reordering` are chances in 256. A datagram that is held back comes
    after the next one, or at the end.
    """

    def __init__(
        self, rng: Rng, *, loss: int = 0, duplication: int = 0, reordering: int = 0
    ) -> None:
        self._rng = rng
        self._loss = loss
        self._duplication = duplication
        self._reordering = reordering
        self._late: list[bytes] = []

    def carry(self, datagrams: Iterable[bytes]) -> list[bytes]:
        """What arrives of `datagrams`, in the order in which it does."""
        arrived: list[bytes] = []
        for datagram in datagrams:
            copies = (
                []
                if self._happens(self._loss)
                else [datagram] * (2 if self._happens(self._duplication) else 1)
            )
            late, self._late = self._late, []
            if self._happens(self._reordering):
                self._late, copies = copies, []
            arrived += copies + late
        return arrived

    def settle(self) -> list[bytes]:
        """What was held back and has nothing left to wait for."""
        late, self._late = self._late, []
        return late

    def _happens(self, chance: int) -> bool:
        return self._rng(1)[0] < chance
