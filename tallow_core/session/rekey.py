"""The rekeys of a session. One KEM run on the control channel makes fresh keys; an Epoch on each
lane begins their use in its direction."""

from __future__ import annotations

import asyncio
import time

from tallow_core.aio import Scope
from tallow_core.config.profiles import Limits
from tallow_core.config.ranges import MIN_REKEY_BYTES, MIN_REKEY_SECONDS
from tallow_core.events import Reporter
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Rekey, read_rekey
from tallow_core.session.channel import Channel
from tallow_core.session.lane_set import LaneSet
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import Role

CHECK_SECONDS = 15.0
"""The interval at which the limits are checked while no data is sent."""
ASK_SECONDS = 15.0
"""The time after which a guest asks again. The host may have been busy."""


class KeyRenewal:
    """Decides when fresh keys are due, and does the KEM runs that make them, at either end."""

    def __init__(
        self,
        scope: Scope,
        channel: Channel,
        lanes: LaneSet,
        kem: type[Kem],
        limits: Limits,
        reporter: Reporter,
    ) -> None:
        self._scope = scope
        self._channel = channel
        self._lanes = lanes
        self._epochs = lanes.epochs
        self._kem = kem
        self._limits = limits
        self._reporter = reporter
        self._pair: KemPair | None = None
        self._request = b""
        self._wanted = (-1, 0.0)
        """The number of runs at the guest's last request for a run, and the time of that
        request."""
        self._bytes = 0
        self._at = time.monotonic()
        channel.handle(RecordType.REKEY, self._on_rekey)
        channel.handle(RecordType.REKEY_WANTED, self._on_wanted)
        channel.handle(RecordType.REKEY_ANSWER, self._on_answer)
        channel.handle(RecordType.EPOCH, self._on_epoch)

    @property
    def count(self) -> int:
        """The number of runs so far."""
        return self._epochs.count

    async def watch(self) -> None:
        """Check the limits regularly, until this end has sent its final message."""
        while not self._channel.ended:
            await asyncio.sleep(CHECK_SECONDS)
            await self.if_due()

    async def if_due(self) -> None:
        """Start a rekey if this end's own limits of bytes or time are reached. The host begins a
        run; the guest asks the host for one."""
        moved, seconds = self._since()
        if moved < self._limits.rekey_bytes and seconds < self._limits.rekey_seconds:
            return
        if self._lanes.role is Role.HOST:
            await self._begin()
        elif self._may_ask() and not self._channel.ended:
            self._wanted = self.count, time.monotonic()
            await self._channel.post(RecordType.REKEY_WANTED)

    def _may_ask(self) -> bool:
        """Whether the guest may ask: once for each run, and again after `ASK_SECONDS`."""
        count, asked = self._wanted
        return count != self.count or time.monotonic() - asked >= ASK_SECONDS

    def _since(self) -> tuple[int, float]:
        """The bytes and the seconds since the last run."""
        return self._lanes.moved - self._bytes, time.monotonic() - self._at

    async def _on_wanted(self, body: bytes) -> None:
        """Begin a run for a guest whose limits are stricter. However often the guest asks, runs
        come no faster than the smallest limits that the settings allow."""
        moved, seconds = self._since()
        if self._lanes.role is not Role.HOST or body:
            raise malformed(
                "a wish for fresh keys from the end that makes them, or with more in it"
            )
        if moved >= MIN_REKEY_BYTES or seconds >= MIN_REKEY_SECONDS:
            await self._begin()

    async def _begin(self) -> None:
        if self._pair is not None or self._unanswered() or self._channel.ended:
            return
        self._pair = self._kem.generate()
        self._request = Rekey(self.count + 1, self._pair.public).encoded()
        await self._channel.post(RecordType.REKEY, self._request)

    def _unanswered(self) -> bool:
        """Whether a lane has not moved to the keys of the last run yet."""
        return any(lane.rekeys < self.count and not lane.opener.finished for lane in self._lanes)

    async def _on_rekey(self, body: bytes) -> None:
        request = read_rekey(body)
        if (
            self._lanes.role is not Role.GUEST
            or request.number != self.count + 1
            or self._unanswered()
        ):
            raise malformed("a Rekey out of turn")
        ciphertext, secret = self._kem.encapsulate(request.material)
        answer = Rekey(request.number, ciphertext).encoded()
        await self._channel.post(RecordType.REKEY_ANSWER, answer)
        self._renew(secret, body + answer)

    async def _on_answer(self, body: bytes) -> None:
        answer = read_rekey(body)
        if self._pair is None or answer.number != self.count + 1:
            raise malformed("a RekeyAnswer out of turn")
        secret = self._kem.decapsulate(self._pair, answer.material)
        self._pair.wipe()
        self._pair = None
        self._renew(secret, self._request + body)
        for lane in list(self._lanes):
            if lane.address:  # it may be broken, or stuck in a path that is
                self._scope.spawn(self._epochs.catch_up(lane))
            elif lane.rekeys < self.count:  # one that joins from here on has the new root
                await self._epochs.begin(lane)

    async def _on_epoch(self, body: bytes) -> None:
        await self._epochs.received(self._channel.lane, body)

    def _renew(self, secret: bytearray, messages: bytes) -> None:
        self._epochs.renew(secret, messages)
        self._bytes, self._at = self._lanes.moved, time.monotonic()
        self._reporter.note(f"fresh keys from a new KEM run (number {self.count})", 2)
