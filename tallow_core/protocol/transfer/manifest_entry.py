"""Entries of the manifest: one file, folder or link each, as they travel
(docs/protocol/transfer.md, "Offer")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.transfer.path_names import check_path, check_target
from tallow_core.text import printable

UNKNOWN = (1 << 64) - 1
"""The size on the wire of a file whose size is not known."""
MAX_FILE_BYTES = 1 << 62
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
"""Kinds above this one have fields beyond those of every entry."""

FILES = frozenset({EntryKind.FILE, EntryKind.SPARSE})
"""The kinds that have content of their own."""


class Entry(NamedTuple):
    """One file, folder or link.

    `size` in bytes, None where it is not known beforehand; `mode` holds permission bits only;
    `mtime_ns` in nanoseconds since 1970. A folder's size is 0, and so are a link's size and a hard
    link's mode and time.
    """

    kind: EntryKind
    components: tuple[str, ...]
    mode: int
    mtime_ns: int
    size: int | None
    target: str = ""
    """The target of a symbolic link (`check_target`)."""
    first: int = 0
    """The number of the file that a hard link is another name of."""
    data: int = 0
    """The maximum of bytes of a sparse file that come as content; the rest are holes."""

    @property
    def stored(self) -> int | None:
        """Bytes that the content takes on a disk."""
        return self.data if self.kind == EntryKind.SPARSE else self.size

    def encoded(self) -> bytes:
        """kind[1] mode[2] mtime_ns[8, signed] size[8] depth[1], each component as length[1] ||
        UTF-8, and the fields of the kind: a symbolic link up[1] depth[1] and the names of its
        target, a hard link first[4], a sparse file data[8]."""
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
    """The folders of the entry that was read last, as encoded and decoded. The next entry mostly
    lies in the same ones, so they are not decoded again."""

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
    """Read one entry and check all about it that needs no other entry. Raises
    `RemoteProtocolError`.

    `trusted`: this process checked the entry before and kept it. `folders` and `check` make the
    reading of many entries faster; `check` has the contract of `check_path`.
    """
    kind, mode, mtime_ns, size, depth = reader.fields(_HEAD)
    components = (folders or Folders()).read(reader, depth)
    if not trusted:
        _check(components, kind, mode, size, check(components))
    entry = Entry(_KINDS[kind], components, mode, mtime_ns, None if size == UNKNOWN else size)
    return entry if kind <= _PLAIN else _read_more(reader, entry, mode or mtime_ns)


def read_list(reader: Reader, count: int) -> Iterator[Entry]:
    """Read `count` entries that this process has checked before and kept."""
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
    if mode & ~0o777 or (size > MAX_FILE_BYTES and size != UNKNOWN) or (size and kind not in FILES):
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
