"""Receiving: the guest's side of a transfer, from the code to the receipt.

Nothing that a sender says reaches the file system before the whole offer was checked and accepted, and no file has its name before
its hash was right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tallow_core.dataplane.blocking import detached
from tallow_core.dataplane.landing import Landing, Overwrite, Writer
from tallow_core.dataplane.sources import Skipped
from tallow_core.dataplane.spool import Spool
from tallow_core.errors import AuthenticationError, FileSystemError, IntegrityError, RefusedError, TallowError
from tallow_core.protocol.code import Code
from tallow_core.protocol.content import ContentReader, Directory, Event, FileBegin, FileChunk, FileFailed, FileVerified
from tallow_core.protocol.manifest import Entry, Offer, OfferReader, read_entry
from tallow_core.protocol.messages import Receipt, write_reason
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.schedule import RECEIPT_CONTEXT
from tallow_core.protocol.wire import Reader, malformed
from tallow_core.runtime.context import Context
from tallow_core.runtime.joining import connect
from tallow_core.runtime.lane import Lane
from tallow_core.runtime.progress import progress
from tallow_core.runtime.safety import Ask
from tallow_core.runtime.sending import announce_session, report_done
from tallow_core.runtime.session import Session
from tallow_core.text import printable

PARTING_SECONDS = 5.0
MOST_LISTED = 10_000
"""Files that the sender failed to read, listed one by one: how many there are is for the sender to choose."""


class Sink(Protocol):
    """Where the content goes. Names were checked before; `commit` gives the path as it landed."""

    skipped: list[Skipped]
    single: bool
    """Whether all of it is one thing, which is of no use if it did not come whole."""

    def enter(self, entry: Entry) -> None: ...

    def begin(self, entry: Entry) -> None: ...

    async def write(self, offset: int, data: memoryview) -> None: ...

    def commit(self) -> str: ...

    def discard(self) -> None: ...

    def close(self, *, failed: bool) -> None: ...


class FolderSink:
    """Files and folders below an output folder."""

    single = False

    def __init__(self, output: str, overwrite: Overwrite) -> None:
        self._landing = Landing(output, overwrite)
        self._writer: Writer | None = None
        self._path = ""
        self.skipped = self._landing.skipped

    def enter(self, entry: Entry) -> None:
        """Make a folder."""
        self._landing.enter(entry.components, entry.mode, entry.mtime_ns)

    def begin(self, entry: Entry) -> None:
        """Begin a file."""
        self._path = "/".join(entry.components)
        self._writer = self._landing.begin(entry.components, entry.mode, entry.mtime_ns)

    async def write(self, offset: int, data: memoryview) -> None:
        """Write inline: a hop to a thread costs more than the page cache does."""
        if self._writer is not None:
            self._writer.write(offset, data)

    def commit(self) -> str:
        """Give the file its name."""
        return self._path if self._writer is None else self._writer.commit()

    def discard(self) -> None:
        """Drop the file."""
        if self._writer is not None:
            self._writer.discard()

    def close(self, *, failed: bool) -> None:
        """Set the folders' modes and times, remove what is unfinished."""
        if failed:
            self._landing.abort()
        else:
            self._landing.close()


class StreamSink:
    """One file, to a descriptor, as its records verify: completeness is known by the exit status."""

    single = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self.skipped: list[Skipped] = []
        self._path = ""

    def enter(self, entry: Entry) -> None:
        """Never called: the offer is one file."""

    def begin(self, entry: Entry) -> None:
        """Remember the name."""
        self._path = "/".join(entry.components)

    async def write(self, offset: int, data: memoryview) -> None:
        """Write, on a thread if the reader of a pipe may be slow."""
        try:
            if self._regular:
                self._all(data)
            else:
                await detached(lambda: self._all(data))
        except OSError as error:
            raise FileSystemError(f"standard output cannot be written: {error.strerror}") from error

    def _all(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def commit(self) -> str:
        """The name it was sent under."""
        return self._path

    def discard(self) -> None:
        """What was written cannot be taken back; the exit status tells."""

    def close(self, *, failed: bool) -> None:
        """Standard output stays open."""


class TextSink:
    """A text message, kept to be shown."""

    single = True

    def __init__(self) -> None:
        self.data = bytearray()
        self.skipped: list[Skipped] = []

    def enter(self, entry: Entry) -> None:
        """Never called: the offer is one text."""

    def begin(self, entry: Entry) -> None:
        """Begin."""

    async def write(self, offset: int, data: memoryview) -> None:
        """Append; the size was checked against the offer's."""
        self.data += data

    def commit(self) -> str:
        """A text has no path."""
        return ""

    def discard(self) -> None:
        """Forget it."""
        self.data.clear()

    def close(self, *, failed: bool) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What the person is asked about. `entries` may be read as often as needed; their names were checked."""

    offer: Offer
    entries: Callable[[], Iterator[Entry]]


Decide = Callable[[Offered], Awaitable[Sink]]
"""Asks whoever decides; returns where the content goes, or raises `RefusedError`, `UsageError` or `FileSystemError`."""


async def receive(context: Context, code: Code, at: str | None, decide: Decide, ask: Ask) -> None:
    """Find the sender, check the offer, ask `decide`, and receive; raises any `TallowError`.

    `ask` has the safety number of the other side typed in, where policy here wants that: before `decide`, and before anything is accepted.
    """
    session = await connect(context, code, at)
    async with session:
        announce_session(context, session)
        receiver = _Receiver(context, session)
        with Spool() as spool:
            offered = await receiver.offered(spool)
            try:
                _veto(context, offered.offer)
                await session.guard(session.safety.compare(context, ask))
                sink = await session.guard(_asked(decide, offered))
            except TallowError as error:
                await _refuse(session, error)
                raise
            await receiver.take(offered, sink)


async def _asked(decide: Decide, offered: Offered) -> Sink:
    return await decide(offered)


def _veto(context: Context, offer: Offer) -> None:
    reason = context.plugins.veto("tallow_veto_offer", files=offer.files, size=offer.size)
    if reason is not None:
        raise RefusedError(f"a plugin refuses this offer: {reason}")


async def _refuse(session: Session, error: TallowError) -> None:
    """Tell the sender no. What it need not know of this side (paths, free space) stays here."""
    text = str(error) if isinstance(error, RefusedError | AuthenticationError) else "it cannot be taken there"
    with contextlib.suppress(TallowError):
        await session.send(RecordType.REFUSE, write_reason(error.exit_status, text), final=True)


def check_space(output: str, size: int | None) -> None:
    """Raise `FileSystemError` if the file system of `output` has less than `size` bytes free."""
    place = Path(output).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return  # what cannot be asked is found out by writing
    if size is not None and size > free:
        raise FileSystemError(f"{size} bytes are offered, but only {free} are free in {printable(str(place))}; make room or use --output")


class _Receiver:
    def __init__(self, context: Context, session: Session) -> None:
        self._context = context
        self._session = session
        self._hash = session.established.hash
        self._hashes = self._hash.hasher(RECEIPT_CONTEXT)
        self._files = 0
        self._bytes = 0
        self._skipped: list[Skipped] = []
        self._failed_files = 0
        self._renamed = ""

    async def offered(self, spool: Spool) -> Offered:
        """Take all pages of the offer; every entry is checked before anybody is asked."""
        reader = OfferReader(self._hash)
        while reader.offer is None:
            kind, body = await self._session.receive()
            if kind != RecordType.OFFER_PAGE:
                raise malformed(f"record {kind:#04x} where the offer should come")
            for entry in reader.page(body):
                spool.append(entry.encoded())
        self._context.event("offer", files=reader.offer.files, bytes=reader.offer.size)
        return Offered(reader.offer, lambda: (read_entry(Reader(item, "the list")) for item in spool))

    async def take(self, offered: Offered, sink: Sink) -> None:
        """Accept, receive everything, send the receipt, report."""
        failed = True
        try:
            began = time.monotonic()
            await self._session.send(RecordType.ACCEPT)
            lane = await self._session.guard(self._session.dial_lane())
            async with progress(self._context, lambda: self._bytes, offered.offer.size):
                await self._session.guard(self._content(lane, offered, sink))
            seconds = time.monotonic() - began
            failed = False
        finally:
            sink.close(failed=failed)
        await lane.send(RecordType.CLOSE, final=True)
        receipt = Receipt(self._files, self._bytes, self._hashes.digest())
        await self._session.send(RecordType.RECEIVED, receipt.encoded(), final=True)
        await self._parting()
        if sink.single and self._failed_files:
            raise IntegrityError("the sender could not read all of it, so what came is not whole; ask for it again")
        report_done(self._context, self._files - len(sink.skipped), self._bytes, seconds, self._skipped + sink.skipped)
        self._warn(sink)

    async def _parting(self) -> None:
        """The receipt was handed over; the sender's last word is waited for, so that closing cannot cut the receipt off."""
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(PARTING_SECONDS):
                await self._session.receive()

    def _warn(self, sink: Sink) -> None:
        if self._skipped:
            names = ", ".join(printable(skipped.path) for skipped in self._skipped[:3])
            self._context.reporter.warn(f"the sender could not read {self._failed_files} of the files it offered: {names}")
        if sink.skipped:
            self._context.reporter.warn(f"{len(sink.skipped)} left alone because they exist here already")

    async def _content(self, lane: Lane, offered: Offered, sink: Sink) -> None:
        content = ContentReader(offered.entries(), offered.offer.segment_size, self._hash, self._context.settings.receive.unknown_size)
        while not lane.opener.finished:
            kind, body = await lane.receive()
            if kind == RecordType.EPOCH:
                await self._session.epoch(lane, body)
                continue
            if kind != RecordType.DATA:
                raise malformed(f"record {kind:#04x} on a data lane")
            for event in content.record(body):
                await self._apply(event, sink)
            await self._session.rekey_if_due()
            # sock_recv_into may finish without ever yielding: let pings and the progress display have their turn.
            await asyncio.sleep(0)
        for event in content.end():
            await self._apply(event, sink)

    async def _apply(self, event: Event, sink: Sink) -> None:
        if isinstance(event, FileChunk):
            await sink.write(event.offset, event.data)
            self._bytes += len(event.data)
        elif isinstance(event, FileBegin):
            sink.begin(event.entry)
        elif isinstance(event, FileVerified):
            self._verified(event, sink.commit())
        elif isinstance(event, FileFailed):
            sink.discard()
            self._failed_files += 1
            if self._failed_files <= MOST_LISTED:
                self._skipped.append(Skipped("/".join(event.entry.components), "unreadable"))
        elif isinstance(event, Directory):
            sink.enter(event.entry)

    def _tell_renamed(self, sent: str, landed: str) -> None:
        """Say once for each top-level name that it was received under another."""
        if landed not in ("", sent, self._renamed):
            self._renamed = landed
            self._context.reporter.note(f"{printable(sent)} exists here already: received as {printable(landed)}", 0)

    def _verified(self, event: FileVerified, path: str) -> None:
        self._tell_renamed(event.entry.components[0], path.partition("/")[0])
        self._hashes.update(event.tree_hash)
        self._files += 1
        self._context.event("file", path=printable(path), bytes=event.size, tree_hash=event.tree_hash.hex())


def top_level(offered: Offered) -> Iterator[str]:
    """The top-level names of an offer."""
    return (entry.components[0] for entry in offered.entries() if len(entry.components) == 1)
