"""Small files that came whole: written one by one, named together, so that one word in the journal
does for all of them."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.file_writer import NEW_FILE, Folder, write_all
from tallow_core.files.output.placement import place, set_time
from tallow_core.protocol.transfer.content_reader import FileWhole

if TYPE_CHECKING:
    from tallow_core.files.output.output_tree import Landing

MOST = 64
"""Files that wait for their names at most; the folders that they go into stay open so long."""


class _Ready(NamedTuple):
    """A file in the staging folder that only lacks its name."""

    file: FileWhole
    temporary: str
    folder: Folder
    name: str
    status: os.stat_result | None


class Batch:
    """The files of one `Landing` that wait for their names."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._ready: deque[_Ready] = deque()
        self._named: list[tuple[FileWhole, str]] = []

    def write(
        self, file: FileWhole, path: str, place: tuple[Folder, str] | None, mode: int, *, keep: bool
    ) -> bool:
        """Write one; `path` is what it is called in errors, `place` where it goes, None if it is
        kept for its links only. Whether all that waited got their names then, because they were
        many enough."""
        landing, temporary = self._landing, self._landing.temporary()
        try:
            # Nobody reaches it where it is, and all of it is verified: it has its own mode at once.
            fd = os.open(temporary, NEW_FILE, mode, dir_fd=landing.staging())
            try:
                status = self._fill(fd, file)
                if keep:
                    landing.stash.keep(file.number, temporary)
            except OSError:
                self._unlink(temporary)
                raise
        except OSError as error:
            raise explain(error, "write", path) from error
        if place is None:
            self._unlink(temporary)
            return False
        place[0].users += 1
        self._ready.append(_Ready(file, temporary, *place, status))
        if len(self._ready) < MOST:
            return False
        self.name()
        return True

    def _fill(self, fd: int, file: FileWhole) -> os.stat_result | None:
        try:
            write_all(fd, file.data, 0)
            set_time(fd, file.entry.mtime_ns)
            return os.fstat(fd) if self._landing.keeping is not None else None
        finally:
            os.close(fd)

    def name(self) -> None:
        """Give all that wait their names. If that fails for one, those after it are discarded."""
        ready, self._ready = self._ready, deque()
        try:
            self._announce(ready)
            while ready:
                self._place(ready[0])
                ready.popleft().folder.release()
        finally:
            for each in ready:
                self._unlink(each.temporary)
                with suppress(FileSystemError):
                    each.folder.release()

    def take(self) -> list[tuple[FileWhole, str]]:
        """Those that were given names since the last call, with the paths that they got."""
        named, self._named = self._named, []
        return named

    def _announce(self, ready: deque[_Ready]) -> None:
        keeping = self._landing.keeping
        if keeping is not None and ready:
            keeping.journal.placed(
                *((each.file.number, each.status) for each in ready if each.status is not None)
            )

    def _place(self, each: _Ready) -> None:
        landing, folder = self._landing, each.folder
        try:
            landed = place(
                landing.overwrite, landing.staging(), each.temporary, folder.fd, each.name
            )
        except OSError as error:
            raise explain(error, "write", folder.path + each.name) from error
        self._named.append((each.file, folder.path + landed))

    def _unlink(self, temporary: str) -> None:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=self._landing.staging())
