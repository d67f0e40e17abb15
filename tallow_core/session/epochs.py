"""The epochs of a session: the root secret that seals each direction of each lane.

A rekey renews the root. An Epoch record on a lane ends the records of its direction that were
sealed under the former root.
"""

from __future__ import annotations

import contextlib

from tallow_core.errors import TransportError
from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.handshake.key_schedule import Schedule
from tallow_core.session.lane import Lane
from tallow_core.types import ReadBuffer, Role


class Epochs:
    """Renews the root and moves the lanes to it, at either end. `count` is the number of KEM runs
    that renewed the root."""

    def __init__(self, schedule: Schedule, role: Role) -> None:
        self._schedule = schedule
        self._role = role
        self.count = 0

    def renew(self, secret: bytearray, messages: bytes) -> None:
        """Derive the next root from a KEM secret and both of its messages."""
        self._schedule.renew(secret, messages)
        self.count += 1

    async def begin(self, lane: Lane) -> None:
        """End the epoch of this end's direction of `lane`."""
        await lane.put_epoch(self.count, self._schedule)

    async def catch_up(self, lane: Lane) -> None:
        """Begin the present epoch on a lane that missed a rekey. Only the host does, and only on
        lanes beside the session's path: such a lane may join or break during the rekey."""
        if self._role is Role.HOST and lane.rekeys < self.count:
            with contextlib.suppress(TransportError):
                await self.begin(lane)

    async def received(self, lane: Lane, body: ReadBuffer) -> None:
        """Handle the end of the other end's epoch on `lane`. The guest answers with its own Epoch,
        which shows the host that all lanes have moved on."""
        reader = Reader(body, "Epoch")
        number = reader.u32()
        reader.end()
        if number != self.count or lane.rekeys != number - 1:
            raise malformed("an Epoch out of turn")
        lane.rekeys = number
        lane.renew_opener(self._schedule)
        if self._role is Role.GUEST:
            await self.begin(lane)
