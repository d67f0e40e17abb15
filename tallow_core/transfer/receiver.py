"""The receiver's side of one session: read and check the offer, receive what is accepted of it,
send the receipt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from typing import Any

from tallow_core.aio import Yielder
from tallow_core.errors import (
    BrokenOffError,
    FileSystemError,
    IntegrityError,
    NextStep,
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
from tallow_core.protocol.lanes.record import MAX_DATA_RECORD_BYTES, RecordType
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
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tallow_core.protocol.transfer.offer_reader import OfferReader
from tallow_core.protocol.transfer.selection import Selection
from tallow_core.session.channel import StoppedError
from tallow_core.session.context import Context
from tallow_core.session.session import Session
from tallow_core.text import printable
from tallow_core.transfer.decision import Decision, Offered, ReceiveRun, check_space
from tallow_core.transfer.partial_receive import PartialReceive
from tallow_core.transfer.progress import progress
from tallow_core.transfer.session_report import report_done
from tallow_core.transfer.sinks import Sink
from tallow_core.transfer.throttle import Throttle

PARTING_SECONDS = 5.0
"""The time to wait for the sender's last message."""
MAX_LISTED_FILES = 10_000
"""The most files that are listed one by one after the sender failed to read them. The sender
decides how many there are."""


def _entries(spool: Spool) -> Iterator[Entry]:
    for page in spool:
        reader = Reader(page, "the list")
        yield from read_list(reader, reader.u16())


class Receiver:
    """Receives in one session. Call `offered`, then `take`."""

    def __init__(self, context: Context, session: Session, pool: LanePool, run: ReceiveRun) -> None:
        self._context = context
        self._session = session
        self._pool = pool
        self._run = run
        secret = bytes(session.established.schedule.key(RESUME))  # now: a rekey replaces the root
        self._partial = PartialReceive(context, session.established, secret)
        self._hash = session.established.hash
        self._hashes = self._hash.hasher(RECEIPT_CONTEXT)
        self._files = 0
        self._bytes = 0
        self._skipped: list[Skipped] = []
        self._failed_files = 0
        self._renamed = ""
        self._yielder = Yielder()

    async def offered(self, spool: Spool) -> Offered:
        """Take all pages of the offer; every entry is checked before the person is asked."""
        reader = OfferReader(self._hash)
        kind, body = await self._first()
        if kind == RecordType.RESUME:
            await self._session.post(RecordType.RESUMED, self._partial.answer(body))
            kind, body = await self._session.next_message()
        if self._run.earlier not in (None, self._partial.earlier):
            raise StoppedError("the sender began anew: receive again")
        while True:
            if kind != RecordType.OFFER_PAGE:
                raise malformed(f"record {kind:#04x} where the offer should come")
            reader.page(body)
            spool.append(reader.listed)
            if reader.offer is not None:
                break
            kind, body = await self._session.next_message()
        offer = reader.offer
        self._context.report(OfferMade(offer.files, offer.links, offer.size))
        output = self._context.settings.receive.output
        resumable = self._partial.lies_in(output)
        if self._partial.earlier is not None and not resumable:
            where = printable(self._partial.places[0])
            self._context.reporter.warn(
                f"a part of this was received into {where} before",
                NextStep("go on there", {"output": where}),
            )
        return Offered(offer, lambda: _entries(spool), reader.marks, reader.digest, resumable)

    async def _first(self) -> tuple[int, bytes]:
        """The sender's first message. A sender that resumes a transfer sends it at once."""
        try:
            async with asyncio.timeout(None if self._run.earlier is None else STATE_SECONDS):
                return await self._session.next_message()
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
            await self._session.post(RecordType.RECEIVED, receipt.encoded(), final=True)
            certain = await self._parting()
        self._partial.complete(certain=certain)
        if sink.single and self._failed_files:
            raise IntegrityError(
                "the sender could not read all of it, so what came is not whole; ask for it again"
            )
        before = self._partial.before
        report_done(
            self._context,
            before.files + sink.files,
            sink.links,
            before.size + self._bytes,
            seconds,
            self._skipped + sink.skipped,
        )
        self._warn(sink)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """If what is done inside fails, decide what is kept of it, and remember where."""
        try:
            yield
        except BaseException as error:
            self._partial.failed(error)
            self._run.kept_in = self._partial.kept_in
            raise

    async def _into(self, sink: Sink, work: Coroutine[Any, Any, RecordReceiver]) -> RecordReceiver:
        """Do the work, and close the sink in any case. An error of this file system says what is
        kept."""
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
            raise FileSystemError(f"{error}; {stay} kept") from error
        return flow

    async def _accepted(self, offered: Offered, selection: Selection, sink: Sink) -> RecordReceiver:
        if (target := sink.resumable) is not None and offered.offer.kind is OfferKind.FILES:
            await self._session.guard(
                self._partial.attach(target, offered.offer, offered.digest, offered.entries)
            )
            if self._partial.resumed and (stored := selection.counts.stored) is not None:
                # Less than a segment of each partial file may be on the disk beyond what counts.
                beyond = len(self._partial.leftovers.segments) * offered.offer.segment_size
                check_space(target.output, stored - self._partial.before.size - beyond)
        for body in self._partial.have(offered.offer.entries):
            await self._session.post(RecordType.HAVE, body)
        await self._pool.wish()
        for body in selection.pages():
            await self._session.post(RecordType.ACCEPT, body)
        if (earlier := self._partial.earlier) is not None and self._partial.attached:
            self._run.accepted(
                earlier, Decision(selection, sink), offered.digest, self._partial.before
            )
        flow = RecordReceiver(self._pool, await self._session.guard(self._session.lanes.dial()))
        async with progress(
            self._context, lambda: self._partial.before.size + self._bytes, selection.counts.size
        ):
            await self._session.guard(self._content(flow, offered, selection, sink))
        return flow

    async def _parting(self) -> bool:
        """Wait for the sender's last word, so that closing cannot cut the receipt off; returns
        whether it came: then the sender has the receipt."""
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(PARTING_SECONDS):
                return (await self._session.next_message())[0] == RecordType.CLOSE
        return False

    def _warn(self, sink: Sink) -> None:
        if self._skipped:
            names = ", ".join(printable(skipped.path) for skipped in self._skipped[:3])
            self._context.reporter.warn(
                f"the sender could not read {self._failed_files} of the files it offered: {names}"
            )
        if left := sum(skipped.reason == "exists" for skipped in sink.skipped):
            self._context.reporter.warn(f"{left} left alone because they exist here already")

    async def _content(
        self, flow: RecordReceiver, offered: Offered, selection: Selection, sink: Sink
    ) -> None:
        settings = self._context.settings.receive
        content = ContentReader(
            offered.entries(),
            offered.offer.segment_size,
            self._hash,
            settings.unknown_size,
            lambda number: (
                selection.content(number) and not self._partial.leftovers.is_complete(number)
            ),
            self._session.established.compressor,
            self._partial.leftovers.segments,
            lambda _, index, digest: sink.segment(index, digest),
            wholes=sink.takes_whole,
        )
        throttle = Throttle(settings.throttle)
        while (body := await flow.record()) is not None:
            size = MAX_DATA_RECORD_BYTES if self._session.established.padded else len(body)
            for event in content.record(body):
                if isinstance(event, FileWhole):
                    self._whole(event, sink)
                else:
                    await self._apply(event, sink)
            self._settle(sink)
            await self._session.key_renewal.if_due()
            await self._yielder.pause()
            await throttle.spend(size)
        for event in content.end():
            await self._apply(event, sink)

    async def _apply(self, event: ContentEvent, sink: Sink) -> None:
        if isinstance(event, FileChunk):
            await sink.write(event.offset, event.data)
            self._bytes += len(event.data)
            if event.packed:
                await self._yielder.pause()  # a record of packed chunks is much work
        elif isinstance(event, FileBegin):
            sink.begin(event.number, event.entry)
        elif isinstance(event, FileVerified):
            self._settle(sink)
            self._count(event.tree_hash)
            self._report(event.entry, event.size, event.tree_hash, sink.commit(event.size))
        elif isinstance(event, Passed):
            sink.passed(event.number, event.entry)
        elif isinstance(event, FileHole):
            await sink.hole(event.length)
            self._bytes += event.length
            await self._yielder.pause()  # a record of holes is much work
        elif isinstance(event, FileFailed):
            self._failed(event, sink)

    def _failed(self, event: FileFailed, sink: Sink) -> None:
        sink.discard()
        self._failed_files += 1
        if self._failed_files <= MAX_LISTED_FILES:
            reason: SkipReason = "changed" if event.reason == Reason.CHANGED else "unreadable"
            self._skipped.append(Skipped("/".join(event.entry.components), reason))

    def _note_renamed(self, sent: str, landed: str) -> None:
        """Say once for each top-level name that it was received under another."""
        if landed not in ("", sent, self._renamed):
            self._renamed = landed
            self._context.reporter.note(
                f"{printable(sent)} exists here already: received as {printable(landed)}", 0
            )

    def _whole(self, event: FileWhole, sink: Sink) -> None:
        self._bytes += len(event.data)
        self._count(event.tree_hash)
        if sink.put(event):
            self._settle(sink)

    def _settle(self, sink: Sink) -> None:
        """Have the small files of this record named, and report them."""
        for event, path in sink.settle():
            self._report(event.entry, event.entry.size or 0, event.tree_hash, path)

    def _count(self, tree_hash: bytes) -> None:
        self._hashes.update(tree_hash)
        self._files += 1

    def _report(self, entry: Entry, size: int, tree_hash: bytes, path: str | None) -> None:
        if path is not None:
            self._note_renamed(entry.components[0], path.partition("/")[0])
            self._context.report(FileDone(printable(path), size, tree_hash.hex()))
