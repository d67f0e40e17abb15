"""One file on its way to the output: written in pieces in the staging area, then moved to its
name."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.hard_links import HardLinks
from tallow_core.files.output.output_folder import Place
from tallow_core.files.output.placement import Overwrite, place, set_facts
from tallow_core.files.output.staging import StagingArea
from tallow_core.types import ReadBuffer


class FileTarget(NamedTuple):
    """The target of one file. `path` is its name in errors (raw). `place` is None for a file that
    is kept for its hard links only. `keep` says that hard links to it are to come."""

    number: int
    path: str
    place: Place | None
    mode: int
    mtime_ns: int
    keep: bool


class FileWriter:
    """A file that is under its name only after `commit`. `ended` is called once, when the writer is
    finished with in any way. Raises an `OSError` if the file cannot be made."""

    __slots__ = ("_end", "_ended", "_file", "_links", "_overwrite", "_staging", "_target")

    def __init__(
        self,
        staging: StagingArea,
        links: HardLinks,
        overwrite: Overwrite,
        target: FileTarget,
        ended: Callable[[FileWriter], None],
    ) -> None:
        self._staging = staging
        self._links = links
        self._overwrite = overwrite
        self._target = target
        self._file = staging.open_file(target.number)
        self._end = self._file.size
        self._ended: Callable[[FileWriter], None] | None = ended
        if target.place is not None:
            target.place.folder.users += 1

    def segment(self, index: int, digest: bytes) -> None:
        """A whole segment was written, and has this hash: an interrupted transfer need not send it
        again."""
        self._staging.segment_written(self._target.number, self._file, index, digest)

    def write(self, offset: int, data: ReadBuffer) -> None:
        """Write all of `data` at `offset`, in bytes from the start of the file."""
        try:
            write_all(self._file.fd, data, offset)
            self._end = max(self._end, offset + len(data))
        except OSError as error:
            raise explain(error, "write", self._target.path) from error

    def commit(self, size: int = 0) -> str:
        """Put the file under its name and return the path it got, relative to the output (raw: make
        it printable to show it); empty if it has no name.

        It has at least `size` bytes then: a hole at its end is not written. On a failure the file
        is discarded.
        """
        try:
            path = self._commit(size)
        except OSError as error:
            self.discard()
            raise explain(error, "write", self._target.path) from error
        except FileSystemError:
            self.discard()
            raise
        self._finish()
        return path

    def discard(self) -> None:
        """Remove the unfinished file. A no-op after `commit` or a second time."""
        if self._ended is None:
            return
        with suppress(OSError):
            self._close()
        self._staging.unlink(self._file.name)
        self._finish()

    def suspend(self) -> None:
        """Leave the unfinished file for a later run if that can go on with it; else `discard`."""
        if not self._file.recorded:
            self.discard()
            return
        with suppress(OSError):
            self._close()
        self._finish()

    def _commit(self, size: int) -> str:
        fd, target = self._file.fd, self._target
        if size > self._end:
            os.ftruncate(fd, size)
        set_facts(fd, target.mode, target.mtime_ns)
        self._staging.about_to_place([(target.number, os.fstat(fd))])
        self._close()  # before the rename: some network file systems report a full disk only here
        if target.keep:
            self._links.keep(target.number, self._file.name)
        if target.place is None:
            self._staging.unlink(self._file.name)
            return ""
        folder, name = target.place
        return folder.path + place(
            self._overwrite, self._staging.fd, self._file.name, folder.fd, name
        )

    def _close(self) -> None:
        fd, self._file.fd = self._file.fd, -1
        if fd >= 0:
            os.close(fd)

    def _finish(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self)
            if self._target.place is not None:
                self._target.place.folder.release()


def write_all(fd: int, data: ReadBuffer, offset: int) -> None:
    """Write all of `data` at `offset`; raises an `OSError`."""
    written = os.pwrite(fd, data, offset)
    rest = memoryview(data)
    while written < len(rest):
        rest, offset = rest[written:], offset + written
        written = os.pwrite(fd, rest, offset)
