"""The guest's side of one session: the offer is read and checked, what is accepted of it is
received, and the receipt is sent."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tallow_core.aio import Yielder
from tallow_core.errors import (
    BrokenOffError,
    FileSystemError,
    IntegrityError,
    RefusedError,
    TallowError,
)
from tallow_core.events import FileDone, OfferMade
from tallow_core.files.skipped import Reason as SkipReason
from tallow_core.files.skipped import Skipped
from tallow_core.files.spool import Spool
from tallow_core.paths.lane_pool import LanePool
from tallow_core.paths.record_receiver import RecordReceiver
from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.handshake.handshake_machine import STATE_SECONDS
from tallow_core.protocol.handshake.key_schedule import RECEIPT_CONTEXT, RESUME
from tallow_core.protocol.lanes.record import DATA_CAP, RecordType
from tallow_core.protocol.lanes.session_messages import Receipt
from tallow_core.protocol.transfer.content_items import Reason
from tallow_core.protocol.transfer.content_reader import (
    ContentEvent,
    ContentReader,
    FileBegin,
    FileChunk,
    FileFailed,
    FileHole,
    FileVerified,
    FileWhole,
    Passed,
)
from tallow_core.protocol.transfer.manifest_entry import Entry, read_list
from tallow_core.protocol.transfer.offer_pages import Offer, OfferKind
from tallow_core.protocol.transfer.offer_reader import OfferReader
from tallow_core.protocol.transfer.resumption import Earlier
from tallow_core.protocol.transfer.selection import Selection
from tallow_core.session.channel import StoppedError
from tallow_core.session.context import Context
from tallow_core.session.session import Session
from tallow_core.text import printable
from tallow_core.transfer.partial_transfer import Received
from tallow_core.transfer.progress import progress
from tallow_core.transfer.session_report import report_done
from tallow_core.transfer.sinks import FolderSink, Sink
from tallow_core.transfer.throttle import Throttle

PARTING_SECONDS = 5.0
MOST_LISTED = 10_000
"""Files that the sender failed to read, listed one by one: how many there are is for the sender to
choose."""


class Offered(NamedTuple):
    """What the person is asked about. `entries` may be read as often as needed; their names were
    checked."""

    offer: Offer
    entries: Callable[[], Iterator[Entry]]
    marks: bytearray
    """As `OfferReader` has them."""
    digest: bytes = b""
    """The hash over all entries."""
    resumable: bool = False
    """Whether this goes on with a transfer that was interrupted, in the output folder of the
    settings."""

    def everything(self) -> Selection:
        """All of it."""
        return Selection.everything(self.offer, self.marks)

    def only(self, wanted: Callable[[int, Entry], bool]) -> Selection:
        """The entries for which `wanted` (number, entry) holds, with the folders that they lie
        in."""
        return Selection.of(self.entries, self.marks, wanted)


class Decision(NamedTuple):
    """What is taken, and where it goes."""

    selection: Selection
    sink: Sink


class Going:
    """What a receiver takes along from one session of a run to the next. `earlier`: the transfer
    that can be gone on with."""

    def __init__(self) -> None:
        self.earlier: Earlier | None = None
        self.decision: Decision | None = None
        self.there = (0, 0)
        """Files and bytes that were here when the last session began that was accepted."""
        self.kept_in = ""
        self._digest = b""

    def accepted(
        self, earlier: Earlier, decision: Decision, digest: bytes, there: tuple[int, int]
    ) -> None:
        """The offer with this digest was accepted."""
        self.earlier, self.decision, self._digest, self.there = earlier, decision, digest, there

    def again(self, digest: bytes) -> Decision:
        """What was decided before, to be done in another session; raises `RefusedError` if the
        offer is another one."""
        assert self.decision is not None
        selection, sink = self.decision
        if digest != self._digest or not isinstance(sink, FolderSink):
            raise RefusedError(
                "what is offered now is not what was accepted before; receive it anew"
            )
        return Decision(selection, sink.again())


def _entries(spool: Spool) -> Iterator[Entry]:
    for page in spool:
        reader = Reader(page, "the list")
        yield from read_list(reader, reader.u16())


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
        raise FileSystemError(
            f"it takes {size} bytes, but only {free} are free in {printable(str(place))}; make"
            " room or use --output"
        )


class Receiver:
    """One session: the offer, and what is taken of it."""

    def __init__(self, context: Context, session: Session, pool: LanePool, going: Going) -> None:
        self._context = context
        self._session = session
        self._pool = pool
        self._going = going
        self._kept = Received(
            context, session.established, bytes(session.established.schedule.key(RESUME))
        )  # a rekey replaces the root
        self._hash = session.established.hash
        self._hashes = self._hash.hasher(RECEIPT_CONTEXT)
        self._files = 0
        self._bytes = 0
        self._skipped: list[Skipped] = []
        self._failed_files = 0
        self._renamed = ""
        self._yielder = Yielder()

    async def offered(self, spool: Spool) -> Offered:
        """Take all pages of the offer; every entry is checked before anybody is asked."""
        reader = OfferReader(self._hash)
        kind, body = await self._first()
        if kind == RecordType.RESUME:
            await self._session.send(RecordType.RESUMED, self._kept.answer(body))
            kind, body = await self._session.receive()
        if self._going.earlier not in (None, self._kept.earlier):
            raise StoppedError("the sender began anew: receive again")
        while True:
            if kind != RecordType.OFFER_PAGE:
                raise malformed(f"record {kind:#04x} where the offer should come")
            reader.page(body)
            spool.append(reader.listed)
            if reader.offer is not None:
                break
            kind, body = await self._session.receive()
        offer = reader.offer
        self._context.report(OfferMade(offer.files, offer.links, offer.size))
        output = self._context.settings.receive.output
        resumable = self._kept.lies_in(output)
        if self._kept.earlier is not None and not resumable:
            where = printable(self._kept.places[0])
            self._context.reporter.warn(
                f"a part of this was received into {where} before: to go on there, receive with"
                f" --output {where}"
            )
        return Offered(offer, lambda: _entries(spool), reader.marks, reader.digest, resumable)

    async def _first(self) -> tuple[int, bytes]:
        """The sender's first word. The one of before says at once which transfer it goes on
        with."""
        try:
            async with asyncio.timeout(None if self._going.earlier is None else STATE_SECONDS):
                return await self._session.receive()
        except TimeoutError:
            raise BrokenOffError(
                "who answered did not prove to be the sender of before; try again"
            ) from None

    async def take(self, offered: Offered, decision: Decision) -> None:
        """Accept, receive everything, send the receipt, report."""
        selection, sink = decision
        began = time.monotonic()
        with self._keeping():
            flow = await self._into(sink, self._accepted(offered, selection, sink))
        seconds = time.monotonic() - began
        await flow.close()
        receipt = Receipt(self._files, self._bytes, self._hashes.digest())
        with self._keeping():
            await self._session.send(RecordType.RECEIVED, receipt.encoded(), final=True)
            certain = await self._parting()
        self._kept.received(certain=certain)
        if sink.single and self._failed_files:
            raise IntegrityError(
                "the sender could not read all of it, so what came is not whole; ask for it again"
            )
        files, size = self._kept.there
        report_done(
            self._context,
            files + sink.files,
            sink.links,
            size + self._bytes,
            seconds,
            self._skipped + sink.skipped,
        )
        self._warn(sink)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """Whatever ends what is done inside, decide what stays of it, and remember where."""
        try:
            yield
        except BaseException as error:
            self._kept.failed(error)
            self._going.kept_in = self._kept.kept_in
            raise

    async def _into(self, sink: Sink, work: Coroutine[Any, Any, RecordReceiver]) -> RecordReceiver:
        """Do the work, and close the sink whatever becomes of it; what stands in the way here is
        told with what stays."""
        failed = True
        try:
            try:
                flow = await work
                failed = False
            finally:
                try:
                    sink.close(failed=failed)
                finally:
                    self._settle(sink)
        except FileSystemError as error:
            if sink.single or not sink.files:
                raise
            stay = (
                "1 file that was verified before is"
                if sink.files == 1
                else f"{sink.files} files that were verified before are"
            )
            raise FileSystemError(f"{str(error).rstrip('.')}; {stay} kept") from error
        return flow

    async def _accepted(self, offered: Offered, selection: Selection, sink: Sink) -> RecordReceiver:
        if isinstance(sink, FolderSink) and offered.offer.kind is OfferKind.FILES:
            await self._session.guard(
                self._kept.attach(sink, offered.offer, offered.digest, offered.entries)
            )
            if self._kept.resumed and (stored := selection.counts.stored) is not None:
                begun = (
                    len(self._kept.begun) * offered.offer.segment_size
                )  # at most: what was written after the last segment is there, too
                check_space(sink.output, stored - self._kept.there[1] - begun)
        for body in self._kept.have(offered.offer.entries):
            await self._session.send(RecordType.HAVE, body)
        await self._pool.wish()
        for body in selection.pages():
            await self._session.send(RecordType.ACCEPT, body)
        if (earlier := self._kept.earlier) is not None and self._kept.keeping is not None:
            self._going.accepted(
                earlier, Decision(selection, sink), offered.digest, self._kept.there
            )
        flow = RecordReceiver(self._pool, await self._session.guard(self._session.lanes.dial()))
        async with progress(
            self._context, lambda: self._kept.there[1] + self._bytes, selection.counts.size
        ):
            await self._session.guard(self._content(flow, offered, selection, sink))
        return flow

    async def _parting(self) -> bool:
        """The receipt was handed over; the sender's last word is waited for, so that closing cannot
        cut the receipt off.

        Whether it came: then the sender has the receipt.
        """
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(PARTING_SECONDS):
                return (await self._session.receive())[0] == RecordType.CLOSE
        return False

    def _warn(self, sink: Sink) -> None:
        if self._skipped:
            names = ", ".join(printable(skipped.path) for skipped in self._skipped[:3])
            self._context.reporter.warn(
                f"the sender could not read {self._failed_files} of the files it offered: {names}"
            )
        if there := sum(skipped.reason == "exists" for skipped in sink.skipped):
            self._context.reporter.warn(f"{there} left alone because they exist here already")

    async def _content(
        self, flow: RecordReceiver, offered: Offered, selection: Selection, sink: Sink
    ) -> None:
        settings = self._context.settings.receive
        content = ContentReader(
            offered.entries(),
            offered.offer.segment_size,
            self._hash,
            settings.unknown_size,
            lambda number: selection.content(number) and not self._kept.is_there(number),
            self._session.established.compressor,
            self._kept.begun,
            lambda _, index, digest: sink.segment(index, digest),
            wholes=isinstance(sink, FolderSink),
        )
        throttle = Throttle(settings.throttle)
        while (body := await flow.record()) is not None:
            size = DATA_CAP if self._session.established.padded else len(body)
            for event in content.record(body):
                if isinstance(event, FileWhole) and isinstance(sink, FolderSink):
                    self._whole(event, sink)
                else:
                    await self._apply(event, sink)
            self._settle(sink)
            await self._session.rekeying.if_due()
            await self._yielder.pause()
            await throttle.spend(size)
        for event in content.end():
            await self._apply(event, sink)

    async def _apply(self, event: ContentEvent, sink: Sink) -> None:
        if isinstance(event, FileChunk):
            await sink.write(event.offset, event.data)
            self._bytes += len(event.data)
            if event.packed:
                await self._yielder.pause()  # a record of packed chunks stands for much work
        elif isinstance(event, FileBegin):
            sink.begin(event.number, event.entry)
        elif isinstance(event, FileVerified):
            self._settle(sink)
            self._count(event.tree_hash)
            self._tell(event.entry, event.size, event.tree_hash, sink.commit(event.size))
        elif isinstance(event, Passed):
            sink.passed(event.number, event.entry)
        elif isinstance(event, FileHole):
            await sink.hole(event.length)
            self._bytes += event.length
            await self._yielder.pause()  # a record of holes stands for much work
        elif isinstance(event, FileFailed):
            self._failed(event, sink)

    def _failed(self, event: FileFailed, sink: Sink) -> None:
        sink.discard()
        self._failed_files += 1
        if self._failed_files <= MOST_LISTED:
            reason: SkipReason = "changed" if event.reason == Reason.CHANGED else "unreadable"
            self._skipped.append(Skipped("/".join(event.entry.components), reason))

    def _tell_renamed(self, sent: str, landed: str) -> None:
        """Say once for each top-level name that it was received under another."""
        if landed not in ("", sent, self._renamed):
            self._renamed = landed
            self._context.reporter.note(
                f"{printable(sent)} exists here already: received as {printable(landed)}", 0
            )

    def _whole(self, event: FileWhole, sink: FolderSink) -> None:
        self._bytes += len(event.data)
        self._count(event.tree_hash)
        if sink.whole(event):
            self._settle(sink)

    def _settle(self, sink: Sink) -> None:
        """Have the small files of this record named, and tell of them."""
        for event, path in sink.settle() if isinstance(sink, FolderSink) else ():
            self._tell(event.entry, event.entry.size or 0, event.tree_hash, path)

    def _count(self, tree_hash: bytes) -> None:
        self._hashes.update(tree_hash)
        self._files += 1

    def _tell(self, entry: Entry, size: int, tree_hash: bytes, path: str | None) -> None:
        if path is not None:
            self._tell_renamed(entry.components[0], path.partition("/")[0])
            self._context.report(FileDone(printable(path), size, tree_hash.hex()))
