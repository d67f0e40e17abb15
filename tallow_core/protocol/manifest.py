"""The manifest: what a sender offers, in pages, checked entry by entry in memory that does not grow with the number of entries.

Pages are OFFER_PAGE records on the control lane. Entries come in the canonical order (`tallow_core.protocol.names`), which lets the
receiver find duplicates, case collisions and files used as folders without remembering them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from tallow_core.errors import FileSystemError
from tallow_core.protocol.names import TreeOrder, check_path
from tallow_core.protocol.schedule import MANIFEST_CONTEXT
from tallow_core.protocol.wire import Reader, Writer, malformed
from tallow_core.secrets import equal
from tallow_core.spi.hash import Hash
from tallow_core.text import printable
from tallow_core.types import ReadBuffer

MOST_ENTRIES = 5_000_000
MOST_BYTES = 1 << 30
PAGE_BYTES = 48 * 1024
UNKNOWN = (1 << 64) - 1
LARGEST = 1 << 62
MOST_TEXT = 1 << 20
SEGMENT, LEAST_SEGMENT, MOST_SEGMENT = 4 << 20, 1 << 20, 64 << 20
_HEAD = Struct(">BHqQB")


class EntryKind(IntEnum):
    """Numbers of entry kinds; never reused. 3 (symlink) and 4 (hard link) are reserved."""

    DIRECTORY = 1
    FILE = 2


class OfferKind(IntEnum):
    """What the offer is: files and folders, one text message, or one stream of unknown length."""

    FILES = 0
    TEXT = 1
    STREAM = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder. `size` is None where it is not known beforehand; `mode` holds permission bits only; a folder's size is 0."""

    kind: EntryKind
    components: tuple[str, ...]
    mode: int
    mtime_ns: int
    size: int | None

    def encoded(self) -> bytes:
        """kind[1] mode[2] mtime_ns[8, signed] size[8] depth[1], then each component as length[1] || UTF-8."""
        size = UNKNOWN if self.size is None else self.size
        names = [component.encode() for component in self.components]
        head = _HEAD.pack(self.kind, self.mode, self.mtime_ns, size, len(names))
        return head + b"".join([bytes((len(name),)) + name for name in names])


def read_entry(reader: Reader) -> Entry:
    """Read one entry and check everything about it that needs no other entry; raises `RemoteProtocolError`."""
    kind, mode, mtime_ns, size, depth = reader.fields(_HEAD)
    components = tuple([reader.text8() for _ in range(depth)])
    reason = check_path(components)
    if reason is not None:
        raise malformed(f"the offered name {printable('/'.join(components))[:200]} is not safe: {reason}")
    if kind not in (EntryKind.DIRECTORY, EntryKind.FILE):
        raise malformed(f"an entry of kind {kind}")
    if mode & ~0o777 or (size > LARGEST and size != UNKNOWN) or (kind == EntryKind.DIRECTORY and size):
        raise malformed("an entry with a mode or size out of bounds")
    return Entry(EntryKind(kind), components, mode, mtime_ns, None if size == UNKNOWN else size)


@dataclass(frozen=True, slots=True)
class Offer:
    """The whole of what is offered; `size` in bytes, None if a file's is not known."""

    kind: OfferKind
    transfer_id: bytes
    segment_size: int
    files: int
    directories: int
    size: int | None


@dataclass(slots=True)
class _Counts:
    files: int = 0
    directories: int = 0
    size: int | None = 0

    def add(self, entry: Entry) -> None:
        if entry.kind == EntryKind.DIRECTORY:
            self.directories += 1
            return
        self.files += 1
        self.size = None if self.size is None or entry.size is None else self.size + entry.size


def pages(
    kind: OfferKind, transfer_id: bytes, hash_driver: type[Hash], entries: Iterable[Entry], segment_size: int = SEGMENT
) -> Iterator[tuple[bytes, Offer | None]]:
    """The bodies of the OFFER_PAGE records, each as soon as it is full; with the last comes the whole offer.

    page = number[4] last[1]; on page 0 kind[1] transfer_id[16] segment_size[4]; count[2] entries; on the last page files[4] directories[4]
    size[8] and the hash (context "tallow/1 manifest") over all entries as encoded.
    """
    hasher, counts = hash_driver.hasher(MANIFEST_CONTEXT), _Counts()
    batch: list[bytes] = []
    number = room = 0

    def page(last: bool) -> Writer:
        writer = Writer().u32(number).u8(last)
        if number == 0:
            writer.u8(kind).raw(transfer_id).u32(segment_size)
        return writer.u16(len(batch)).raw(b"".join(batch))

    for entry in entries:
        encoded = entry.encoded()
        if room + len(encoded) > PAGE_BYTES:
            yield page(last=False).done(), None
            number, room = number + 1, 0
            batch.clear()
        batch.append(encoded)
        room += len(encoded)
        hasher.update(encoded)
        counts.add(entry)
        if counts.files + counts.directories > MOST_ENTRIES:
            raise FileSystemError(f"that is more than {MOST_ENTRIES} files and folders; send them in several parts, or as one archive")
    last = page(last=True).u32(counts.files).u32(counts.directories)
    last.u64(UNKNOWN if counts.size is None else counts.size).raw(hasher.digest())
    yield last.done(), Offer(kind, transfer_id, segment_size, counts.files, counts.directories, counts.size)


class OfferReader:
    """Takes the pages at the receiver. `offer` is set once the last page agreed with all that came before."""

    def __init__(self, hash_driver: type[Hash]) -> None:
        self._hash_driver = hash_driver
        self._hasher = hash_driver.hasher(MANIFEST_CONTEXT)
        self._order = TreeOrder()
        self._counts = _Counts()
        self._number = 0
        self._bytes = 0
        self._kind = OfferKind.FILES
        self._transfer_id = b""
        self._segment_size = 0
        self.offer: Offer | None = None

    def page(self, body: ReadBuffer) -> list[Entry]:
        """Take one page and return its entries, every one checked; raises `RemoteProtocolError`."""
        reader = Reader(body, "OfferPage")
        if self.offer is not None or reader.u32() != self._number:
            raise malformed("a page of the offer out of order")
        last = reader.u8()
        self._bytes += len(body)
        if last > 1 or self._bytes > MOST_BYTES:
            raise malformed(f"an offer of more than {MOST_BYTES} bytes")
        if self._number == 0:
            self._first(reader)
        entries = [self._entry(reader) for _ in range(reader.u16())]
        self._number += 1
        offer = self._last(reader) if last else None
        reader.end()
        self.offer = offer
        return entries

    def _first(self, reader: Reader) -> None:
        kind = reader.u8()
        self._transfer_id, self._segment_size = reader.raw(16), reader.u32()
        if kind not in tuple(OfferKind) or not LEAST_SEGMENT <= self._segment_size <= MOST_SEGMENT:
            raise malformed("an offer of an unknown kind or with a segment size out of bounds")
        self._kind = OfferKind(kind)

    def _entry(self, reader: Reader) -> Entry:
        start = reader.at
        entry = read_entry(reader)
        self._hasher.update(reader.since(start))
        self._order.place(entry.components, entry.kind == EntryKind.DIRECTORY)
        if entry.size is None and self._kind != OfferKind.STREAM:
            raise malformed("a file of unknown size outside a stream")
        self._counts.add(entry)
        if self._counts.files + self._counts.directories > MOST_ENTRIES:
            raise malformed(f"an offer of more than {MOST_ENTRIES} entries")
        return entry

    def _last(self, reader: Reader) -> Offer:
        counts = self._counts
        files, directories, size = reader.u32(), reader.u32(), reader.u64()
        digest = reader.raw(self._hash_driver.digest_size)
        expected = UNKNOWN if counts.size is None else counts.size
        if (files, directories, size) != (counts.files, counts.directories, expected) or not equal(digest, self._hasher.digest()):
            raise malformed("the end of the offer does not fit its pages")
        if self._kind != OfferKind.FILES and (files, directories) != (1, 0):
            raise malformed("a text or stream that is not one entry")
        if self._kind == OfferKind.TEXT and expected > MOST_TEXT:
            raise malformed(f"a text of more than {MOST_TEXT} bytes")
        return Offer(self._kind, self._transfer_id, self._segment_size, files, directories, counts.size)
