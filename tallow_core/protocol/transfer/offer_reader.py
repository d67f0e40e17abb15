"""Reading the offer at the receiver, entry by entry, in memory of one byte for each entry.

The canonical order (`tallow_core.protocol.transfer.path_names`) lets the receiver find duplicates,
case collisions and files used as folders without remembering the entries.
"""

from __future__ import annotations

from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.handshake.key_schedule import MANIFEST_CONTEXT
from tallow_core.protocol.transfer.manifest_entry import (
    FILES,
    UNKNOWN,
    Entry,
    EntryKind,
    Folders,
    read_entry,
)
from tallow_core.protocol.transfer.offer_pages import (
    MAX_ENTRIES,
    Counts,
    Offer,
    OfferKind,
    offer_of_counts,
)
from tallow_core.protocol.transfer.path_names import TreeOrder
from tallow_core.secrets import equal
from tallow_core.spi.hash import Hash
from tallow_core.types import ReadBuffer

MAX_OFFER_BYTES = 1 << 30
"""The most bytes of all pages of an offer together."""
MAX_TEXT_BYTES = 1 << 20
MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES = 1 << 20, 64 << 20
FILE_MARK, LINKED_MARK = 1, 2


class OfferReader:
    """Takes the pages at the receiver. `offer` is set once the last page agrees with the pages
    before it."""

    def __init__(self, hash_driver: type[Hash]) -> None:
        self._hash_driver = hash_driver
        self._hasher = hash_driver.hasher(MANIFEST_CONTEXT)
        self._order = TreeOrder()
        self._counts = Counts()
        self._number = 0
        self._bytes = 0
        self._kind = OfferKind.FILES
        self._transfer_id = b""
        self._segment_size = 0
        self.marks = bytearray()
        """One byte for each entry: `FILE_MARK` for a file, plus `LINKED_MARK` if a hard link names
        it."""
        self.listed = b""
        """The entries of the last page as they came: count[2] || entries."""
        self.offer: Offer | None = None
        self.digest = b""
        """The hash (context "tallow/1 manifest") over all entries. It is valid once `offer` is
        set."""

    def page(self, body: ReadBuffer) -> list[Entry]:
        """Take one page and return its entries, all checked. Raises `RemoteProtocolError`."""
        reader = Reader(body, "OfferPage")
        if self.offer is not None or reader.u32() != self._number:
            raise malformed("a page of the offer out of order")
        last = reader.u8()
        self._bytes += len(body)
        if last > 1 or self._bytes > MAX_OFFER_BYTES:
            raise malformed(f"an offer of more than {MAX_OFFER_BYTES} bytes")
        if self._number == 0:
            self._first(reader)
        start, folders = reader.at, Folders()
        entries = [self._entry(reader, folders) for _ in range(reader.u16())]
        self.listed = bytes(reader.since(start))
        self._hasher.update(memoryview(self.listed)[2:])
        self._number += 1
        offer = self._last(reader) if last else None
        reader.end()
        self.offer = offer
        return entries

    def _first(self, reader: Reader) -> None:
        kind = reader.u8()
        self._transfer_id, self._segment_size = reader.raw(16), reader.u32()
        if (
            kind not in tuple(OfferKind)
            or not MIN_SEGMENT_BYTES <= self._segment_size <= MAX_SEGMENT_BYTES
        ):
            raise malformed("an offer of an unknown kind or with a segment size out of bounds")
        self._kind = OfferKind(kind)

    def _entry(self, reader: Reader, folders: Folders) -> Entry:
        entry = read_entry(reader, folders=folders, check=self._order.check)
        self._order.place(entry.components, entry.kind == EntryKind.DIRECTORY, checked=True)
        if self._kind != OfferKind.FILES:
            self._check_single(entry)
        elif entry.size is None:
            raise malformed("a file of unknown size outside a stream")
        if entry.kind == EntryKind.HARD_LINK:
            self._check_first(entry.first)
        self.marks.append(FILE_MARK if entry.kind in FILES else 0)
        self._counts.add(entry)
        if len(self.marks) > MAX_ENTRIES:
            raise malformed(f"an offer of more than {MAX_ENTRIES} entries")
        return entry

    def _check_single(self, entry: Entry) -> None:
        if entry.kind != EntryKind.FILE or (entry.size is None and self._kind != OfferKind.STREAM):
            raise malformed("a text or stream that is not one file, or a text of unknown size")

    def _check_first(self, number: int) -> None:
        if number >= len(self.marks) or not self.marks[number]:
            raise malformed(f"a hard link to entry {number}, which is no file before it")
        self.marks[number] |= LINKED_MARK

    def _last(self, reader: Reader) -> Offer:
        counts = self._counts
        files, directories, links, size = reader.u32(), reader.u32(), reader.u32(), reader.u64()
        self.digest = digest = reader.raw(self._hash_driver.digest_size)
        expected = UNKNOWN if counts.size is None else counts.size
        if (files, directories, links, size) != (
            counts.files,
            counts.directories,
            counts.links,
            expected,
        ) or not equal(digest, self._hasher.digest()):
            raise malformed("the end of the offer does not fit its pages")
        if self._kind != OfferKind.FILES and counts.entries != 1:
            raise malformed("a text or stream that is not one entry")
        if self._kind == OfferKind.TEXT and expected > MAX_TEXT_BYTES:
            raise malformed(f"a text of more than {MAX_TEXT_BYTES} bytes")
        return offer_of_counts(self._kind, self._transfer_id, self._segment_size, counts)
