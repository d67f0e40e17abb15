"""Files whose content has further names to come: kept in the staging area until the transfer ends.

A hard link is made from there, where no other user can put anything (0700), and only from the very
inode that was written and verified. Where the file system has no hard links, or no more of them,
the further name gets a copy.
"""

from __future__ import annotations

import errno
import os
import secrets
from array import array
from bisect import bisect_left

from tallow_core.files.extents import data_extents
from tallow_core.files.output.placement import set_facts
from tallow_core.files.output.staging import StagingArea
from tallow_core.private_files import PRIVATE_FILE, READ, WRITE_NEW

_NO_LINKS = {
    errno.EPERM,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EACCES,
    errno.EXDEV,
}
_BLOCK_BYTES = 1 << 20


class HardLinks:
    """The files that are kept, by their numbers in the offer. Failures are `OSError`s."""

    def __init__(self, staging: StagingArea) -> None:
        self._staging = staging
        self._prefix = secrets.token_hex(16)
        self._numbers = array("L")
        self._inodes = array("Q")

    def keep(self, number: int, temporary: str) -> None:
        """Keep the complete file `temporary` of the staging area."""
        self.keep_from(number, self._staging.fd, temporary)

    def keep_from(self, number: int, folder: int, name: str) -> None:
        """Keep the file `name` of another folder."""
        kept = self._name(number)
        _link(folder, name, kept, self._staging.fd)
        at = bisect_left(self._numbers, number)
        self._numbers.insert(at, number)
        self._inodes.insert(at, self._staging.status(kept).st_ino)

    def link(self, number: int) -> str | None:
        """Make a further name for a file, in the staging area, and return it; None if the file is
        not kept, because it never came whole."""
        at = bisect_left(self._numbers, number)
        if at == len(self._numbers) or self._numbers[at] != number:
            return None
        kept, name = self._name(number), self._staging.temporary_name()
        if self._staging.status(kept).st_ino != self._inodes[at]:
            raise OSError(errno.ESTALE, "it was replaced while it waited for its further names")
        _link(self._staging.fd, kept, name, self._staging.fd)
        return name

    def clear(self) -> None:
        """Remove what is kept."""
        for number in self._numbers:
            self._staging.unlink(self._name(number))
        self._numbers, self._inodes = array("L"), array("Q")

    def _name(self, number: int) -> str:
        return f"{self._prefix}-{number}"


def _link(folder: int, name: str, further: str, target: int) -> None:
    try:
        os.link(name, further, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(folder, name, further, target)


def _copy(folder: int, name: str, further: str, staging: int) -> None:
    source = os.open(name, READ, dir_fd=folder)
    try:
        target = os.open(further, WRITE_NEW, PRIVATE_FILE, dir_fd=staging)
        try:
            _copy_content(source, target)
        except OSError:
            os.unlink(further, dir_fd=staging)
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_content(source: int, target: int) -> None:
    status = os.fstat(source)
    for start, end in data_extents(source, status.st_size):
        at = start
        while at < end and (data := os.pread(source, min(_BLOCK_BYTES, end - at), at)):
            at += os.pwrite(target, data, at)
    os.ftruncate(target, status.st_size)
    set_facts(target, status.st_mode & 0o777, status.st_mtime_ns)
