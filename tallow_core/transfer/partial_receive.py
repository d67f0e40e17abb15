"""The receiver's side of a transfer that can be resumed, within one session: which earlier transfer
it is, what of it is here, and what is kept at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from tallow_core.aio import detached
from tallow_core.errors import IntegrityError, RefusedError, RemoteProtocolError
from tallow_core.events import TransferResumed
from tallow_core.files.os_faults import explain
from tallow_core.files.output.journal import JournalSubject
from tallow_core.files.output.resumable_staging import ResumableStaging, remove_leftover
from tallow_core.files.output.staging import Leftovers
from tallow_core.protocol.handshake.handshake_machine import Established
from tallow_core.protocol.transfer.manifest_entry import FILES, Entry
from tallow_core.protocol.transfer.offer_pages import Offer
from tallow_core.protocol.transfer.resumption import (
    Earlier,
    prove,
    read_resume,
    write_have,
    write_resumed,
)
from tallow_core.session.context import Context
from tallow_core.text import printable
from tallow_core.transfer.progress import Amount
from tallow_core.transfer.resume_store import ReceivedRecord, ReceivedRecords
from tallow_core.transfer.sinks import ResumableSink

_FINAL_ERRORS = (IntegrityError, RemoteProtocolError, RefusedError)
"""The sender broke the protocol, sent what does not fit, or refused: nothing is kept for it. A
record that was forged on the way is no such error: who is between the two cannot have anything
removed."""


class PartialReceive:
    """`earlier`: the transfer that goes on, after `attach` also one that begins; `before`: what of
    it was here when the session began."""

    def __init__(self, context: Context, established: Established, secret: bytes) -> None:
        self._context = context
        self._established = established
        self._secret = secret
        self._records = ReceivedRecords(context.settings.directories.state)
        self._found: list[ReceivedRecord] = []
        self._record: ReceivedRecord | None = None
        self._staging: ResumableStaging | None = None
        self.resumed = False
        """Whether the sender proved to be that of an earlier transfer."""
        self.earlier: Earlier | None = None
        self.leftovers = Leftovers()
        """The parts that earlier sessions left, by entry."""
        self.before = Amount()
        self.kept_in = ""
        """The output folder (printable) that keeps parts for a later session. It is set by
        `failed`."""

    @property
    def places(self) -> list[str]:
        """The output folders with parts of the transfer."""
        return [record.output for record in self._found]

    @property
    def attached(self) -> bool:
        """Whether received parts are kept after an interruption."""
        return self._staging is not None

    def answer(self, body: bytes) -> bytes:
        """Make the body of RESUMED for the body of RESUME. It names no transfer unless the sender
        proves to be that of an earlier one."""
        kdf, transcript = self._established.schedule.kdf, self._established.schedule.transcript
        known = self._records.find(read_resume(body), kdf, transcript)
        if known is None:
            return write_resumed(None)
        self.earlier, self._found = known
        self.resumed = True
        return write_resumed(prove(self.earlier, "receiver", kdf, transcript))

    def lies_in(self, output: str) -> bool:
        """Whether a part of the transfer lies in this folder."""
        return os.path.realpath(output) in self.places

    # -- before anything is written --------------------------------------------------------------

    async def attach(
        self,
        sink: ResumableSink,
        offer: Offer,
        digest: bytes,
        entries: Callable[[], Iterator[Entry]],
    ) -> None:
        """Go on in the staging folder of the earlier transfer, or make one. `digest` is the hash
        over all entries. What looks at much does so on a thread."""
        for record in self._records.expire():
            remove_leftover(record.output, record.staging, record.inode)
        earlier = self.earlier or Earlier(offer.transfer_id, self._secret)
        subject = JournalSubject(
            earlier.transfer_id, digest, self._established.hash.name, offer.segment_size
        )
        staging = await detached(partial(self._reopened, sink, subject, offer.entries))
        if staging is None:
            try:
                staging = ResumableStaging.make(sink.root, self._records.key(), subject)
            except OSError as error:
                raise explain(error, "write in", sink.output) from error
        self._staging, self.earlier = staging, earlier
        self._record = self._records.save(earlier, sink.output, staging.name, staging.inode)
        sink.stage_in(staging)
        if self.resumed:
            await self._survey(sink, staging, offer, entries)

    def _reopened(
        self, sink: ResumableSink, subject: JournalSubject, entries: int
    ) -> ResumableStaging | None:
        for record in self._found:
            if record.output == sink.output:
                return ResumableStaging.reopen(
                    sink.root, record.staging, record.inode, self._records.key(), subject, entries
                )
        return None

    async def _survey(
        self,
        sink: ResumableSink,
        staging: ResumableStaging,
        offer: Offer,
        entries: Callable[[], Iterator[Entry]],
    ) -> None:
        """Find out which parts are here, and report them."""
        survey = partial(
            staging.survey,
            entries(),
            sink.overwrite,
            self._established.hash,
            offer.segment_size,
            sink.found,
        )
        await detached(survey)
        self.leftovers = staging.leftovers
        self.before = await detached(partial(_amount, staging.leftovers, entries()))
        self._context.report(TransferResumed(*self.before))

    def have(self, entries: int) -> Iterator[bytes]:
        """The bodies of HAVE, if the transfer goes on."""
        if self.resumed:
            left = self.leftovers
            yield from write_have(left.sizes(), left.complete_files or bytearray(entries))

    # -- the end ---------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Keep what was verified, unless the error is one after which the sender gets nothing."""
        if self._staging is None:
            return
        if self._staging.is_worth_keeping and not isinstance(error, _FINAL_ERRORS):
            self._staging.suspend()
            self.kept_in = printable(self._record.output) if self._record else ""
        else:
            self._remove()

    def complete(self, *, certain: bool) -> None:
        """All is here. Unless it is `certain` that the sender has the receipt, it may ask again."""
        if self._staging is not None:
            if certain:
                self._remove()
            else:
                self._staging.suspend()

    def _remove(self) -> None:
        if self._staging is not None:
            self._staging.remove()
        if self._record is not None:
            self._record.forget()


def _amount(left: Leftovers, entries: Iterator[Entry]) -> Amount:
    """The amount that is here: complete files, and bytes."""
    size = 0
    for number, entry in enumerate(entries):
        if entry.kind in FILES:
            size += (entry.size or 0) if left.complete_files[number] else left.size(number)
    return Amount(sum(left.complete_files), size)
