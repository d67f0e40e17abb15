"""The manifest: what a sender offers, in pages, checked entry by entry in memory that does not grow
with the number of entries.

Pages are OFFER_PAGE records on the control lane. Entries come in the canonical order
(`tallow_core.protocol.transfer.path_names`), which lets the receiver find duplicates, case
collisions and files used as folders without remembering them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from tallow_core.errors import FileSystemError
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.handshake.key_schedule import MANIFEST_CONTEXT
from tallow_core.protocol.transfer.path_names import TreeOrder, check_path, check_target
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
FILE_MARK, LINKED_MARK = 1, 2
_HEAD, _FIRST, _DATA, _TARGET = Struct(">BHqQB"), Struct(">I"), Struct(">Q"), Struct(">BB")


class EntryKind(IntEnum):
    """Numbers of entry kinds; never reused."""

    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3
    HARD_LINK = 4
    SPARSE = 5


_KINDS: dict[int, EntryKind] = {int(kind): kind for kind in EntryKind}
_PLAIN = int(EntryKind.FILE)
"""Kinds above this one add something to what every entry has."""

FILES = frozenset({EntryKind.FILE, EntryKind.SPARSE})
"""The kinds that have content of their own."""


class OfferKind(IntEnum):
    """What the offer is: files and folders, one text message, or one stream of unknown length."""

    FILES = 0
    TEXT = 1
    STREAM = 2


class Entry(NamedTuple):
    """One file, folder or link. `size` is None where it is not known beforehand; `mode` holds
    permission bits only.

    A folder's size is 0; so are a link's size, and a hard link's mode and time.
    """

    kind: EntryKind
    components: tuple[str, ...]
    mode: int
    mtime_ns: int
    size: int | None
    target: str = ""
    """Where a symbolic link points (`check_target`)."""
    first: int = 0
    """The number of the file that a hard link is another name of."""
    data: int = 0
    """How many bytes of a sparse file come as content at most; the rest are holes."""

    @property
    def stored(self) -> int | None:
        """Bytes that the content takes on a disk."""
        return self.data if self.kind == EntryKind.SPARSE else self.size

    def encoded(self) -> bytes:
        """kind[1] mode[2] mtime_ns[8, signed] size[8] depth[1], each component as length[1] ||
        UTF-8, and what the kind adds: a symbolic link up[1] depth[1] and the names of its target, a
        hard link first[4], a sparse file data[8]."""
        size = UNKNOWN if self.size is None else self.size
        names = [component.encode() for component in self.components]
        head = _HEAD.pack(self.kind, self.mode, self.mtime_ns, size, len(names))
        encoded = head + b"".join([bytes((len(name),)) + name for name in names])
        return encoded if self.kind <= _PLAIN else encoded + self._more()

    def _more(self) -> bytes:
        if self.kind == EntryKind.HARD_LINK:
            return _FIRST.pack(self.first)
        if self.kind == EntryKind.SPARSE:
            return _DATA.pack(self.data)
        names = [name.encode() for name in self.target.split("/") if name != "."]
        up = names.count(b"..")
        return bytes((up, len(names) - up)) + b"".join(
            [bytes((len(name),)) + name for name in names[up:]]
        )


class Folders:
    """Which folders the entry that was read last lies in, as they were encoded: the next one most
    often lies in the same."""

    def __init__(self) -> None:
        self._encoded = b""
        self._names: tuple[str, ...] = ()

    def read(self, reader: Reader, depth: int) -> tuple[str, ...]:
        """Read the `depth` names of a path."""
        if depth != len(self._names) + 1 or not reader.skip(self._encoded):
            start = reader.at
            self._names = tuple([reader.text8() for _ in range(depth - 1)])
            self._encoded = bytes(reader.since(start))
        return (*self._names, reader.text8()) if depth else ()


def read_entry(
    reader: Reader,
    *,
    trusted: bool = False,
    folders: Folders | None = None,
    check: Callable[[Sequence[str]], str | None] = check_path,
) -> Entry:
    """Read one entry and check everything about it that needs no other entry; raises
    `RemoteProtocolError`.

    `trusted`: it was checked before, and kept by this process since. `folders` is for reading one
    entry after another, and so is `check`, which does what `check_path` does.
    """
    kind, mode, mtime_ns, size, depth = reader.fields(_HEAD)
    components = (folders or Folders()).read(reader, depth)
    if not trusted:
        _check(components, kind, mode, size, check(components))
    entry = Entry(_KINDS[kind], components, mode, mtime_ns, None if size == UNKNOWN else size)
    return entry if kind <= _PLAIN else _read_more(reader, entry, mode or mtime_ns)


def read_list(reader: Reader, count: int) -> Iterator[Entry]:
    """Read `count` entries that this process has checked, and kept to itself."""
    folders = Folders()
    for _ in range(count):
        yield read_entry(reader, trusted=True, folders=folders)


def _check(
    components: tuple[str, ...], kind: int, mode: int, size: int, reason: str | None
) -> None:
    if reason is not None:
        raise malformed(
            f"the offered name {printable('/'.join(components))[:200]} is not safe: {reason}"
        )
    if kind not in _KINDS:
        raise malformed(f"an entry of kind {kind}")
    if mode & ~0o777 or (size > LARGEST and size != UNKNOWN) or (size and kind not in FILES):
        raise malformed("an entry with a mode or size out of bounds")


def _read_more(reader: Reader, entry: Entry, facts: int) -> Entry:
    if entry.kind == EntryKind.SPARSE:
        (data,) = reader.fields(_DATA)
        if entry.size is None or data > entry.size:
            raise malformed("a sparse file with more data than its size, or of unknown size")
        return entry._replace(data=data)
    if entry.kind == EntryKind.HARD_LINK:
        if facts:
            raise malformed("a hard link with a mode or time of its own")
        return entry._replace(first=reader.fields(_FIRST)[0])
    up, depth = reader.fields(_TARGET)
    names = [reader.text8() for _ in range(depth)]
    target = "/".join([".."] * up + names) or "."
    if (
        reason := check_target(entry.components, target) or (names and check_path(names))
    ) or entry.mode:
        where = printable("/".join(entry.components))[:200]
        raise malformed(f"the offered link {where} is not safe: it {reason or 'has a mode'}")
    return entry._replace(target=target)


class Offer(NamedTuple):
    """The whole of what is offered; sizes in bytes, None if a file's is not known."""

    kind: OfferKind
    transfer_id: bytes
    segment_size: int
    files: int
    directories: int
    links: int
    size: int | None
    stored: int | None
    """Bytes that the content takes on a disk: `size` without the holes of sparse files."""

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return self.files + self.directories + self.links


@dataclass(slots=True)
class Counts:
    """What entries come to; a size is None once that of one file is not known."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int | None = 0
    stored: int | None = 0

    def add(self, entry: Entry) -> None:
        """Count one more."""
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
        """How many there are."""
        return self.files + self.directories + self.links


def pages(
    kind: OfferKind,
    transfer_id: bytes,
    hash_driver: type[Hash],
    entries: Iterable[Entry],
    segment_size: int = SEGMENT,
    keep: Callable[[int, bytes], None] = lambda _count, _encoded: None,
) -> Iterator[tuple[bytes, Offer | None]]:
    """The bodies of the OFFER_PAGE records, each as soon as it is full; with the last comes the
    whole offer. `keep` gets the entries of each page, how many they are and as encoded.

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
        if counts.entries > MOST_ENTRIES:
            raise FileSystemError(
                f"that is more than {MOST_ENTRIES} files, folders and links; send them in several"
                " parts, or as one archive"
            )
    last = page(last=True).u32(counts.files).u32(counts.directories).u32(counts.links)
    last.u64(UNKNOWN if counts.size is None else counts.size).raw(hasher.digest())
    yield last.done(), _offer(kind, transfer_id, segment_size, counts)


def _offer(kind: OfferKind, transfer_id: bytes, segment_size: int, counts: Counts) -> Offer:
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


class OfferReader:
    """Takes the pages at the receiver. `offer` is set once the last page agreed with all that came
    before."""

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
        """One byte for each entry: `FILE_MARK` for a file, with `LINKED_MARK` if a hard link names
        it."""
        self.listed = b""
        """The entries of the last page as they came: count[2] || entries."""
        self.offer: Offer | None = None
        self.digest = b""
        """Once `offer` is set: the hash (context "tallow/1 manifest") over all entries."""

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
        if kind not in tuple(OfferKind) or not LEAST_SEGMENT <= self._segment_size <= MOST_SEGMENT:
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
        if len(self.marks) > MOST_ENTRIES:
            raise malformed(f"an offer of more than {MOST_ENTRIES} entries")
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
        if self._kind == OfferKind.TEXT and expected > MOST_TEXT:
            raise malformed(f"a text of more than {MOST_TEXT} bytes")
        return _offer(self._kind, self._transfer_id, self._segment_size, counts)
