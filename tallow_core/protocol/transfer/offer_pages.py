"""The offer and its pages. Memory does not grow with the number of entries.

Pages are OFFER_PAGE records on the control lane (docs/protocol/transfer.md, "Offer"). Entries come
in the canonical order of `tallow_core.protocol.transfer.path_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tallow_core.errors import FileSystemError
from tallow_core.protocol.codec.wire import Writer
from tallow_core.protocol.handshake.key_schedule import MANIFEST_CONTEXT
from tallow_core.protocol.transfer.manifest_entry import FILES, UNKNOWN, Entry, EntryKind
from tallow_core.spi.hash import Hash

MAX_ENTRIES = 5_000_000
PAGE_BYTES = 48 * 1024
"""The sender closes a page before its entries exceed this."""
SEGMENT_BYTES = 4 << 20


class OfferKind(IntEnum):
    """Files and folders, one text message, or one stream of unknown length."""

    FILES = 0
    TEXT = 1
    STREAM = 2


class Offer(NamedTuple):
    """The totals of an offer. Sizes in bytes, None if that of a file is not known."""

    kind: OfferKind
    transfer_id: bytes
    segment_size: int
    files: int
    directories: int
    links: int
    size: int | None
    stored: int | None
    """The bytes that the content takes on a disk: `size` without the holes of sparse files."""

    @property
    def entries(self) -> int:
        """The number of entries."""
        return self.files + self.directories + self.links


@dataclass(slots=True)
class Counts:
    """Running totals of entries. A size is None once that of one file is not known."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int | None = 0
    stored: int | None = 0

    def add(self, entry: Entry) -> None:
        """Count one more entry."""
        kind, size = entry.kind, entry.size
        if kind == EntryKind.DIRECTORY:
            self.directories += 1
        elif kind not in FILES:
            self.links += 1
        else:
            self.files += 1
            if self.size is None or self.stored is None or size is None:
                self.size = self.stored = None
            else:
                self.size += size
                self.stored += entry.data if kind == EntryKind.SPARSE else size

    @property
    def entries(self) -> int:
        """The number of entries so far."""
        return self.files + self.directories + self.links


def pages(
    kind: OfferKind,
    transfer_id: bytes,
    hash_driver: type[Hash],
    entries: Iterable[Entry],
    segment_size: int = SEGMENT_BYTES,
    keep: Callable[[int, bytes], None] = lambda _count, _encoded: None,
) -> Iterator[tuple[bytes, Offer | None]]:
    """The bodies of the OFFER_PAGE records, each as soon as it is full. The last one comes with the
    totals. `keep` is called with (number of entries, the entries as encoded) for each page.
    Raises `FileSystemError` for more than `MAX_ENTRIES` entries.

    page = number[4] last[1]; on page 0 kind[1] transfer_id[16] segment_size[4]; count[2] entries;
    on the last page files[4] directories[4] links[4] size[8] and the hash (context "tallow/1
    manifest") over all entries as encoded.
    """
    hasher, counts = hash_driver.hasher(MANIFEST_CONTEXT), Counts()
    batch: list[bytes] = []
    number = room = 0

    def page(last: bool) -> Writer:
        writer = Writer().u32(number).u8(last)
        if number == 0:
            writer.u8(kind).raw(transfer_id).u32(segment_size)
        encoded = b"".join(batch)
        hasher.update(encoded)
        keep(len(batch), encoded)
        return writer.u16(len(batch)).raw(encoded)

    for entry in entries:
        encoded = entry.encoded()
        if room + len(encoded) > PAGE_BYTES:
            yield page(last=False).done(), None
            number, room = number + 1, 0
            batch.clear()
        batch.append(encoded)
        room += len(encoded)
        counts.add(entry)
        if counts.entries > MAX_ENTRIES:
            raise FileSystemError(
                f"that is more than {MAX_ENTRIES} files, folders and links; send them in several"
                " parts, or as one archive"
            )
    last = page(last=True).u32(counts.files).u32(counts.directories).u32(counts.links)
    last.u64(UNKNOWN if counts.size is None else counts.size).raw(hasher.digest())
    yield last.done(), offer_of_counts(kind, transfer_id, segment_size, counts)


def offer_of_counts(
    kind: OfferKind, transfer_id: bytes, segment_size: int, counts: Counts
) -> Offer:
    """The totals of an offer, all its entries counted."""
    return Offer(
        kind,
        transfer_id,
        segment_size,
        counts.files,
        counts.directories,
        counts.links,
        counts.size,
        counts.stored,
    )
