"""Pages of an offer: what goes in comes out, and every number in them has its bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import FileSystemError, RemoteProtocolError
from tallow_core.protocol.codec.frame import MAX_BODY_BYTES
from tallow_core.protocol.codec.wire import Reader, Writer
from tallow_core.protocol.lanes.record import MAX_CONTROL_RECORD_BYTES
from tallow_core.protocol.transfer import offer_pages, offer_reader
from tallow_core.protocol.transfer.manifest_entry import (
    MAX_FILE_BYTES,
    UNKNOWN,
    Entry,
    EntryKind,
    read_entry,
)
from tallow_core.protocol.transfer.offer_pages import (
    PAGE_BYTES,
    SEGMENT_BYTES,
    Offer,
    OfferKind,
    pages,
)
from tallow_core.protocol.transfer.offer_reader import (
    MAX_SEGMENT_BYTES,
    MAX_TEXT_BYTES,
    MIN_SEGMENT_BYTES,
    OfferReader,
)
from tallow_core.protocol.transfer.path_names import check_component, fold
from tallow_core.text import printable
from tallow_plugins.hashes.blake3 import Blake3
from tests.kit.corpus import PATHS, TREES
from tests.kit.corpus import Entry as HostileEntry

ID = bytes(range(16))
FILE, DIRECTORY = EntryKind.FILE, EntryKind.DIRECTORY


def file(*components: str, size: int | None = 5, mode: int = 0o644) -> Entry:
    """A file's entry."""
    return Entry(FILE, components, mode, 0, size)


def read(bodies: list[bytes]) -> tuple[list[Entry], Offer | None]:
    """What a receiver makes of the pages."""
    reader = OfferReader(Blake3)
    entries = [entry for body in bodies for entry in reader.page(body)]
    return entries, reader.offer


# -- what goes in comes out ----------------------------------------------------------------------

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
).filter(lambda name: check_component(name) is None)
TREE_OF_NAMES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, MAX_FILE_BYTES // 64),
    lambda inner: st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


def walk(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The entries of nested dicts in canonical order, names that collide left out."""
    for name in sorted({fold(name): name for name in tree}.values(), key=fold):
        inner = tree[name]
        if isinstance(inner, dict):
            yield Entry(DIRECTORY, (*above, name), 0o755, -1, 0)
            yield from walk(inner, (*above, name))
        else:
            yield Entry(FILE, (*above, name), inner & 0o777, inner - 77, inner)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, TREE_OF_NAMES, max_size=6))
def test_what_is_offered_is_read(tree: dict[str, Any]) -> None:
    entries = list(walk(tree))
    produced = list(pages(OfferKind.FILES, ID, Blake3, entries, MIN_SEGMENT_BYTES))
    got, offer = read([body for body, _ in produced])
    assert got == entries
    files = [entry for entry in entries if entry.kind == FILE]
    size = sum(entry.size or 0 for entry in files)
    assert offer == Offer(
        OfferKind.FILES, ID, MIN_SEGMENT_BYTES, len(files), len(entries) - len(files), 0, size, size
    )
    assert [last for _, last in produced] == [None] * (len(produced) - 1) + [offer]


def test_many_entries_take_many_pages() -> None:
    entries = [file(f"{number:05d}-{'x' * 240}") for number in range(1000)]
    bodies = [body for body, _ in pages(OfferKind.FILES, ID, Blake3, entries)]
    assert len(bodies) == 6
    assert all(len(body) <= PAGE_BYTES + 256 < MAX_CONTROL_RECORD_BYTES for body in bodies)
    assert read(bodies)[0] == entries


def test_pages_are_made_one_by_one() -> None:
    def endless() -> Iterator[Entry]:
        number = 0
        while True:
            yield file(f"{number:012d}")
            number += 1

    produced = pages(OfferKind.FILES, ID, Blake3, endless())
    assert [next(produced)[1] for _ in range(3)] == [None] * 3


def test_the_largest_entry_fits_a_page() -> None:
    parents = [Entry(DIRECTORY, ("d" * 250,) * depth, 0o777, 0, 0) for depth in range(1, 16)]
    entries = [*parents, file(*("d" * 250,) * 15, "f" * 250, size=MAX_FILE_BYTES, mode=0o777)]
    assert read([body for body, _ in pages(OfferKind.FILES, ID, Blake3, entries)])[0] == entries


@pytest.mark.parametrize("kind", [OfferKind.TEXT, OfferKind.STREAM])
def test_a_text_or_stream_is_one_entry(kind: OfferKind) -> None:
    size = None if kind is OfferKind.STREAM else MAX_TEXT_BYTES
    ((body, offer),) = pages(kind, ID, Blake3, [file("one", size=size)])
    assert read([body]) == ([file("one", size=size)], offer)
    assert offer is not None
    assert offer.size == size


LINKS = [
    Entry(DIRECTORY, ("d",), 0o755, 0, 0),
    Entry(EntryKind.SPARSE, ("d", "a"), 0o644, 7, 1 << 40, data=4096),
    Entry(EntryKind.SYMLINK, ("d", "b"), 0, -5, 0, target="."),
    Entry(DIRECTORY, ("d", "c"), 0o755, 0, 0),
    Entry(EntryKind.SYMLINK, ("d", "c", "to"), 0, 0, 0, target="../a"),
    Entry(EntryKind.SYMLINK, ("d", "c", "up"), 0, 0, 0, target=".."),
    Entry(EntryKind.HARD_LINK, ("d", "e"), 0, 0, 0, first=1),
    file("z"),
]


def test_links_and_holes_are_read() -> None:
    bodies = [body for body, _ in pages(OfferKind.FILES, ID, Blake3, LINKS)]
    got, offer = read(bodies)
    assert got == LINKS
    assert offer == Offer(OfferKind.FILES, ID, SEGMENT_BYTES, 2, 2, 4, (1 << 40) + 5, 4096 + 5)
    assert [read_entry(Reader(entry.encoded(), "x"), trusted=True) for entry in LINKS] == LINKS


# -- a hostile sender ----------------------------------------------------------------------------


@dataclass
class RawEntry:
    """An entry of which every field can be anything."""

    kind: int = FILE
    mode: int = 0o644
    mtime: int = 0
    size: int = 5
    names: tuple[bytes, ...] = (b"name",)
    depth: int | None = None
    more: bytes = b""

    def encoded(self) -> bytes:
        """As a sender would write it."""
        writer = Writer().u8(self.kind).u16(self.mode).i64(self.mtime).u64(self.size)
        writer.u8(len(self.names) if self.depth is None else self.depth)
        for name in self.names:
            writer.u8(len(name)).raw(name)
        return writer.raw(self.more).done()


@dataclass
class RawPage:
    """A page, the first and last unless said otherwise, of which every field can be anything."""

    entries: tuple[RawEntry, ...] = (RawEntry(),)
    number: int = 0
    last: int = 1
    kind: int = OfferKind.FILES
    segment: int = SEGMENT_BYTES
    count: int | None = None
    files: int = 1
    directories: int = 0
    links: int = 0
    size: int = 5
    digest: bytes | None = None
    more: bytes = field(default=b"")

    def body(self) -> bytes:
        """As a sender would write it."""
        encoded = b"".join(entry.encoded() for entry in self.entries)
        writer = Writer().u32(self.number).u8(self.last)
        if self.number == 0:
            writer.u8(self.kind).raw(ID).u32(self.segment)
        writer.u16(len(self.entries) if self.count is None else self.count).raw(encoded)
        if self.last:
            digest = (
                blake3(encoded, derive_key_context="tallow/1 manifest").digest()
                if self.digest is None
                else self.digest
            )
            writer.u32(self.files).u32(self.directories).u32(self.links).u64(self.size).raw(digest)
        return writer.raw(self.more).done()


def refusal(body: bytes) -> str:
    """The error of a page; safe to show (T-04)."""
    reader = OfferReader(Blake3)
    with pytest.raises(RemoteProtocolError) as caught:
        reader.page(body)
    assert reader.offer is None
    assert printable(str(caught.value)) == str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)


def test_the_untouched_page_is_taken() -> None:
    """What the cases below change is right before they do."""
    assert read([RawPage().body()])[1] == Offer(OfferKind.FILES, ID, SEGMENT_BYTES, 1, 0, 0, 5, 5)
    assert RawPage().body() == next(pages(OfferKind.FILES, ID, Blake3, [file("name")]))[0]


U16, U32, U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1

PAGES = [
    *(RawPage(number=number) for number in (1, 2, U32)),
    *(RawPage(last=last) for last in (2, 0x80, 255)),
    *(RawPage(kind=kind) for kind in (3, 4, 255)),
    *(
        RawPage(segment=size)
        for size in (0, 1, MIN_SEGMENT_BYTES - 1, MAX_SEGMENT_BYTES + 1, 1 << 31, U32)
    ),
    *(RawPage(count=count) for count in (0, 2, U16)),
    *(RawPage(files=files) for files in (0, 2, U32)),
    *(RawPage(directories=directories) for directories in (1, U32)),
    *(RawPage(links=links) for links in (1, U32)),
    *(RawPage(size=size) for size in (0, 4, 6, UNKNOWN)),
    *(RawPage(digest=digest) for digest in (bytes(32), bytes(31), blake3(b"").digest())),
    *(RawPage(more=more) for more in (b"\0", bytes(1000))),
    RawPage(
        kind=OfferKind.TEXT, entries=(RawEntry(size=MAX_TEXT_BYTES + 1),), size=MAX_TEXT_BYTES + 1
    ),
    RawPage(kind=OfferKind.TEXT, entries=(RawEntry(size=UNKNOWN),), size=UNKNOWN),
    RawPage(kind=OfferKind.STREAM, entries=(), files=0, size=0),
    RawPage(
        kind=OfferKind.TEXT,
        entries=(RawEntry(names=(b"a",)), RawEntry(names=(b"b",))),
        files=2,
        size=10,
    ),
    RawPage(
        kind=OfferKind.STREAM,
        entries=(RawEntry(kind=DIRECTORY, size=0),),
        files=0,
        directories=1,
        size=0,
    ),
]


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
def test_t16_every_number_of_a_page_is_checked(page: RawPage) -> None:
    refusal(page.body())


@pytest.mark.parametrize("segment", [MIN_SEGMENT_BYTES, MIN_SEGMENT_BYTES + 1, MAX_SEGMENT_BYTES])
def test_t16_segment_sizes_within_bounds(segment: int) -> None:
    offer = read([RawPage(segment=segment).body()])[1]
    assert offer is not None
    assert offer.segment_size == segment


ENTRIES = [
    *(RawEntry(kind=kind) for kind in (0, 3, 4, 5, 6, 255)),
    *(
        RawEntry(mode=mode)
        for mode in (0o1000, 0o1777, 0o2755, 0o4755, 0o7777, 0o10644, 0o100644, U16)
    ),
    *(RawEntry(size=size) for size in (MAX_FILE_BYTES + 1, 1 << 63, UNKNOWN - 1, UNKNOWN)),
    *(RawEntry(kind=DIRECTORY, size=size) for size in (1, MAX_FILE_BYTES, UNKNOWN)),
    *(RawEntry(depth=depth) for depth in (0, 2, 64, 65, 255)),
    *(
        RawEntry(names=names)
        for names in (
            (),
            (b"",),
            (b"\xff",),
            (b"\xed\xa0\x80",),
            (b"a" * 255, b"\xc0\xaf"),
            (b"a",) * 65,
        )
    ),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_t16_every_number_of_an_entry_is_checked(entry: RawEntry) -> None:
    refusal(
        RawPage(
            entries=(entry,),
            size=entry.size,
            files=int(entry.kind == FILE),
            directories=int(entry.kind == DIRECTORY),
        ).body()
    )


def target(up: int, *names: bytes, depth: int | None = None) -> bytes:
    """A link's target as it travels."""
    return bytes((up, len(names) if depth is None else depth)) + b"".join(
        bytes((len(name),)) + name for name in names
    )


FOLDER = RawEntry(kind=DIRECTORY, size=0, names=(b"d",))
LINK = RawEntry(kind=EntryKind.SYMLINK, mode=0, size=0, names=(b"d", b"l"), more=target(0, b"x"))
TWIN = RawEntry(
    kind=EntryKind.HARD_LINK, mode=0, size=0, names=(b"d", b"l"), more=(1).to_bytes(4, "big")
)
FIRST = RawEntry(names=(b"d", b"a"), size=5)
HOLED = RawEntry(kind=EntryKind.SPARSE, names=(b"d", b"l"), size=9, more=(9).to_bytes(8, "big"))


def linked(link: RawEntry) -> bytes:
    """A folder, a file in it, and a link."""
    sparse = link.kind == EntryKind.SPARSE
    return RawPage(
        entries=(FOLDER, FIRST, link),
        files=1 + sparse,
        directories=1,
        links=1 - sparse,
        size=(5 + sparse * link.size) & U64,
    ).body()


@pytest.mark.parametrize(
    "link", [LINK, TWIN, HOLED, replace(HOLED, more=bytes(8)), replace(LINK, more=target(0))]
)
def test_the_untouched_links_are_taken(link: RawEntry) -> None:
    assert len(read([linked(link)])[0]) == 3


OUT = [
    replace(LINK, names=(b"l",)),
    replace(LINK, names=(b"l",), more=target(0)),
    *(replace(LINK, more=target(up, b"x")) for up in (1, 2, 64, 255)),
    *(
        replace(LINK, more=target(0, *names))
        for names in ((b"..",), (b"x", b".."), (b"x", b"..", b"y"), (b".",), (b"",), (b"x", b""))
    ),
    *(
        replace(LINK, more=target(0, name))
        for name in (b"/etc/passwd", b"a/../..", b"a\\b", b"a\0b", b"\x1b[2J", b"C:", b"\xff")
    ),
    replace(LINK, more=target(0, *[b"a"] * 65)),
    replace(LINK, more=target(0, *[b"a" * 250] * 17)),
    *(replace(LINK, more=target(0, b"x", depth=depth)) for depth in (0, 2, 255)),
    *(replace(LINK, more=more) for more in (b"", b"\0")),
    replace(LINK, size=1),
    replace(LINK, mode=0o777),
    *(replace(TWIN, more=number.to_bytes(4, "big")) for number in (0, 2, 3, U32)),
    *(replace(TWIN, more=more) for more in (b"", b"\0\0\0")),
    replace(TWIN, mode=0o4755),
    replace(TWIN, mode=0o644),
    replace(TWIN, mtime=1),
    replace(TWIN, size=5),
    replace(HOLED, more=(10).to_bytes(8, "big")),
    replace(HOLED, more=b"\xff" * 8),
    replace(HOLED, size=UNKNOWN),
    replace(HOLED, size=MAX_FILE_BYTES + 1),
]


@pytest.mark.parametrize("link", OUT, ids=range(len(OUT)))
def test_t05_t16_a_link_out_of_bounds_is_refused(link: RawEntry) -> None:
    """Absolute, `..` chains, to a folder, to itself, to what is not there, with facts of its own;
    and a file with more data than size."""
    refusal(linked(link))


@pytest.mark.parametrize("kind", [EntryKind.FILE, DIRECTORY, EntryKind.SYMLINK])
def test_t05_nothing_lies_below_or_beside_a_link_of_its_name(kind: EntryKind) -> None:
    for names in ((b"d", b"l", b"below"), (b"d", b"l"), (b"d", b"L")):
        last = RawEntry(
            kind=kind,
            mode=0,
            size=0,
            names=names,
            more=target(0, b"x") if kind == EntryKind.SYMLINK else b"",
        )
        refusal(
            RawPage(
                entries=(FOLDER, LINK, last),
                files=int(kind == FILE),
                directories=2,
                links=1,
                size=0,
            ).body()
        )


@pytest.mark.parametrize("kind", [OfferKind.TEXT, OfferKind.STREAM])
@pytest.mark.parametrize("link", [replace(HOLED, names=(b"l",)), replace(TWIN, names=(b"l",))])
def test_t16_a_text_or_stream_has_no_links_and_holes(kind: OfferKind, link: RawEntry) -> None:
    refusal(RawPage(kind=kind, entries=(link,), files=int(link is not TWIN), size=link.size).body())


@pytest.mark.parametrize(
    "entry",
    [
        *(RawEntry(mode=mode) for mode in (0, 1, 0o777)),
        *(RawEntry(mtime=mtime) for mtime in (-(1 << 63), -1, 0, (1 << 63) - 1)),
        *(RawEntry(size=size) for size in (0, 1, MAX_FILE_BYTES)),
    ],
    ids=range(10),
)
def test_t16_extremes_that_are_allowed(entry: RawEntry) -> None:
    (got,), _ = read([RawPage(entries=(entry,), size=entry.size).body()])
    assert (got.mode, got.mtime_ns, got.size) == (entry.mode, entry.mtime, entry.size)
    assert got.encoded() == entry.encoded()


def test_t16_sizes_that_overflow_together() -> None:
    entries = tuple(
        RawEntry(size=MAX_FILE_BYTES, names=(name,)) for name in (b"a", b"b", b"c", b"d", b"e")
    )
    for size in ((5 * MAX_FILE_BYTES) & U64, U64, 0):
        refusal(RawPage(entries=entries, files=5, size=size).body())


def test_t16_a_page_of_any_length_is_refused_cleanly() -> None:
    body = RawPage().body()
    for length in range(len(body)):
        refusal(body[:length])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_t16_noise_is_refused_cleanly(noise: bytes) -> None:
    refusal(noise)


def test_t23_every_bit_of_a_page_is_covered() -> None:
    body = RawPage().body()
    for bit in range(len(body) * 8):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << (bit % 8)
        try:
            got, offer = read([bytes(changed)])
        except RemoteProtocolError:
            continue
        # Records are sealed, so nobody but the sender can do this: what is not an entry is as it
        # says.
        assert got == [file("name")]
        assert (
            offer is None
            or offer.transfer_id != ID
            or offer.segment_size != SEGMENT_BYTES
            or offer.kind != OfferKind.FILES
        )


@pytest.mark.parametrize(
    ("taken", "wrong"),
    [(taken, wrong) for taken in range(5) for wrong in range(5) if wrong != taken],
)
def test_t23_pages_out_of_order(taken: int, wrong: int) -> None:
    bodies = [
        body
        for body, _ in pages(
            OfferKind.FILES, ID, Blake3, [file(f"{n:05d}-{'x' * 240}") for n in range(900)]
        )
    ]
    assert len(bodies) == 5
    reader = OfferReader(Blake3)
    for body in bodies[:taken]:
        reader.page(body)
    with pytest.raises(RemoteProtocolError, match="out of order"):
        reader.page(bodies[wrong])


def test_t23_nothing_follows_the_last_page() -> None:
    reader = OfferReader(Blake3)
    reader.page(RawPage().body())
    for page in (RawPage(), RawPage(number=1, entries=(RawEntry(names=(b"z",)),))):
        with pytest.raises(RemoteProtocolError, match="out of order"):
            reader.page(page.body())


def test_t16_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [file(name) for name in "abcd"]
    bodies = [body for body, _ in pages(OfferKind.FILES, ID, Blake3, entries)]
    for module in (offer_pages, offer_reader):
        monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    assert len(read([body for body, _ in pages(OfferKind.FILES, ID, Blake3, entries[:3])])[0]) == 3
    with pytest.raises(RemoteProtocolError, match="entries"):
        read(bodies)
    with pytest.raises(FileSystemError, match="parts"):
        list(pages(OfferKind.FILES, ID, Blake3, entries))


def test_t16_the_bytes_of_an_offer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = RawPage(entries=(), last=0)
    monkeypatch.setattr(
        offer_reader, "MAX_OFFER_BYTES", len(empty.body()) + len(replace(empty, number=1).body())
    )
    reader = OfferReader(Blake3)
    reader.page(empty.body())
    reader.page(replace(empty, number=1).body())
    with pytest.raises(RemoteProtocolError, match="bytes"):
        reader.page(replace(empty, number=2).body())


def test_t16_huge_claims_allocate_little() -> None:
    claims = [
        RawPage(count=U16).body(),
        RawPage(
            entries=(RawEntry(depth=255),), count=U16, files=U32, directories=U32, size=U64
        ).body(),
        RawPage(entries=(RawEntry(names=(b"a" * 255,) * 64),), count=U16, segment=U32).body(),
        RawPage(count=U16).body()[:26] + b"\xff" * (MAX_CONTROL_RECORD_BYTES - 26),
        b"\0" * MAX_BODY_BYTES,
    ]
    for body in claims:
        reader = OfferReader(Blake3)
        tracemalloc.start()
        try:
            with pytest.raises(RemoteProtocolError):
                reader.page(body)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def encodable(path: tuple[str, ...]) -> tuple[bytes, ...] | None:
    """A hostile path as bytes, if the layout has room for it."""
    names = tuple(name.encode("utf-8", "surrogatepass") for name in path)
    return names if len(names) < 256 and all(len(name) < 256 for name in names) else None


HOSTILE = [
    pytest.param(names, id=f"{group}-{number}")
    for group, paths in PATHS.items()
    for number, path in enumerate(paths)
    if (names := encodable(path)) is not None
]


def test_t02_most_of_the_corpus_can_travel() -> None:
    assert len(HOSTILE) > 200


@pytest.mark.parametrize("names", HOSTILE)
def test_t04_a_hostile_name_is_refused_in_words_that_are_safe_to_show(
    names: tuple[bytes, ...],
) -> None:
    parents = tuple(
        RawEntry(kind=DIRECTORY, size=0, names=names[:depth])
        for depth in range(1, min(len(names), 64))
    )
    refusal(RawPage(entries=(*parents, RawEntry(names=names)), directories=len(parents)).body())


@pytest.mark.parametrize(
    "char", ["\x1b[2J", "\x1b]0;owned\x07", "\u202e", "\x9b31m", "\r", "\n", "\u2066", "\x00"]
)
def test_t04_control_sequences_are_named_by_their_escapes(char: str) -> None:
    text = refusal(RawPage(entries=(RawEntry(names=(f"a{char}b".encode(),)),)).body())
    assert printable(char) in text


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(tree, id=f"{group}-{n}")
        for group, trees in TREES.items()
        for n, tree in enumerate(trees)
    ],
)
def test_t02_a_hostile_tree_is_refused(tree: list[HostileEntry]) -> None:
    entries = tuple(
        RawEntry(
            kind=DIRECTORY if each.directory else FILE,
            size=0,
            names=tuple(name.encode() for name in each.path),
        )
        for each in tree
    )
    refusal(
        RawPage(
            entries=entries,
            files=sum(not each.directory for each in tree),
            directories=sum(e.directory for e in tree),
            size=0,
        ).body()
    )


def test_the_hash_covers_the_entries_as_they_travelled() -> None:
    entries = [file("a"), file("b", size=7)]
    ((body, _),) = pages(OfferKind.FILES, ID, Blake3, entries)
    encoded = b"".join(entry.encoded() for entry in entries)
    assert body.endswith(blake3(encoded, derive_key_context="tallow/1 manifest").digest())
    assert read_entry(Reader(entries[1].encoded(), "entry")) == entries[1]
