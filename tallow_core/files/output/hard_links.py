"""Files whose content has further names to come: kept in the receiver's staging folder until the
transfer ends.

A hard link is made from there, where nobody else can put anything (0700), and only from the very
inode that was written and verified. Where the file system has no hard links, or no more of them,
the further name gets a copy.
"""

from __future__ import annotations

import errno
import os
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress

from tallow_core.files.extents import data_extents
from tallow_core.files.output.placement import set_facts

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_NO_LINKS = {
    errno.EPERM,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EACCES,
    errno.EXDEV,
}
_BLOCK = 1 << 20


class Stash:
    """The files, by their numbers in the offer. `staging` gives the folder's descriptor. Failures
    are `OSError`s."""

    def __init__(self, staging: Callable[[], int]) -> None:
        self._staging = staging
        self._prefix = secrets.token_hex(16)
        self._numbers = array("L")
        self._inodes = array("Q")

    def keep(self, number: int, temporary: str) -> None:
        """Keep the complete file `temporary` of the staging folder."""
        self.keep_placed(number, self._staging(), temporary)

    def keep_placed(self, number: int, folder: int, name: str) -> None:
        """Keep a file that lies in another folder."""
        kept = self._name(number)
        _link(folder, name, kept, self._staging())
        at = bisect_left(self._numbers, number)
        self._numbers.insert(at, number)
        self._inodes.insert(at, os.stat(kept, dir_fd=self._staging(), follow_symlinks=False).st_ino)

    def give(self, number: int) -> str | None:
        """A further name for a file, in the staging folder; None if it is not kept, because it
        never came whole."""
        at = bisect_left(self._numbers, number)
        if at == len(self._numbers) or self._numbers[at] != number:
            return None
        kept, name = self._name(number), secrets.token_hex(16)
        if os.stat(kept, dir_fd=self._staging(), follow_symlinks=False).st_ino != self._inodes[at]:
            raise OSError(errno.ESTALE, "it was replaced while it waited for its further names")
        _link(self._staging(), kept, name, self._staging())
        return name

    def clear(self) -> None:
        """Remove what is kept."""
        for number in self._numbers:
            with suppress(OSError):
                os.unlink(self._name(number), dir_fd=self._staging())
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
    source = os.open(name, _READ, dir_fd=folder)
    try:
        target = os.open(further, _WRITE, 0o600, dir_fd=staging)
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
        while at < end and (data := os.pread(source, min(_BLOCK, end - at), at)):
            at += os.pwrite(target, data, at)
    os.ftruncate(target, status.st_size)
    set_facts(target, status.st_mode & 0o777, status.st_mtime_ns)
