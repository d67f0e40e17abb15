"""The sinks for received content: a folder, a descriptor, or memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from tallow_core.aio import detached
from tallow_core.errors import FileSystemError, LocalProtocolError
from tallow_core.files.output.file_writer import FileWriter
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.staging import StagingArea
from tallow_core.files.skipped import Skipped
from tallow_core.protocol.transfer.content_reader import FileWhole
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.selection import KEPT, WANTED, Selection

_ZEROS = memoryview(bytes(1 << 18))


class ResumableSink(Protocol):
    """A sink in which an interrupted transfer can be resumed: a folder. `root` is its descriptor,
    `output` its real path."""

    output: str

    @property
    def root(self) -> int: ...

    @property
    def overwrite(self) -> Overwrite: ...

    def stage_in(self, staging: StagingArea) -> None:
        """Use a staging area that outlives this object. This is called before the first entry."""

    def found(self, number: int, folder: int, name: str) -> None:
        """Take note of an entry that an earlier session completed: its name and its folder (a
        descriptor)."""

    def renewed(self) -> Sink:
        """A new sink for the same output, for another session."""


class Sink(Protocol):
    """Takes the received content. The names were checked before. `files` and `links` count the
    entries that have arrived."""

    skipped: list[Skipped]
    files: int
    single: bool
    """Whether the content is a single file or text, which is of no use unless it is complete."""
    takes_whole: bool
    """Whether `put` takes small files whole, without `begin` and `write`."""

    @property
    def links(self) -> int: ...

    @property
    def resumable(self) -> ResumableSink | None:
        """This sink, if an interrupted transfer can go on in it."""

    def passed(self, number: int, entry: Entry) -> None:
        """Take a folder or link."""

    def put(self, file: FileWhole) -> bool:
        """Take a small file that came whole. Returns whether `settle` has files to return."""

    def settle(self) -> Sequence[tuple[FileWhole, str]]:
        """Give the files that `put` took their names. Returns each file that got its name since the
        last call, with its path (raw)."""

    def begin(self, number: int, entry: Entry) -> None:
        """Begin a file that comes in pieces."""

    async def write(self, offset: int, data: memoryview) -> None:
        """Take bytes of the file."""

    async def hole(self, length: int) -> None:
        """Take zeros of the file."""

    def segment(self, index: int, digest: bytes) -> None:
        """Take the hash of a segment of the file. All of the segment was written."""

    def commit(self, size: int) -> str | None:
        """Complete the file. Returns its path (raw), or None if the file was left out."""

    def discard(self) -> None:
        """Drop the file."""

    def close(self, *, failed: bool) -> None:
        """End the sink. `failed` says whether the transfer failed."""


class FolderSink:
    """Files, folders and links below an output folder, as far as they are selected."""

    single = False
    takes_whole = True

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
        """The rule for a name that is taken."""
        return self._tree.overwrite

    @property
    def links(self) -> int:
        """Links that were made, in this session or an earlier one."""
        return self._links_before + self._tree.links

    @property
    def resumable(self) -> ResumableSink:
        """This sink."""
        return self

    def renewed(self) -> Sink:
        """A new sink for the same folder."""
        return FolderSink(self.output, self.overwrite, self._selection)

    def stage_in(self, staging: StagingArea) -> None:
        """Use a staging area that outlives this object."""
        self._tree.stage_in(staging)

    def found(self, number: int, folder: int, name: str) -> None:
        """Keep the entry if hard links to it are to come."""
        if self._selection.flags(number) & KEPT:
            self._tree.hard_links.keep_from(number, folder, name)

    def passed(self, number: int, entry: Entry) -> None:
        """Make a folder or link."""
        if not self._selection.flags(number) & WANTED:
            return
        if entry.kind == EntryKind.DIRECTORY:
            self._tree.enter(entry.components, entry.mode, entry.mtime_ns, number=number)
        elif self._tree.staging.leftovers.is_complete(number):
            self._links_before += 1
        elif entry.kind == EntryKind.SYMLINK:
            self._tree.symlink(entry.components, entry.target, entry.mtime_ns, number=number)
        else:
            self._tree.hard_link(entry.components, entry.first, number=number)

    def put(self, file: FileWhole) -> bool:
        """Write a small file."""
        flags = self._selection.flags(file.number)
        return self._tree.put(file, keep=bool(flags & KEPT), named=bool(flags & WANTED))

    def settle(self) -> Sequence[tuple[FileWhole, str]]:
        """Give the small files their names."""
        settled = self._tree.settle()
        self.files += len(settled)
        return settled

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

    async def write(self, offset: int, data: memoryview) -> None:
        """Write inline: a hop to a thread costs more than the page cache does."""
        if self._writer is not None:
            self._writer.write(offset, data)

    async def hole(self, length: int) -> None:
        """Write nothing. Bytes that are not written read as zeros."""

    def segment(self, index: int, digest: bytes) -> None:
        """Record the segment."""
        if self._writer is not None:
            self._writer.segment(index, digest)

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


class _SingleSink:
    """The base of sinks that take a single file, in pieces, and cannot be resumed."""

    single = True
    takes_whole = False
    links = 0
    resumable = None

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.files = 0

    def passed(self, number: int, entry: Entry) -> None:
        """Ignore folders and links."""

    def put(self, file: FileWhole) -> bool:
        """Never called, since `takes_whole` is False."""
        raise LocalProtocolError("a sink of one file takes it in pieces")

    def settle(self) -> Sequence[tuple[FileWhole, str]]:
        """Return nothing. No file waits for its name."""
        return ()

    def segment(self, index: int, digest: bytes) -> None:
        """Record nothing."""

    def close(self, *, failed: bool) -> None:
        """Close nothing."""


class StreamSink(_SingleSink):
    """Writes one file to a descriptor, as its records verify. Only the exit status shows whether
    the file is complete."""

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
        """Write the zeros: a pipe has no holes."""
        while length:
            part = _ZEROS[: min(length, len(_ZEROS))]
            await self.write(0, part)
            length -= len(part)

    def _all(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def commit(self, size: int) -> str:
        """Complete the file. Returns the name under which it was sent."""
        self.files = 1
        return self._path

    def discard(self) -> None:
        """Do nothing. Written bytes cannot be taken back, and the exit status is an error."""


class TextSink(_SingleSink):
    """Collects a text message in `data`."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def begin(self, number: int, entry: Entry) -> None:
        """Do nothing. `data` is empty already."""

    async def write(self, offset: int, data: memoryview) -> None:
        """Append; the size was checked against the offer's."""
        self.data += data

    async def hole(self, length: int) -> None:
        """Never called: a text is no sparse file."""

    def commit(self, size: int) -> str:
        """Complete the text. It has no path."""
        self.files = 1
        return ""

    def discard(self) -> None:
        """Forget the text that has come so far."""
        self.data.clear()
