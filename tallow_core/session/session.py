"""A session after the handshake: its scope, control channel, lanes and fresh keys together."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from tallow_core.aio import Scope
from tallow_core.errors import TransportError
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.lanes.lane_join import CONTROL_KEYS
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.session.channel import LAST_WORDS_SECONDS, Channel
from tallow_core.session.context import Context
from tallow_core.session.epochs import Epochs
from tallow_core.session.lane import Dial, Lane
from tallow_core.session.lane_set import LaneSet
from tallow_core.session.rekey import KeyRenewal
from tallow_core.session.safety_check import SafetyNumber
from tallow_core.spi.transport import ByteStream
from tallow_core.types import NetworkPath, Role

T = TypeVar("T")


class Session:
    """One end of a session, reached by `path` on `stream`; `dial` opens a further stream there,
    past its Join (guest only).

    Use it as an async context manager: entering starts listening and pinging, leaving closes every
    lane. Register handlers with `channel` before the first message can come: before entering, or
    right after it, before anything is awaited.
    """

    def __init__(
        self,
        context: Context,
        role: Role,
        established: Established,
        stream: ByteStream,
        path: NetworkPath,
        dial: Dial | None = None,
    ) -> None:
        self.established = established
        self.path = path
        self.safety = SafetyNumber(established, role)
        self.scope = Scope()
        epochs = Epochs(established.schedule, role)
        self.lanes = LaneSet(self.scope, established, role, epochs, context.reporter, dial)
        control = self.lanes.add(Lane(stream, CONTROL_KEYS, established, role))
        self.channel = Channel(self.scope, control)
        self.key_renewal = KeyRenewal(
            self.scope,
            self.channel,
            self.lanes,
            established.kem,
            context.policy.limits,
            context.reporter,
        )

    async def __aenter__(self) -> Session:
        self.scope.spawn(self.channel.listen())
        self.scope.spawn(self.channel.ping())
        self.scope.spawn(self.key_renewal.watch())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            await self.channel.last_words(error)
        await self.scope.close()
        await self.lanes.aclose()
        self.established.schedule.wipe()

    async def post(self, kind: RecordType, body: bytes = b"", *, final: bool = False) -> None:
        """Send one message on the control channel."""
        await self.channel.post(kind, body, final=final)

    async def next_message(self) -> tuple[int, bytes]:
        """The next message on the control channel that no handler takes."""
        return await self.channel.next_message()

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, and stop it with the session's error if the session fails first.

        Where a data lane breaks, the other end may say why on the control lane a moment later: that
        is raised then.
        """
        try:
            return await self.scope.guard(work)
        except TransportError:
            await self.scope.failure_within(LAST_WORDS_SECONDS)
            raise
