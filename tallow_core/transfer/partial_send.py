"""The sender's side of a transfer that can be resumed, over the sessions of one run: which earlier
transfers there are, and whether the sources are as they were then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct

from tallow_core.errors import FileSystemError
from tallow_core.files.source.source_entry import Inode, SourceEntry
from tallow_core.protocol.codec.wire import Reader
from tallow_core.protocol.transfer.manifest_entry import read_list
from tallow_core.protocol.transfer.resumption import Earlier, Proof, prove, proves
from tallow_core.text import printable
from tallow_core.transfer.resume_store import SentRecord, SentRecords

_COUNT, _INODE = Struct(">H"), Struct(">QQ")


def write_sources(inodes: Sequence[Inode], entries: bytes) -> bytes:
    """A part of the sender's list: count[2] || count x (device[8] || inode[8]) || the entries as
    encoded."""
    return _COUNT.pack(len(inodes)) + b"".join([_INODE.pack(*inode) for inode in inodes]) + entries


def read_sources(parts: Iterable[bytes]) -> Iterator[SourceEntry]:
    """The sources of such a list."""
    for part in parts:
        reader = Reader(part, "our own list")
        (count,) = reader.fields(_COUNT)
        inodes = _INODE.iter_unpack(reader.view(count * _INODE.size))
        yield from map(SourceEntry, read_list(reader, count), inodes)


def unchanged(record: SentRecord, sources: Iterable[SourceEntry]) -> Iterator[SourceEntry]:
    """The sources; raises `FileSystemError` at the first that is not what was offered then."""
    then = read_sources(record.parts())
    for source in sources:
        before = next(then, None)
        if before is None or (before.inode, before.entry.encoded()) != (
            source.inode,
            source.entry.encoded(),
        ):
            raise _changed("/".join(source.components))
        yield source
    if (gone := next(then, None)) is not None:
        raise _changed("/".join(gone.components))


def _changed(path: str) -> FileSystemError:
    return FileSystemError(
        f"{printable(path)!r} has changed since the transfer that was interrupted"
    ).then("send anew")


class PartialSend:
    """`current`: the transfer that was accepted in this run. `records` is None for what cannot be
    resumed."""

    def __init__(self, records: SentRecords | None, named: list[SentRecord]) -> None:
        self._records = records
        self._named = named
        self.current: SentRecord | None = None

    @classmethod
    def prepare(
        cls, state: Path, key: str | None, sources: Iterable[SourceEntry], *, anew: bool
    ) -> PartialSend:
        """Find the earlier transfers of these sources; `key` None: they cannot be resumed.

        Raises `FileSystemError` if the sources are not as they were. With `anew` the earlier
        transfers are forgotten.
        """
        if key is None:
            return cls(None, [])
        records = SentRecords(state, key)
        found = records.load()
        if anew:
            for record in found:
                record.forget()
            found = []
        if found:
            for _ in unchanged(found[0], sources):
                pass
            found = [record for record in found if record.listing == found[0].listing]
        return cls(records, found)

    @property
    def named(self) -> list[SentRecord]:
        """The transfers that a new session names: once one was accepted in this run, only that."""
        return [self.current] if self.current is not None else self._named

    def proofs(self, kdf: str, transcript: bytes) -> list[Proof]:
        """The proofs for `named`."""
        return [prove(record.earlier, "sender", kdf, transcript) for record in self.named]

    def proved(self, answer: Proof | None, kdf: str, transcript: bytes) -> SentRecord | None:
        """The transfer that the receiver proved to know."""
        for record in self.named:
            if answer is not None and proves(answer, record.earlier, "receiver", kdf, transcript):
                return record
        return None

    def accepted(self, earlier: Earlier, listed: Iterable[bytes]) -> None:
        """The receiver accepted: from now on the transfer can be resumed."""
        if self._records is not None:
            self.current = self._records.save(earlier, listed)

    def complete(self) -> None:
        """The transfer is complete: forget it."""
        if self.current is not None:
            self.current.forget()
