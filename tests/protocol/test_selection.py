"""What a receiver takes: which bits travel, and which do not pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.codec.wire import Writer
from tallow_core.protocol.transfer import selection as module
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import Counts, OfferKind, pages
from tallow_core.protocol.transfer.offer_reader import FILE_MARK, LINKED_MARK, OfferReader
from tallow_core.protocol.transfer.selection import CONTENT, KEPT, WANTED, AcceptReader, Selection
from tallow_plugins.hashes.blake3 import Blake3

FILE, DIRECTORY, SYMLINK, HARD_LINK, SPARSE = (
    EntryKind.FILE,
    EntryKind.DIRECTORY,
    EntryKind.SYMLINK,
    EntryKind.HARD_LINK,
    EntryKind.SPARSE,
)
TREE = [
    Entry(DIRECTORY, ("d",), 0o755, 0, 0),
    Entry(FILE, ("d", "a"), 0o644, 0, 10),
    Entry(HARD_LINK, ("d", "b"), 0, 0, 0, first=1),
    Entry(DIRECTORY, ("d", "e"), 0o755, 0, 0),
    Entry(SPARSE, ("d", "e", "f"), 0o644, 0, 1000, data=5),
    Entry(SYMLINK, ("d", "e", "g"), 0, 0, 0, target="../a"),
    Entry(FILE, ("z",), 0o644, 0, 7),
]
MARKS = bytearray([0, FILE_MARK | LINKED_MARK, 0, 0, FILE_MARK, 0, FILE_MARK])


def only(*names: str) -> Selection:
    return Selection.of(lambda: TREE, MARKS, lambda number, entry: entry.components[-1] in names)


def flags(selection: Selection) -> list[int]:
    return [selection.flags(number) for number in range(len(TREE))]


def accept(bodies: list[bytes], entries: int) -> AcceptReader:
    reader = AcceptReader(entries)
    for body in bodies:
        assert not reader.done
        reader.page(body)
    return reader


def test_the_marks_are_those_of_a_reader() -> None:
    reader = OfferReader(Blake3)
    for body, _ in pages(OfferKind.FILES, bytes(16), Blake3, TREE):
        assert reader.page(body) == TREE
    assert reader.marks == MARKS
    assert reader.offer is not None
    assert (reader.offer.size, reader.offer.stored, reader.offer.links, reader.offer.entries) == (
        1017,
        22,
        2,
        7,
    )


def test_everything() -> None:
    reader = OfferReader(Blake3)
    for body, _ in pages(OfferKind.FILES, bytes(16), Blake3, TREE):
        reader.page(body)
    assert reader.offer is not None
    selection = Selection.everything(reader.offer, reader.marks)
    assert flags(selection) == [
        WANTED,
        WANTED | CONTENT | KEPT,
        WANTED,
        WANTED,
        WANTED | CONTENT,
        WANTED,
        WANTED | CONTENT,
    ]
    assert selection.counts == Counts(3, 2, 2, 1017, 22)
    assert list(selection.pages()) == [b""]
    assert all(accept([b""], 7).content(number) for number in range(7))


def test_a_file_comes_with_its_folders() -> None:
    selection = only("f")
    assert flags(selection) == [WANTED, 0, 0, WANTED, WANTED | CONTENT, 0, 0]
    assert selection.counts == Counts(1, 2, 0, 1000, 5)


def test_a_hard_link_alone_asks_for_its_files_content() -> None:
    selection = only("b")
    assert flags(selection) == [WANTED, CONTENT | KEPT, WANTED, 0, 0, 0, 0]
    assert selection.counts == Counts(1, 1, 1, 10, 10)
    reader = accept(list(selection.pages()), len(TREE))
    assert [reader.content(number) for number in range(7)] == [
        False,
        True,
        False,
        False,
        False,
        False,
        False,
    ]


def test_a_file_without_its_links_is_not_kept_for_them() -> None:
    assert flags(only("a"))[1] == WANTED | CONTENT


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 9))
def test_what_is_said_is_heard(wanted: list[bool], page: int) -> None:
    entries = [Entry(FILE, (f"{number:03d}",), 0, 0, 1) for number in range(len(wanted))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE_BITS", page)
        selection = Selection.of(
            lambda: entries, bytearray(len(wanted)), lambda number, _: wanted[number]
        )
        bodies = list(selection.pages())
        assert len(bodies) == -(-len(wanted) // (8 * page))
        reader = accept(bodies, len(wanted))
    assert reader.done
    assert [reader.content(number) for number in range(len(wanted))] == wanted


def test_t16_as_many_entries_as_there_may_be() -> None:
    marks = bytearray([FILE_MARK]) * 5_000_000
    selection = Selection(
        marks.__getitem__, Counts(), whole=False, content=bytearray([CONTENT]) * 5_000_000
    )
    bodies = list(selection.pages())
    assert max(map(len, bodies)) <= 33 * 1024
    assert accept(bodies, 5_000_000).content(4_999_999)


def page(number: int, last: int, bits: bytes) -> bytes:
    return Writer().u32(number).u8(last).raw(bits).done()


@pytest.mark.parametrize(
    "bodies",
    [
        [page(1, 1, b"\1\0")],
        [page(0, 1, b"\1")],
        [page(0, 1, b"\1\0\0")],
        [page(0, 0, b"\1\0")],
        [page(0, 2, b"\1\0")],
        [page(0, 1, b"\1\x04")],
        [page(0, 1, b"\1\x80")],
        [page(0, 1, b"\1\0"), b""],
        [b"", b""],
        [b"", page(0, 1, b"\1\0")],
        [b"\0"],
        [b"\0\0\0\0"],
        [b"\xff" * 7],
    ],
)
def test_t16_an_accept_that_does_not_fit_the_offer_is_refused(bodies: list[bytes]) -> None:
    """Of ten entries."""
    reader = AcceptReader(10)
    for body in bodies[:-1]:
        reader.page(body)
    with pytest.raises(RemoteProtocolError):
        reader.page(bodies[-1])


def test_t16_pages_that_never_end_are_refused() -> None:
    reader = AcceptReader(8 * module.PAGE_BITS + 8)
    reader.page(page(0, 0, bytes(module.PAGE_BITS)))
    assert not reader.done
    for wrong in (page(0, 1, b"\0"), page(1, 0, b"\0"), page(1, 1, b""), page(2, 1, b"\0"), b""):
        with pytest.raises(RemoteProtocolError):
            AcceptReader.page(reader, wrong)
