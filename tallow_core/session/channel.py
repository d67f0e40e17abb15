"""The control channel: sealed messages between both ends, and how a session ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tallow_core.aio import Scope
from tallow_core.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    BrokenOffError,
    FileSystemError,
    LocalProtocolError,
    RefusedError,
    TallowError,
    TransportError,
)
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import read_reason, write_reason
from tallow_core.session.lane import Lane
from tallow_core.text import printable

PING_SECONDS = 15.0
SILENCE_SECONDS = 60.0
"""A session ends when nothing was heard on the control lane for so long."""
LAST_WORDS_SECONDS = 2.0
MAX_UNREAD_MESSAGES = 4

Handler: TypeAlias = Callable[[bytes], Awaitable[None]]
"""A handler, which takes the body of one message. It runs within the listening task, so later
messages wait for it."""


class StoppedError(BrokenOffError):
    """The other side has ended the session on purpose. To dial again is of no use."""


class Channel:
    """Messages on `lane`, the control lane. A record type with a handler goes to that handler; what
    else comes is for `next_message`."""

    def __init__(self, scope: Scope, lane: Lane) -> None:
        self.lane = lane
        self._scope = scope
        self._handlers: dict[int, Handler] = {}
        self._inbox: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=MAX_UNREAD_MESSAGES)
        self.handle(RecordType.PING, _ignore)
        self.handle(RecordType.REFUSE, _refused)
        self.handle(RecordType.ERROR, _stopped)

    @property
    def ended(self) -> bool:
        """Whether this end has sent its final message. Nothing can follow it."""
        return self.lane.sealer.finished

    def handle(self, kind: RecordType, handler: Handler) -> None:
        """Have `handler` take every message of this type. A type has one handler: a second is a
        `LocalProtocolError`."""
        if kind in self._handlers:
            raise LocalProtocolError(f"record {kind:#04x} has a handler already")
        self._handlers[kind] = handler

    async def post(self, kind: RecordType, body: bytes = b"", *, final: bool = False) -> None:
        """Send one message."""
        await self.lane.put(kind, body, final=final)

    async def next_message(self) -> tuple[int, bytes]:
        """The next message that no handler takes, as (type, body). Raises what ended the session:
        `RefusedError`, `StoppedError`, `BrokenOffError`, ..."""
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        return await self._scope.guard(self._inbox.get())

    async def listen(self) -> None:
        """Take messages until the session ends."""
        while not self.lane.opener.finished:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    kind, body = await self.lane.next_record()
            except TimeoutError:
                raise BrokenOffError(
                    f"nothing was heard from the other side for {SILENCE_SECONDS:g} s; try again"
                ) from None
            await self.dispatch(kind, bytes(body))
        # The pings have ended: what is still to come on other lanes has this long.
        await asyncio.sleep(SILENCE_SECONDS)
        raise BrokenOffError(
            "the other side ended the session before the transfer was done; try again"
        )

    async def dispatch(self, kind: int, body: bytes) -> None:
        """Pass one message on. Raises `RemoteProtocolError` if it waits longer than
        `SILENCE_SECONDS` for `next_message`."""
        if (handler := self._handlers.get(kind)) is not None:
            await handler(body)
            return
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._inbox.put((kind, body))
        except TimeoutError:
            raise malformed("messages that nothing waits for") from None

    async def ping(self) -> None:
        """Show the other end that this one is there, until our final message."""
        while not self.ended:
            await asyncio.sleep(PING_SECONDS)
            if not self.ended:
                await self.post(RecordType.PING)

    async def last_words(self, error: BaseException) -> None:
        """Say to the other end why this one stops, if the connection still carries it."""
        if self.ended or (self._scope.failed and isinstance(error, TransportError)):
            return
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.post(RecordType.ERROR, _reason(error), final=True)


def _reason(error: BaseException) -> bytes:
    if isinstance(error, FileSystemError):  # its sentence may name paths of this machine
        return write_reason(error.exit_status, "a file or folder there cannot be read or written")
    if isinstance(error, TallowError):
        return write_reason(error.exit_status, str(error))
    if isinstance(error, asyncio.CancelledError):
        return write_reason(EXIT_INTERRUPTED, "it was interrupted there")
    return write_reason(EXIT_BUG, "something went wrong there")


async def _ignore(body: bytes) -> None:
    pass


async def _refused(body: bytes) -> None:
    raise RefusedError(f"the other side refused: {printable(read_reason(body)[1])}")


async def _stopped(body: bytes) -> None:
    raise StoppedError(f"the other side stopped: {printable(read_reason(body)[1])}")
