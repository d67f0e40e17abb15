"""The sender's side of one session: make the offer, send what is accepted of it, check the
receipt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from tallow_core.errors import (
    BrokenOffError,
    FileSystemError,
    IntegrityError,
    RefusedError,
)
from tallow_core.events import FileDone, OfferMade, RenamedFile, TransferResumed
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.record_buffer import PAYLOAD_BYTES, RecordBuffer
from tallow_core.files.skipped import HARMLESS, Skipped
from tallow_core.files.source.compression import Compression
from tallow_core.files.source.record_packer import RecordPacker
from tallow_core.files.source.source_entry import Inode, SourceEntry
from tallow_core.files.spool import Spool
from tallow_core.paths.lane_pool import LanePool
from tallow_core.paths.record_sender import RecordSender
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.handshake_machine import STATE_SECONDS, Established
from tallow_core.protocol.handshake.key_schedule import RECEIPT_CONTEXT, RESUME
from tallow_core.protocol.lanes.record import MAX_DATA_RECORD_BYTES, RecordType
from tallow_core.protocol.lanes.session_messages import Receipt, read_receipt
from tallow_core.protocol.transfer.content_items import Reason
from tallow_core.protocol.transfer.manifest_entry import FILES, Entry
from tallow_core.protocol.transfer.offer_pages import Offer, pages
from tallow_core.protocol.transfer.resumption import Earlier, HaveReader, read_resumed, write_resume
from tallow_core.protocol.transfer.selection import AcceptReader
from tallow_core.secrets import equal, system_rng
from tallow_core.session.context import Context
from tallow_core.session.lane import Lane
from tallow_core.session.safety_check import Ask
from tallow_core.session.session import Session
from tallow_core.spi.hash import Hasher
from tallow_core.text import printable
from tallow_core.transfer.partial_send import PartialSend, read_sources, unchanged, write_sources
from tallow_core.transfer.payloads import Payload
from tallow_core.transfer.progress import Amount, progress
from tallow_core.transfer.resume_store import SentRecord
from tallow_core.transfer.session_report import announce_session, report_done
from tallow_core.transfer.throttle import Throttle


class StrangerError(RefusedError):
    """A peer that knows the code, but not the secret of the transfer that goes on."""


class Sender:
    """Sends in one session. Call `run`, then `report`. `before` is the amount that the receiver had
    when the session began."""

    def __init__(
        self,
        context: Context,
        session: Session,
        pool: LanePool,
        payload: Payload,
        partial: PartialSend,
    ) -> None:
        self._context = context
        self._session = session
        self._pool = pool
        self._payload = payload
        self._partial = partial
        self._resumed: SentRecord | None = None
        self._have: HaveReader | None = None
        # The secret is derived here, because a rekey replaces the root.
        self._secret = bytes(session.established.schedule.key(RESUME))
        self.before = Amount()
        self._established: Established = session.established
        self._skipped: list[Skipped] = []
        self._renamed: list[tuple[str, str]] = []
        self._links = 0
        self._hashes: Hasher = self._established.hash.hasher(RECEIPT_CONTEXT)
        self._files = 0
        self._bytes = 0
        self._seconds = 0.0
        self.accepted = False
        """Whether the receiver has accepted something."""

    @property
    def proved(self) -> bool:
        """Whether the other end is the receiver of an earlier session."""
        return self._resumed is not None

    async def run(self, ask: Ask) -> None:
        """Transfer everything; raises any `TallowError`, a `StrangerError` if this is not the
        receiver of before."""
        announce_session(self._context, self._session)
        await self._resume()
        if self._partial.current is None:  # else `_resume` made sure that it is the same receiver
            await self._session.guard(self._session.safety.compare(self._context, ask))
        with Spool() as spool:
            offer = await self._session.guard(self._offer(spool))
            accepted = await self._accept(spool, offer)
            began = time.monotonic()
            lane = await self._session.lanes.next_joined()
            await self._session.guard(self._content(spool, offer, accepted, lane))
            await self._receipt()
            self._seconds = time.monotonic() - began

    async def _resume(self) -> None:
        """Name the earlier transfers of these sources; the receiver answers whether it was part of
        one."""
        if not self._partial.named:
            return
        schedule = self._established.schedule
        try:
            async with asyncio.timeout(STATE_SECONDS):
                await self._session.post(
                    RecordType.RESUME,
                    write_resume(self._partial.proofs(schedule.kdf, schedule.transcript)),
                )
                kind, body = await self._session.next_message()
        except TimeoutError:
            raise BrokenOffError(
                "the other side did not answer whether it goes on with a transfer; try again"
            ) from None
        if kind != RecordType.RESUMED:
            raise malformed(f"record {kind:#04x} where Resumed should come")
        self._resumed = self._partial.proved(read_resumed(body), schedule.kdf, schedule.transcript)
        if self._resumed is None and (len(body) or self._partial.current is not None):
            raise StrangerError(
                "the code was used, and the transfer goes on with its first receiver only; ask for"
                " a new code"
            )

    async def _offer(self, spool: Spool) -> Offer:
        """List the sources while the list is sent; `spool` gets it as `write_sources` makes it."""
        offer = None
        inodes: list[Inode] = []

        def entries() -> Iterator[Entry]:
            sources = self._payload.entries()
            for source in sources if self._resumed is None else unchanged(self._resumed, sources):
                inodes.append(source.inode)
                yield source.entry

        def keep(count: int, encoded: bytes) -> None:
            spool.append(write_sources(inodes[:count], encoded))
            del inodes[:count]

        for body, whole in pages(
            self._payload.kind, system_rng(16), self._established.hash, entries(), keep=keep
        ):
            await self._session.post(RecordType.OFFER_PAGE, body)
            offer = whole
        self._skipped = list(self._payload.skipped)
        self._renamed = list(self._payload.renamed)
        assert offer is not None
        if not offer.entries:
            raise FileSystemError("nothing that was named can be sent")
        self._links = offer.links
        self._context.report(OfferMade(offer.files, offer.links, offer.size))
        return offer

    async def _accept(self, spool: Spool, offer: Offer) -> AcceptReader:
        """Read what the receiver wants, and what it has already. Its first ACCEPT uses up the
        code."""
        reader = AcceptReader(offer.entries)
        have = HaveReader(offer.entries, offer.segment_size) if self._resumed is not None else None
        while not reader.done:
            kind, body = await self._session.next_message()
            if kind == RecordType.HAVE and have is not None and not have.done:
                have.page(body)
                continue
            if kind != RecordType.ACCEPT or (have is not None and not have.done):
                raise malformed(f"record {kind:#04x} where Accept should come")
            reader.page(body)
            self.accepted = True
        if have is None:
            self._partial.accepted(Earlier(offer.transfer_id, self._secret), spool)
        else:
            self._partial.current = self._resumed
            self.before = self._known(spool, have)
            self._context.report(TransferResumed(*self.before))
            self._have = have
        return reader

    def _known(self, spool: Spool, have: HaveReader) -> Amount:
        """The amount that the receiver has. Raises `RemoteProtocolError` if that is impossible."""
        files = size = 0
        partial = dict(have.partial)
        for number, source in enumerate(read_sources(spool)):
            whole = have.whole(number)
            offset = partial.pop(number, 0)
            if (whole or offset) and (
                source.entry.kind not in FILES
                or offset > (source.entry.size or 0)
                or (whole and offset)
            ):
                raise malformed("a Have of what was not offered")
            files += whole
            size += (source.entry.size or 0) if whole else offset
        return Amount(files, size)

    async def _content(
        self, spool: Spool, offer: Offer, accepted: AcceptReader, lane: Lane
    ) -> None:
        throttle = Throttle(self._context.settings.send.throttle)

        flow = RecordSender(self._pool, lane)

        async def transmit(buffer: RecordBuffer, size: int) -> None:
            await flow.transmit(buffer, size)
            await self._session.key_renewal.if_due()
            await throttle.spend(MAX_DATA_RECORD_BYTES if self._established.padded else size)

        portion = PAYLOAD_BYTES if self._established.padded else throttle.portion
        packer = RecordPacker(
            transmit,
            self._established.hash,
            offer.segment_size,
            portion,
            Compression(self._established.compressor()),
        )
        total = offer.size if accepted.whole else self._wanted(spool, accepted)
        async with progress(self._context, lambda: self.before.size + packer.sent, total):
            for number, source in enumerate(read_sources(spool)):
                if source.entry.kind in FILES:
                    wanted = accepted.content(number) and (
                        self._have is None or not self._have.whole(number)
                    )
                    if wanted:
                        await self._file(packer, number, source)
                elif not accepted.whole and accepted.content(number):
                    raise malformed("an Accept that asks for the content of a folder or link")
            await packer.finish()
            await flow.finish()
        self._bytes = packer.sent

    def _wanted(self, spool: Spool, accepted: AcceptReader) -> int:
        wanted = (
            source.entry
            for number, source in enumerate(read_sources(spool))
            if accepted.content(number)
        )
        return sum(entry.size or 0 for entry in wanted)

    async def _file(self, packer: RecordPacker, number: int, source: SourceEntry) -> None:
        try:
            opened = self._payload.open(source)
        except FileSystemError as error:
            await self._failed(packer, number, source.entry, error)
            return
        try:
            start = 0 if self._have is None else self._have.partial.get(number, 0)
            sent_before = packer.sent
            digest = None if start else packer.small_file(number, opened)
            if digest is None:
                digest = await packer.file(number, opened, start)
        except FileSystemError as error:
            await self._failed(packer, number, source.entry, error)
            return
        finally:
            opened.close()
        self._count(source.entry, start + packer.sent - sent_before, digest)

    def _count(self, entry: Entry, size: int, digest: bytes) -> None:
        self._hashes.update(digest)
        self._files += 1
        path = printable("/".join(entry.components))
        self._context.report(FileDone(path, size, digest.hex()))

    async def _failed(
        self, packer: RecordPacker, number: int, entry: Entry, error: FileSystemError
    ) -> None:
        changed = isinstance(error, ChangedError)
        self._skipped.append(
            Skipped("/".join(entry.components), "changed" if changed else "unreadable")
        )
        await packer.failed(number, Reason.CHANGED if changed else Reason.UNREADABLE)

    async def _receipt(self) -> None:
        kind, body = await self._session.next_message()
        if kind != RecordType.RECEIVED:
            raise malformed(f"record {kind:#04x} where the receipt should come")
        receipt: Receipt = read_receipt(body)
        if (receipt.files, receipt.size) != (self._files, self._bytes) or not equal(
            receipt.digest, self._hashes.digest()
        ):
            raise IntegrityError(
                "the receiver's receipt does not fit what was sent; ask it what it has"
            )
        await self._session.post(RecordType.CLOSE, final=True)

    def report(self) -> None:
        """The `done` event, then what could not be read, as an error."""
        renamed = tuple(
            RenamedFile(printable(path), printable(name)) for path, name in self._renamed
        )
        files, size = self.before.files + self._files, self.before.size + self._bytes
        report_done(self._context, files, self._links, size, self._seconds, self._skipped, renamed)
        if renamed:
            first = f"{renamed[0].path} as {renamed[0].name}"
            self._context.reporter.warn(
                f"{len(renamed)} sent under another name, because theirs is not UTF-8: {first}"
            )
        unread = [skipped for skipped in self._skipped if skipped.reason not in HARMLESS]
        if unread:
            first = printable(unread[0].path)
            raise FileSystemError(
                f"the rest was sent, but {len(unread)} could not be: {first}"
                + (", ..." if len(unread) > 1 else "")
            )
