"""The entries of an offer that a receiver takes, and the ACCEPT records that state it
(docs/protocol/transfer.md, "Accept and Refuse").

The sender learns only which files' content to send. Folders and links have no content, so which of
them the receiver makes does not travel. A hard link is another name of an earlier file: a receiver
that wants the link asks for that file's content.

An empty ACCEPT takes all. Otherwise its pages are page[4] last[1] bits; joined, one bit for each
entry, the first entry in the lowest bit of the first byte, set for each file whose content is
wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.transfer.manifest_entry import FILES, Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import Counts, Offer
from tallow_core.types import ReadBuffer

PAGE_BITS = 32 * 1024
"""The number of bytes in which one ACCEPT record has its bits. The last record may have fewer."""

WANTED, CONTENT, KEPT = 1, 2, 4
"""Flags of an entry: it gets its name here; its content is sent; a wanted hard link needs its
content."""


class Selection:
    """The entries of an offer that are taken. `counts` has their totals, including content that is
    taken for a hard link."""

    def __init__(
        self, flags: Callable[[int], int], counts: Counts, *, whole: bool, content: bytearray
    ) -> None:
        self.flags = flags
        self.counts = counts
        self.whole = whole
        self._content = content

    @classmethod
    def everything(cls, offer: Offer, marks: bytearray) -> Selection:
        """All entries; `marks` are those of `OfferReader`."""
        counts = Counts(offer.files, offer.directories, offer.links, offer.size, offer.stored)
        flags = [WANTED, WANTED | CONTENT, WANTED, WANTED | CONTENT | KEPT]
        return cls(lambda number: flags[marks[number]], counts, whole=True, content=marks)

    @classmethod
    def of(
        cls,
        entries: Callable[[], Iterable[Entry]],
        marks: bytearray,
        wanted: Callable[[int, Entry], bool],
    ) -> Selection:
        """The entries for which `wanted(number, entry)` is true, with the folders that they lie in.
        `entries` returns all entries; it is called twice."""
        flags, counts = bytearray(len(marks)), Counts()
        above: list[int] = []
        for number, entry in enumerate(entries()):
            del above[len(entry.components) - 1 :]
            if wanted(number, entry):
                _want(flags, number, entry)
                for folder in above:
                    flags[folder] |= WANTED
            if entry.kind == EntryKind.DIRECTORY:
                above.append(number)
        for number, entry in enumerate(entries()):
            if flags[number]:
                counts.add(entry)
        return cls(flags.__getitem__, counts, whole=False, content=flags)

    def content(self, number: int) -> bool:
        """Whether the content of this entry, a file, is sent."""
        return bool(self.flags(number) & CONTENT)

    def pages(self) -> Iterator[bytes]:
        """The bodies of the ACCEPT records."""
        if self.whole:
            yield b""
            return
        yield from bit_pages(self._content)


def _want(flags: bytearray, number: int, entry: Entry) -> None:
    flags[number] |= WANTED
    if entry.kind == EntryKind.HARD_LINK:
        flags[entry.first] |= CONTENT | KEPT
    elif entry.kind in FILES:
        flags[number] |= CONTENT


def bit_pages(flags: bytearray) -> Iterator[bytes]:
    """The bits of the entries that have the flag `CONTENT`, as bodies of records."""
    bits = _packed(flags)
    starts = range(0, max(len(bits), 1), PAGE_BITS)
    for page, start in enumerate(starts):
        yield (
            Writer()
            .u32(page)
            .u8(page == len(starts) - 1)
            .raw(bits[start : start + PAGE_BITS])
            .done()
        )


def _packed(flags: bytearray) -> bytes:
    bits = bytearray((len(flags) + 7) // 8)
    for number, flag in enumerate(flags):
        if flag & CONTENT:
            bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


class AcceptReader:
    """Takes the ACCEPT records at the sender, for an offer of `entries` entries. `done` once the
    last record has come."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._bits = bytearray()
        self._page = 0
        self.whole = False
        self.done = False

    def page(self, body: ReadBuffer) -> None:
        """Take one record; raises `RemoteProtocolError`."""
        if self.done:
            raise malformed("a page of Accept after the last")
        if not len(body) and not self._page:
            self.whole = self.done = True
            return
        reader = Reader(body, "Accept")
        page, last = reader.u32(), reader.u8()
        expected = min(PAGE_BITS, (self._entries + 7) // 8 - len(self._bits))
        if page != self._page or last > 1 or reader.left != expected:
            raise malformed("a page of Accept out of order or of the wrong size")
        self._bits += reader.raw(reader.left)
        self._page += 1
        if bool(last) is not (len(self._bits) == (self._entries + 7) // 8):
            raise malformed("pages of Accept that end too early or too late")
        if last and self._entries % 8 and self._bits[-1] >> self._entries % 8:
            raise malformed("an Accept of entries that were not offered")
        self.done = bool(last)

    def content(self, number: int) -> bool:
        """Whether the content of this entry is wanted."""
        return self.whole or bool(self._bits[number >> 3] >> (number & 7) & 1)
