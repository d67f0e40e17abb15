"""Fresh keys within a session: a KEM run on the control lane, and an Epoch on every lane, with
which its direction begins to use them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tallow_core.config.ranges import MIN_REKEY_BYTES, MIN_REKEY_SECONDS
from tallow_core.errors import TransportError
from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Rekey, read_rekey
from tallow_core.session.lane import Lane
from tallow_core.spi.kem import KemPair
from tallow_core.types import Role

if TYPE_CHECKING:
    from tallow_core.session.session import Session

ASK_SECONDS = 15.0
"""After which a guest asks once more: the host may have been busy."""


class Rekeying:
    """At both ends. `count` is how many runs there were."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._limits = session.context.policy.limits
        self._pair: KemPair | None = None
        self._request = b""
        self.count = 0
        self._wanted = (-1, 0.0)
        """After which run, and when, the guest last asked for the next."""
        self._bytes = 0
        self._at = time.monotonic()
        session.handlers[RecordType.REKEY] = self._asked
        session.handlers[RecordType.REKEY_WANTED] = self._asked_for
        session.handlers[RecordType.REKEY_ANSWER] = self._answered

    async def if_due(self) -> None:
        """If enough bytes or time have passed for our own limits: begin a run (host), or ask the
        host for one (guest)."""
        moved, seconds = self._since()
        if moved < self._limits.rekey_bytes and seconds < self._limits.rekey_seconds:
            return
        if self._session.role is Role.HOST:
            await self._begin()
        elif self._may_ask() and not self._session.control.sealer.finished:
            self._wanted = self.count, time.monotonic()
            await self._session.send(RecordType.REKEY_WANTED)

    def _may_ask(self) -> bool:
        """Once for each; again after a while."""
        count, asked = self._wanted
        return count != self.count or time.monotonic() - asked >= ASK_SECONDS

    def _since(self) -> tuple[int, float]:
        """Bytes and seconds since the last run."""
        return self._session.moved - self._bytes, time.monotonic() - self._at

    async def _asked_for(self, body: bytes) -> None:
        """The guest's limits are stricter. One that asks all the time gets no more than what a
        limit may be set to."""
        moved, seconds = self._since()
        if self._session.role is not Role.HOST or body:
            raise malformed(
                "a wish for fresh keys from the end that makes them, or with more in it"
            )
        if moved >= MIN_REKEY_BYTES or seconds >= MIN_REKEY_SECONDS:
            await self._begin()

    async def _begin(self) -> None:
        if self._pair is not None or self._unanswered() or self._session.control.sealer.finished:
            return
        self._pair = self._session.established.kem.generate()
        self._request = Rekey(self.count + 1, self._pair.public).encoded()
        await self._session.send(RecordType.REKEY, self._request)

    def _unanswered(self) -> bool:
        """Whether a lane has yet to follow the last run."""
        return any(
            lane.rekeys < self.count and not lane.opener.finished for lane in self._session.lanes
        )

    async def _asked(self, body: bytes) -> None:
        request = read_rekey(body)
        if (
            self._session.role is not Role.GUEST
            or request.number != self.count + 1
            or self._unanswered()
        ):
            raise malformed("a Rekey out of turn")
        ciphertext, secret = self._session.established.kem.encapsulate(request.material)
        answer = Rekey(request.number, ciphertext).encoded()
        await self._session.send(RecordType.REKEY_ANSWER, answer)
        self._renew(secret, body + answer)

    async def _answered(self, body: bytes) -> None:
        answer = read_rekey(body)
        if self._pair is None or answer.number != self.count + 1:
            raise malformed("a RekeyAnswer out of turn")
        secret = self._session.established.kem.decapsulate(self._pair, answer.material)
        self._pair.wipe()
        self._pair = None
        self._renew(secret, self._request + body)
        for lane in list(self._session.lanes):
            if lane.address:  # it may be broken, or stuck in a path that is
                self._session.spawn(self.catch_up(lane))
            elif lane.rekeys < self.count:  # one that joins from here on has the new root
                await lane.send_epoch(self.count, self._session.established.schedule)

    async def catch_up(self, lane: Lane) -> None:
        """At the host: end the epoch of a lane beside the session's path that was not there, or not
        whole, when the keys changed."""
        if self._session.role is Role.HOST and lane.rekeys < self.count:
            with contextlib.suppress(TransportError):
                await lane.send_epoch(self.count, self._session.established.schedule)

    def _renew(self, secret: bytearray, messages: bytes) -> None:
        self._session.established.schedule.renew(secret, messages)
        self.count += 1
        self._bytes, self._at = self._session.moved, time.monotonic()
        self._session.context.reporter.note(
            f"fresh keys from a new KEM run (number {self.count})", 2
        )

    async def epoch(self, lane: Lane, body: memoryview) -> None:
        """The other end ended its epoch on `lane`; the guest answers with its own, so that the host
        knows when all have moved on."""
        reader = Reader(body, "Epoch")
        number = reader.u32()
        reader.end()
        if number != self.count or lane.rekeys != number - 1:
            raise malformed("an Epoch out of turn")
        lane.rekeys = number
        lane.renew_opener(self._session.established.schedule)
        if self._session.role is Role.GUEST:
            await lane.send_epoch(number, self._session.established.schedule)
