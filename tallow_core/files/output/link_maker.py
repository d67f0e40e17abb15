"""Symbolic and hard links on their way to the output: made in the staging area, then moved to their
names."""

from __future__ import annotations

import errno
import os

from tallow_core.files.os_faults import explain
from tallow_core.files.output.output_folder import OutputFolder, PendingLink, Place
from tallow_core.files.output.placement import Overwrite, place, set_link_time
from tallow_core.files.output.staging import StagingArea
from tallow_core.files.skipped import Skipped

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class LinkMaker:
    """`links` counts those that were made; what is left out is added to `skipped`."""

    def __init__(self, staging: StagingArea, overwrite: Overwrite, skipped: list[Skipped]) -> None:
        self._staging = staging
        self._overwrite = overwrite
        self._skipped = skipped
        self.links = 0

    def make_pending(self, folder: OutputFolder) -> None:
        """Make the symbolic links that wait in a folder; raises `FileSystemError`."""
        for link in folder.take_links():
            try:
                self._make(folder, link)
            except OSError as error:
                raise explain(error, "make the link", folder.path + link.name) from error

    def place(self, where: Place, temporary: str, number: int) -> None:
        """Move a link of the staging area to its name; raises `OSError` or `FileSystemError`."""
        try:
            self._staging.about_to_place([(number, self._staging.status(temporary))])
            place(self._overwrite, self._staging.fd, temporary, where.folder.fd, where.name)
            self.links += 1
        except FileExistsError:
            if self._overwrite is not Overwrite.NEVER:
                raise
            self._skipped.append(Skipped(where.path, "exists"))
        finally:
            # Still there if it was not placed, or replaced another name of the same file.
            self._staging.unlink(temporary)

    def _make(self, folder: OutputFolder, link: PendingLink) -> None:
        temporary = self._staging.temporary_name()
        try:
            os.symlink(link.target, temporary, dir_fd=self._staging.fd)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._skipped.append(Skipped(folder.path + link.name, "link"))
            return
        set_link_time(temporary, self._staging.fd, link.mtime_ns)
        self.place(Place(folder, link.name), temporary, link.number)
