"""Sending: the host's side of a transfer, from the code to the receiver's receipt."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import time
from collections.abc import Iterator
from struct import Struct
from typing import Protocol

from tallow_core.dataplane.blocking import detached
from tallow_core.dataplane.buffers import RecordBuffer
from tallow_core.dataplane.outgoing import FileSource, Outgoing, Source
from tallow_core.dataplane.sources import Skipped, SourceEntry, Sources
from tallow_core.dataplane.spool import Spool
from tallow_core.errors import BrokenOffError, FileSystemError, IntegrityError, RefusedError, UnreachableError, UsageError
from tallow_core.protocol.content import Reason
from tallow_core.protocol.handshake import Established
from tallow_core.protocol.manifest import MOST_TEXT, Entry, EntryKind, Offer, OfferKind, pages, read_entry
from tallow_core.protocol.messages import Receipt, read_receipt
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.schedule import RECEIPT_CONTEXT
from tallow_core.protocol.wire import Reader, malformed
from tallow_core.runtime.context import Context
from tallow_core.runtime.hosting import CodeVoid, Host, open_host
from tallow_core.runtime.lane import Lane
from tallow_core.runtime.progress import progress
from tallow_core.runtime.safety import Ask
from tallow_core.runtime.session import Session
from tallow_core.secrets import equal, system_rng
from tallow_core.spi.hash import Hasher
from tallow_core.text import printable

_INODE = Struct(">QQ")
PAUSE_SECONDS = 0.05
"""How long a pipe may pause before what it has given is sent on."""


class Payload(Protocol):
    """What is sent. `entries` may be walked once a session; `skipped` is what a walk left out."""

    kind: OfferKind
    skipped: list[Skipped]

    def entries(self) -> Iterator[SourceEntry]: ...

    def open(self, entry: SourceEntry) -> Source: ...

    def close(self, source: Source) -> None: ...


class FilesPayload:
    """Files and folders."""

    kind = OfferKind.FILES

    def __init__(self, paths: list[str]) -> None:
        self._sources = Sources(paths)
        self.skipped = self._sources.skipped

    def entries(self) -> Iterator[SourceEntry]:
        """Walk the trees."""
        return self._sources.walk()

    def open(self, entry: SourceEntry) -> Source:
        """Open one file; raises `FileSystemError`."""
        return _Opened(self._sources.open(entry))

    def close(self, source: Source) -> None:
        """Close it again."""
        if isinstance(source, _Opened):
            os.close(source.descriptor)


class _Opened(FileSource):
    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.descriptor = descriptor


class TextPayload:
    """One text message."""

    kind = OfferKind.TEXT

    def __init__(self, text: str) -> None:
        try:
            self._data = text.encode()
        except UnicodeEncodeError:
            raise UsageError("that text is not valid in this terminal's encoding; send it as a file") from None
        if len(self._data) > MOST_TEXT:
            raise FileSystemError(f"a text has at most {MOST_TEXT} bytes; send it as a file")
        self.skipped: list[Skipped] = []

    def entries(self) -> Iterator[SourceEntry]:
        """The one entry."""
        yield SourceEntry(False, ("text.txt",), 0o600, time.time_ns(), len(self._data), (0, 0))

    def open(self, entry: SourceEntry) -> Source:
        """The bytes of the text."""
        return _Memory(self._data)

    def close(self, source: Source) -> None:
        """Nothing to close."""


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    async def read_into(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class StreamPayload:
    """Standard input: its size is known at its end."""

    kind = OfferKind.STREAM

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.skipped: list[Skipped] = []

    def entries(self) -> Iterator[SourceEntry]:
        """The one entry; its size is not used."""
        yield SourceEntry(False, ("stdin",), 0o600, time.time_ns(), 0, (0, 0))

    def open(self, entry: SourceEntry) -> Source:
        """A regular file is read inline, a pipe or terminal on a thread."""
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return FileSource(self._descriptor)
        return _Pipe(self._descriptor)

    def close(self, source: Source) -> None:
        """Standard input stays open."""


class _Pipe:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def read_into(self, buffer: memoryview) -> int:
        def fill() -> int:
            got = os.readv(self._descriptor, [buffer])
            while 0 < got < len(buffer) and select.select([self._descriptor], [], [], PAUSE_SECONDS)[0]:
                count = os.readv(self._descriptor, [buffer[got:]])
                if not count:
                    break
                got += count
            return got

        try:
            return await detached(fill)
        except OSError as error:
            raise FileSystemError(f"standard input cannot be read: {error.strerror}") from error


async def send(context: Context, payload: Payload, phrase: str | None, ask: Ask) -> None:
    """Print a code (or wait under `phrase`), and send `payload` to whoever proves that it knows it.

    `ask` has the safety number of the other side typed in, where policy here wants that: before anything is offered.

    Raises any `TallowError`; a `FileSystemError` after the `done` event if something could not be read.
    """
    while True:
        try:
            async with open_host(context, phrase) as host:
                await _serve(context, host, payload, ask)
                return
        except CodeVoid as error:
            if phrase is not None:
                raise
            context.reporter.warn(f"{error}; here is a new one")


async def _serve(context: Context, host: Host, payload: Payload, ask: Ask) -> None:
    wait = min(context.settings.send.wait, context.settings.send.lifetime)
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                session = await host.session()
        except TimeoutError:
            raise UnreachableError(f"nobody came for it within {wait:g} s; send again for a new code") from None
        sender = _Sender(context, session, payload)
        try:
            async with session:
                await sender.run(ask)
            break
        except BrokenOffError as error:
            if sender.accepted:
                raise
            context.reporter.warn(f"the receiver left before it accepted anything ({error}); still waiting")
            host.again()
    sender.report()


class _Sender:
    def __init__(self, context: Context, session: Session, payload: Payload) -> None:
        self._context = context
        self._session = session
        self._payload = payload
        self._established: Established = session.established
        self._skipped: list[Skipped] = []
        self._hashes: Hasher = self._established.hash.hasher(RECEIPT_CONTEXT)
        self._files = 0
        self._bytes = 0
        self._seconds = 0.0
        self.accepted = False

    async def run(self, ask: Ask) -> None:
        """The whole transfer."""
        announce_session(self._context, self._session)
        await self._session.guard(self._session.safety.compare(self._context, ask))
        with Spool() as spool:
            offer = await self._session.guard(self._offer(spool))
            kind, _ = await self._session.receive()
            if kind != RecordType.ACCEPT:
                raise malformed(f"record {kind:#04x} where Accept should come")
            self.accepted = True
            began = time.monotonic()
            lane = await self._session.next_lane()
            await self._session.guard(self._content(spool, offer, lane))
            await self._receipt()
            self._seconds = time.monotonic() - began

    async def _offer(self, spool: Spool) -> Offer:
        """List what there is while the list is sent."""
        offer = None
        for body, whole in pages(self._payload.kind, system_rng(16), self._established.hash, self._entries(spool)):
            await self._session.send(RecordType.OFFER_PAGE, body)
            offer = whole
        self._skipped = list(self._payload.skipped)
        assert offer is not None
        if not offer.files and not offer.directories:
            raise FileSystemError("nothing that was named can be sent")
        self._context.event("offer", files=offer.files, bytes=offer.size)
        return offer

    def _entries(self, spool: Spool) -> Iterator[Entry]:
        for source in self._payload.entries():
            kind = EntryKind.DIRECTORY if source.directory else EntryKind.FILE
            size = None if self._payload.kind == OfferKind.STREAM else source.size
            entry = Entry(kind, source.components, source.mode, source.mtime_ns, size)
            spool.append(_INODE.pack(*source.inode) + entry.encoded())
            yield entry

    async def _content(self, spool: Spool, offer: Offer, lane: Lane) -> None:
        async def send(buffer: RecordBuffer, size: int) -> None:
            await lane.send_filled(buffer, size)
            await self._session.rekey_if_due()

        out = Outgoing(send, self._established.hash, offer.segment_size)
        async with progress(self._context, lambda: out.sent, offer.size):
            for number, item in enumerate(spool):
                entry = read_entry(Reader(item[_INODE.size :], "our own list"))
                if entry.kind == EntryKind.FILE:
                    inode = _INODE.unpack_from(item)
                    await self._file(out, number, entry, (inode[0], inode[1]))
            await out.finish()
        self._bytes = out.sent

    async def _file(self, out: Outgoing, number: int, entry: Entry, inode: tuple[int, int]) -> None:
        path = "/".join(entry.components)
        try:
            source = self._payload.open(SourceEntry(False, entry.components, entry.mode, entry.mtime_ns, entry.size or 0, inode))
        except FileSystemError:
            self._skipped.append(Skipped(path, "unreadable"))
            await out.failed(number, Reason.UNREADABLE)
            return
        try:
            before = out.sent
            digest = await out.file(number, source, entry.size)
        except FileSystemError:
            self._skipped.append(Skipped(path, "unreadable"))
            await out.failed(number, Reason.CHANGED)
            return
        finally:
            self._payload.close(source)
        self._hashes.update(digest)
        self._files += 1
        self._context.event("file", path=printable(path), bytes=out.sent - before, tree_hash=digest.hex())

    async def _receipt(self) -> None:
        kind, body = await self._session.receive()
        if kind != RecordType.RECEIVED:
            raise malformed(f"record {kind:#04x} where the receipt should come")
        receipt: Receipt = read_receipt(body)
        if (receipt.files, receipt.size) != (self._files, self._bytes) or not equal(receipt.digest, self._hashes.digest()):
            raise IntegrityError("the receiver's receipt does not fit what was sent; ask it what it has")
        await self._session.send(RecordType.CLOSE, final=True)

    def report(self) -> None:
        """The `done` event, then what could not be read, as an error."""
        report_done(self._context, self._files, self._bytes, self._seconds, self._skipped)
        unread = [skipped for skipped in self._skipped if skipped.reason not in ("link", "special")]
        if unread:
            first = printable(unread[0].path)
            raise FileSystemError(f"the rest was sent, but {len(unread)} could not be: {first}" + (", ..." if len(unread) > 1 else ""))


def announce_session(context: Context, session: Session) -> None:
    """The `peer`, `suite` and perhaps `safety` events, once a peer has proved itself; raises `RefusedError` if a plugin refuses it."""
    path = session.path
    context.event("peer", path=path.kind)
    context.event("suite", **session.established.suite)
    context.reporter.note(f"connected by {path.address}")
    reason = context.plugins.veto("tallow_veto_peer", path=path.kind, address=path.address)
    if reason is not None:
        raise RefusedError(f"a plugin refuses this peer: {reason}")
    session.safety.show(context)


def report_done(context: Context, files: int, size: int, seconds: float, skipped: list[Skipped]) -> None:
    """The `done` event."""
    left_out = [{"path": printable(entry.path), "reason": entry.reason} for entry in skipped]
    context.event("done", files=files, bytes=size, seconds=round(seconds, 6), skipped=left_out)
