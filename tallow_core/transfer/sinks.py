"""Where received content goes: into a folder, to a descriptor, or into memory."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from tallow_core.aio import detached
from tallow_core.errors import FileSystemError
from tallow_core.files.output.file_writer import FileWriter
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.staging import StagingArea
from tallow_core.files.skipped import Skipped
from tallow_core.protocol.transfer.content_reader import FileWhole
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.selection import (
    KEPT,
    WANTED,
    Selection,
)

_ZEROS = memoryview(bytes(1 << 18))


class Sink(Protocol):
    """Where the content goes. Names were checked before; `commit` gives the path as it landed, None
    if the file was left out.

    `files` and `links` count what landed. A hole is not written where what is not written reads as
    zeros.
    """

    skipped: list[Skipped]
    files: int
    single: bool
    """Whether all of it is one thing, which is of no use if it did not come whole."""

    @property
    def links(self) -> int: ...

    def passed(self, number: int, entry: Entry) -> None: ...

    def segment(self, index: int, digest: bytes) -> None: ...

    def begin(self, number: int, entry: Entry) -> None: ...

    async def write(self, offset: int, data: memoryview) -> None: ...

    async def hole(self, length: int) -> None: ...

    def commit(self, size: int) -> str | None: ...

    def discard(self) -> None: ...

    def close(self, *, failed: bool) -> None: ...


class FolderSink:
    """Files, folders and links below an output folder, as far as they are selected."""

    single = False

    def __init__(self, output: str, overwrite: Overwrite, selection: Selection) -> None:
        self.output = os.path.realpath(output)
        self._tree = OutputTree(output, overwrite)
        self._selection = selection
        self._writer: FileWriter | None = None
        self._links_before = 0
        self.skipped = self._tree.skipped
        self.files = 0

    @property
    def root(self) -> int:
        """The descriptor of the output folder."""
        return self._tree.root

    @property
    def overwrite(self) -> Overwrite:
        """What is done where a name is taken."""
        return self._tree.overwrite

    @property
    def links(self) -> int:
        """Links that were made."""
        return self._links_before + self._tree.links

    def again(self) -> FolderSink:
        """A new one, for going on in another session."""
        return FolderSink(self.output, self.overwrite, self._selection)

    def stage_in(self, staging: StagingArea) -> None:
        """Use a staging area that outlives this object."""
        self._tree.stage_in(staging)

    def found(self, number: int, folder: int, name: str) -> None:
        """An entry is there from an earlier run; what has further names to come is kept for
        them."""
        if self._selection.flags(number) & KEPT:
            self._tree.hard_links.keep_from(number, folder, name)

    def is_there(self, number: int) -> bool:
        """Whether an entry is there from an earlier run."""
        return self._tree.staging.leftovers.is_complete(number)

    def passed(self, number: int, entry: Entry) -> None:
        """Make a folder or link."""
        if not self._selection.flags(number) & WANTED:
            return
        if entry.kind == EntryKind.DIRECTORY:
            self._tree.enter(entry.components, entry.mode, entry.mtime_ns, number=number)
        elif self.is_there(number):
            self._links_before += 1
        elif entry.kind == EntryKind.SYMLINK:
            self._tree.symlink(entry.components, entry.target, entry.mtime_ns, number=number)
        else:
            self._tree.hard_link(entry.components, entry.first, number=number)

    def begin(self, number: int, entry: Entry) -> None:
        """Begin a file."""
        flags = self._selection.flags(number)
        self._writer = self._tree.begin(
            entry.components,
            entry.mode,
            entry.mtime_ns,
            number=number,
            keep=bool(flags & KEPT),
            named=bool(flags & WANTED),
        )

    def whole(self, file: FileWhole) -> bool:
        """Take a small file that came whole; whether `settle` has something to tell."""
        flags = self._selection.flags(file.number)
        return self._tree.put(file, keep=bool(flags & KEPT), named=bool(flags & WANTED))

    def settle(self) -> list[tuple[FileWhole, str]]:
        """Give what came whole its names; returns what has got one since the last call, with the
        paths as they landed."""
        settled = self._tree.settle()
        self.files += len(settled)
        return settled

    def segment(self, index: int, digest: bytes) -> None:
        """A whole segment of the file was written."""
        if self._writer is not None:
            self._writer.segment(index, digest)

    async def write(self, offset: int, data: memoryview) -> None:
        """Write inline: a hop to a thread costs more than the page cache does."""
        if self._writer is not None:
            self._writer.write(offset, data)

    async def hole(self, length: int) -> None:
        """What is not written reads as zeros."""

    def commit(self, size: int) -> str | None:
        """Give the file its name."""
        path = None if self._writer is None else self._writer.commit(size)
        if not path:
            return None
        self.files += 1
        return path

    def discard(self) -> None:
        """Drop the file."""
        if self._writer is not None:
            self._writer.discard()

    def close(self, *, failed: bool) -> None:
        """Make the last links, set the folders' modes and times, remove what is unfinished."""
        if failed:
            self._tree.abort()
        else:
            self._tree.close()


class _One:
    """What takes a single file."""

    single = True
    links = 0

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.files = 0

    def passed(self, number: int, entry: Entry) -> None:
        """Folders and links are nothing here."""

    def segment(self, index: int, digest: bytes) -> None:
        """What is not kept in a folder cannot be resumed."""

    def close(self, *, failed: bool) -> None:
        """Nothing is to be closed."""


class StreamSink(_One):
    """One file, to a descriptor, as its records verify: completeness is known by the exit
    status."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._path = ""

    def begin(self, number: int, entry: Entry) -> None:
        """Remember the name."""
        self._path = "/".join(entry.components)

    async def write(self, offset: int, data: memoryview) -> None:
        """Write, on a thread if the reader of a pipe may be slow."""
        try:
            if self._regular:
                self._all(data)
            else:
                await detached(lambda: self._all(data))
        except OSError as error:
            raise FileSystemError(f"standard output cannot be written: {error.strerror}") from error

    async def hole(self, length: int) -> None:
        """Zeros like any others: what reads a pipe knows no holes."""
        while length:
            part = _ZEROS[: min(length, len(_ZEROS))]
            await self.write(0, part)
            length -= len(part)

    def _all(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def commit(self, size: int) -> str:
        """The name it was sent under."""
        self.files = 1
        return self._path

    def discard(self) -> None:
        """What was written cannot be taken back; the exit status tells."""


class TextSink(_One):
    """A text message, kept to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def begin(self, number: int, entry: Entry) -> None:
        """Begin."""

    async def write(self, offset: int, data: memoryview) -> None:
        """Append; the size was checked against the offer's."""
        self.data += data

    async def hole(self, length: int) -> None:
        """Never called: a text is no sparse file."""

    def commit(self, size: int) -> str:
        """A text has no path."""
        self.files = 1
        return ""

    def discard(self) -> None:
        """Forget it."""
        self.data.clear()
