"""Small files that came whole: written one by one, named together, so that one record in the
journal does for all of them."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.file_writer import write_all
from tallow_core.files.output.hard_links import HardLinks
from tallow_core.files.output.output_folder import OutputFolder, Place
from tallow_core.files.output.placement import Overwrite, place, set_time
from tallow_core.files.output.staging import StagingArea
from tallow_core.protocol.transfer.content_reader import (
    FileWhole,
)

MAX_WAITING_FILES = 64
"""The most files that wait for their names. The folders that they go into stay open so long."""


class _UnnamedFile(NamedTuple):
    """A complete file in the staging area, without its name yet."""

    file: FileWhole
    temporary: str
    folder: OutputFolder
    name: str
    status: os.stat_result


class SmallFiles:
    """The small files of one transfer, some of which wait for their names."""

    def __init__(self, staging: StagingArea, links: HardLinks, overwrite: Overwrite) -> None:
        self._staging = staging
        self._links = links
        self._overwrite = overwrite
        self._waiting: deque[_UnnamedFile] = deque()
        self._named: list[tuple[FileWhole, str]] = []

    def write(
        self, file: FileWhole, path: str, place: Place | None, mode: int, *, keep: bool
    ) -> bool:
        """Write one. `path` is what errors call it, `place` where it goes, None if it is kept for
        its hard links only.

        Returns whether all that waited got their names now, because they were many enough.
        """
        try:
            # Only this user reaches it here, and all of it is verified: it gets its own mode.
            staged = self._staging.create(mode)
            try:
                status = _fill(staged.fd, file)
                if keep:
                    self._links.keep(file.number, staged.name)
            except OSError:
                self._staging.unlink(staged.name)
                raise
        except OSError as error:
            raise explain(error, "write", path) from error
        if place is None:
            self._staging.unlink(staged.name)
            return False
        place.folder.users += 1
        self._waiting.append(_UnnamedFile(file, staged.name, *place, status))
        if len(self._waiting) < MAX_WAITING_FILES:
            return False
        self.name_all()
        return True

    def name_all(self) -> None:
        """Give all that wait their names. If that fails for one, those after it are discarded."""
        waiting, self._waiting = self._waiting, deque()
        try:
            if waiting:
                self._staging.about_to_place((each.file.number, each.status) for each in waiting)
            while waiting:
                self._place(waiting[0])
                waiting.popleft().folder.release()
        finally:
            for each in waiting:
                self._staging.unlink(each.temporary)
                with suppress(FileSystemError):
                    each.folder.release()

    def take_named(self) -> list[tuple[FileWhole, str]]:
        """Take the files that got their names since the last call, each with its path."""
        named, self._named = self._named, []
        return named

    def _place(self, each: _UnnamedFile) -> None:
        folder = each.folder
        try:
            name = place(self._overwrite, self._staging.fd, each.temporary, folder.fd, each.name)
        except OSError as error:
            raise explain(error, "write", folder.path + each.name) from error
        self._named.append((each.file, folder.path + name))


def _fill(fd: int, file: FileWhole) -> os.stat_result:
    """Write the content, set the time, close the file; returns its status."""
    try:
        write_all(fd, file.data, 0)
        set_time(fd, file.entry.mtime_ns)
        return os.fstat(fd)
    finally:
        os.close(fd)
