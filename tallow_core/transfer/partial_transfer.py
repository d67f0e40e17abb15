"""The receiver's side of a transfer that can be resumed, within one session: what is known of it,
and what becomes of that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tallow_core.aio import detached
from tallow_core.errors import IntegrityError, RefusedError, RemoteProtocolError
from tallow_core.events import TransferResumed
from tallow_core.files.os_faults import explain
from tallow_core.files.output.journal import JournalSubject
from tallow_core.files.output.resumable_staging import ResumableStaging
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
from tallow_core.transfer.resume_store import ReceivedRecord, ReceivedRecords
from tallow_core.transfer.sinks import FolderSink

_NOTHING = Leftovers()


class Received:
    """`earlier`: the transfer that goes on, or after `attach` the one that could; `there`: the
    files and bytes that were here before."""

    def __init__(self, context: Context, established: Established, secret: bytes) -> None:
        self._context = context
        self._established = established
        self._secret = secret
        self._records = ReceivedRecords(context.settings.directories.state)
        self._found: list[ReceivedRecord] = []
        self._record: ReceivedRecord | None = None
        self.resumed = False
        """Whether the sender proved to be that of an earlier transfer."""
        self.earlier: Earlier | None = None
        self.keeping: ResumableStaging | None = None
        self.there = (0, 0)
        self.kept_in = ""
        """After `failed`: the output folder (printable) in which something is kept for a later
        session."""

    @property
    def leftovers(self) -> Leftovers:
        """What is here from an earlier run."""
        return _NOTHING if self.keeping is None else self.keeping.leftovers

    @property
    def places(self) -> list[str]:
        """The output folders in which parts of it lie."""
        return [record.output for record in self._found]

    @property
    def begun(self) -> Mapping[int, bytes]:
        """The hashes of the segments that are here, by file."""
        return self.leftovers.segments

    def is_there(self, number: int) -> bool:
        """Whether an entry, no folder, is here complete."""
        return self.leftovers.is_complete(number)

    def answer(self, body: bytes) -> bytes:
        """The body of RESUMED for that of RESUME: only a sender that proves to be that of an
        earlier transfer gets anything but nothing."""
        kdf, transcript = self._established.schedule.kdf, self._established.schedule.transcript
        known = self._records.find(read_resume(body), kdf, transcript)
        if known is None:
            return write_resumed(None)
        self.earlier, self._found = known
        self.resumed = True
        return write_resumed(prove(self.earlier, "receiver", kdf, transcript))

    def lies_in(self, output: str) -> bool:
        """Whether a part of it lies in this folder."""
        return os.path.realpath(output) in self.places

    # -- before anything is written --------------------------------------------------------------

    async def attach(
        self, sink: FolderSink, offer: Offer, digest: bytes, entries: Callable[[], Iterator[Entry]]
    ) -> None:
        """Go on in the staging folder of the earlier transfer, or make one. What looks at much does
        so on a thread."""
        self._records.expire()
        earlier = self.earlier or Earlier(offer.transfer_id, self._secret)
        subject = JournalSubject(
            earlier.transfer_id, digest, self._established.hash.name, offer.segment_size
        )
        keeping = await detached(partial(self._reopened, sink, subject, offer.entries))
        if keeping is None:
            try:
                keeping = ResumableStaging.make(sink.root, self._records.key(), subject)
            except OSError as error:
                raise explain(error, "write in", sink.output) from error
        self.keeping, self.earlier = keeping, earlier
        self._record = self._records.save(earlier, sink.output, keeping.name, keeping.inode)
        sink.stage_in(keeping)
        if self.resumed:
            await detached(
                partial(
                    keeping.survey,
                    entries(),
                    sink.overwrite,
                    self._established.hash,
                    offer.segment_size,
                    sink.found,
                )
            )
            self.there = await detached(partial(_amount, keeping.leftovers, entries()))
            self._context.report(TransferResumed(*self.there))

    def _reopened(
        self, sink: FolderSink, subject: JournalSubject, entries: int
    ) -> ResumableStaging | None:
        for record in self._found:
            if record.output == sink.output:
                return ResumableStaging.reopen(
                    sink.root, record.staging, record.inode, self._records.key(), subject, entries
                )
        return None

    def have(self, entries: int) -> Iterator[bytes]:
        """The bodies of HAVE, if the transfer goes on."""
        if not self.resumed:
            return
        left = self.leftovers
        yield from write_have(left.sizes(), left.complete_files or bytearray(entries))

    # -- the end ---------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Keep what was verified, unless the sender itself broke the protocol, sent what does not
        fit, or refused.

        A record that was forged says nothing against those before it: somebody between must not be
        able to have them removed.
        """
        if self.keeping is None:
            return
        if self.keeping.is_worth_keeping and not isinstance(
            error, IntegrityError | RemoteProtocolError | RefusedError
        ):
            self.keeping.suspend()
            self.kept_in = printable(self._record.output) if self._record else ""
        else:
            self._remove()

    def received(self, *, certain: bool) -> None:
        """All is here. Without the sender's last word it is not certain that it knows: then it may
        ask again."""
        if self.keeping is not None:
            if certain:
                self._remove()
            else:
                self.keeping.suspend()

    def _remove(self) -> None:
        if self.keeping is not None:
            self.keeping.remove()
        if self._record is not None:
            self._record.forget()


def _amount(left: Leftovers, entries: Iterator[Entry]) -> tuple[int, int]:
    """(Files, bytes) that are here."""
    size = 0
    for number, entry in enumerate(entries):
        if entry.kind in FILES:
            size += (entry.size or 0) if left.complete_files[number] else left.size(number)
    return sum(left.complete_files), size
