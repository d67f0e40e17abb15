"""What a receiver takes of an offer, and the ACCEPT records that say so.

A sender is told which files' content to send, and nothing else: folders and links have none, so
which of them the receiver makes is its own affair. A hard link is another name of an earlier file:
a receiver that wants the link asks for that file's content.

No ACCEPT body: everything. Else page[4] last[1] bits: the pages joined are one bit an entry, the
first entry in the lowest bit of the first byte, set for each file whose content is to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.transfer.manifest import FILES, Counts, Entry, EntryKind, Offer
from tallow_core.types import ReadBuffer

PAGE_BITS = 32 * 1024
"""Bytes of bits in one ACCEPT record; the last may have fewer."""

WANTED, CONTENT, KEPT = 1, 2, 4
"""What becomes of an entry: it gets its name here; its content is sent; its content is another
wanted entry's too."""


class Selection:
    """Which entries of an offer are taken. `counts`: what they come to, content that is taken for
    the sake of a hard link included."""

    def __init__(
        self, flags: Callable[[int], int], counts: Counts, *, whole: bool, content: bytearray
    ) -> None:
        self.flags = flags
        self.counts = counts
        self.whole = whole
        self._content = content

    @classmethod
    def everything(cls, offer: Offer, marks: bytearray) -> Selection:
        """All of it; `marks` as `OfferReader` has them."""
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
        """Those for which `wanted` (number, entry) holds, with the folders that they lie in.
        `entries` gives all, each time anew."""
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
    """Which entries carry `CONTENT` among their flags, as bodies of records."""
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
    """Takes the ACCEPT records at the sender of `entries` entries. `done` once the last one
    came."""

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
