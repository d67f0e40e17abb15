"""The staging folder of a transfer that can be resumed: the journal and the partial file outlive
the process.

The folder lies in the output folder, 0700, under an unpredictable name that only this user's state
directory tells. It is gone when the transfer is complete, or failed in a way that leaves nothing to
go on with.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress

from tallow_core.files.output.journal import NAME, Facts, Journal, Partial, Past, in_use, is_ours
from tallow_core.files.output.placement import Overwrite, candidates, look
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import FILES, Entry, EntryKind
from tallow_core.protocol.transfer.path_names import STAGING_PREFIX
from tallow_core.protocol.transfer.resumption import MAX_PARTIAL_FILES
from tallow_core.secrets import equal
from tallow_core.spi.hash import Hash

_FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)
_PARTIAL = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)

_BLOCK = 1 << 20

Found = Callable[[int, int, str], None]


class Keeping:
    """An open staging folder `name` in `root` with its journal. `past`: what an earlier run left,
    after `survey` only what is true."""

    def __init__(self, root: int, name: str, fd: int, journal: Journal, past: Past) -> None:
        self.name = name
        self.fd = fd
        self.journal = journal
        self.past = past
        self.done = bytearray()
        """After `survey`: 1 for each entry, folders aside, that is there complete; `files` the same
        for files alone."""
        self.files = bytearray()
        self.begun: dict[int, bytes] = {}
        """After `survey`: the hashes of the segments that are here, by file."""
        self._digest_size, self._segment_size = 1, 0
        self._root = os.dup(root)

    @classmethod
    def create(cls, root: int, key: bytes, facts: Facts) -> Keeping:
        """Make the folder and its journal; raises an `OSError`."""
        name = STAGING_PREFIX + secrets.token_hex(8)
        os.mkdir(name, 0o700, dir_fd=root)
        try:
            fd = os.open(name, _FOLDER, dir_fd=root)
        except OSError:
            os.rmdir(name, dir_fd=root)
            raise
        return cls(root, name, fd, Journal.create(fd, key, facts), Past(0))

    @classmethod
    def reopen(
        cls, root: int, name: str, inode: int, key: bytes, facts: Facts, entries: int
    ) -> Keeping | None:
        """The folder that an earlier run left; None if it is not there as it was, or another
        process uses it.

        A folder of ours with a journal that says nothing of this transfer is removed: nobody will
        come back for it.
        """
        try:
            fd = os.open(name, _FOLDER, dir_fd=root)
        except OSError:
            return None
        status = os.fstat(fd)
        mine = status.st_ino == inode and (
            not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        )
        found = Journal.reopen(fd, key, facts, entries) if mine else None
        if found is None:
            if mine and not in_use(fd):
                remove_staging(root, name, fd)
            os.close(fd)
            return None
        return cls(root, name, fd, *found)

    @property
    def inode(self) -> int:
        """Of the folder."""
        return os.fstat(self.fd).st_ino

    @property
    def worth(self) -> bool:
        """Whether there is anything to go on with."""
        return not self.journal.empty

    def written(self, segments: bytes) -> int:
        """How many bytes these segments are."""
        return len(segments) // self._digest_size * self._segment_size

    # -- what is there ---------------------------------------------------------------------------

    def survey(
        self,
        entries: Iterable[Entry],
        overwrite: Overwrite,
        driver: type[Hash],
        segment_size: int,
        found: Found = lambda *_: None,
    ) -> None:
        """Find out what is still as the journal says. Reads partial files, once; the rest is a look
        at each entry.

        `found` is called with the number, folder and name of each entry, folders aside, that is
        there.
        """
        self._digest_size, self._segment_size = driver.digest_size, segment_size
        self._sweep()
        view = _Survey(self._root, self.past, overwrite, found)
        self.done, self.files = bytearray(), bytearray()
        for number, entry in enumerate(entries):
            self.done.append(view.there(number, entry))
            self.files.append(self.done[-1] and entry.kind in FILES)
            partial = self.past.partial.get(number)
            if partial is not None and (
                self.done[-1] or not self._reread(number, entry, partial, driver, segment_size)
            ):
                del self.past.partial[number]
        view.leave(0)

    def _reread(
        self, number: int, entry: Entry, partial: Partial, driver: type[Hash], segment_size: int
    ) -> bool:
        """Whether some of the file's segments are here; those that are not as they were are
        forgotten."""
        if entry.kind not in FILES or entry.size is None or len(self.begun) == MAX_PARTIAL_FILES:
            return False
        fd = self.open_partial(partial)
        if fd is None:
            return False
        try:
            size, good = driver.digest_size, 0
            most = min(len(partial.segments) // size, entry.size // segment_size)
            while good < most and self._same(
                fd, good, partial, driver, segment_size, sparse=entry.kind == EntryKind.SPARSE
            ):
                good += 1
            del partial.segments[good * size :]
        finally:
            os.close(fd)
        if good:
            self.begun[number] = bytes(partial.segments)
        return bool(good)

    def _same(
        self,
        fd: int,
        index: int,
        partial: Partial,
        driver: type[Hash],
        segment_size: int,
        *,
        sparse: bool,
    ) -> bool:
        expected = bytes(
            partial.segments[index * driver.digest_size : (index + 1) * driver.digest_size]
        )
        digest = _segment_hash(
            fd, index * segment_size, FileHash(driver, segment_size), sparse=sparse
        )
        return digest is not None and equal(digest, expected)

    def open_partial(self, partial: Partial) -> int | None:
        """Open what was written of a file, to read and write; None if it is not the regular file of
        ours that it was."""
        fd = -1
        try:
            fd = self._open(partial, _PARTIAL)
            os.fchmod(fd, 0o600)  # it may have had its own mode already
            return self._open(partial, _PARTIAL | os.O_RDWR)
        except OSError:
            return None
        finally:
            if fd >= 0:
                os.close(fd)

    def _open(self, partial: Partial, flags: int) -> int:
        fd = os.open(partial.name, flags, dir_fd=self.fd)
        status = os.fstat(fd)
        if is_ours(status) and status.st_ino == partial.inode:
            return fd
        os.close(fd)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _sweep(self) -> None:
        """Remove what is of no use any more."""
        used = {NAME, *(partial.name for partial in self.past.partial.values())}
        for name in os.listdir(self.fd):
            if name not in used:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.fd)

    # -- the end ---------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Leave it for a later run. Idempotent."""
        self.journal.close()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
            os.close(self._root)

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self.fd >= 0:
            remove_staging(self._root, self.name, self.fd)
        self.suspend()


def remove_staging(root: int, name: str, fd: int) -> None:
    """Remove the staging folder `name`, open as `fd`, of the folder `root`. What cannot be removed
    stays."""
    with suppress(OSError):
        for entry in os.listdir(fd):
            with suppress(OSError):
                os.unlink(entry, dir_fd=fd)
    mine, there = os.fstat(fd), look(root, name)
    if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
        with suppress(OSError):
            os.rmdir(name, dir_fd=root)


def expire(output: str, name: str, inode: int) -> None:
    """Remove a staging folder that nobody came back for, if it is still the one that was left."""
    with suppress(OSError):
        root = os.open(output, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            fd = os.open(name, _FOLDER, dir_fd=root)
            try:
                status = os.fstat(fd)
                if status.st_ino == inode and (
                    not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
                ):
                    remove_staging(root, name, fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)


def _segment_hash(fd: int, at: int, running: FileHash, *, sparse: bool) -> bytes | None:
    while (closed := running.closed()) is None:
        data = os.pread(fd, min(running.room, _BLOCK), at + running.size)
        if data:
            running.update(data)
        elif sparse:  # a hole at the end was never written
            running.zeros(running.room)
        else:
            return None
    return closed[1]


class _Survey:
    """A walk through the output along the entries; nothing is followed, nothing changed."""

    def __init__(self, root: int, past: Past, overwrite: Overwrite, found: Found) -> None:
        self._past = past
        self._found = found
        self._merging = overwrite is not Overwrite.RENAME
        self._device = os.fstat(root).st_dev
        self._open: list[int | None] = [os.dup(root)]

    def leave(self, depth: int) -> None:
        """Close the folders from this depth on."""
        while len(self._open) > depth:
            fd = self._open.pop()
            if fd is not None:
                os.close(fd)

    def there(self, number: int, entry: Entry) -> bool:
        """Whether an entry other than a folder is there as it was left. A folder is gone into, or
        forgotten."""
        self.leave(len(entry.components))
        folder = self._open[-1] if len(self._open) == len(entry.components) else None
        if entry.kind == EntryKind.DIRECTORY:
            self._open.append(
                None if folder is None else self._enter(number, entry.components[-1], folder)
            )
            return False
        return folder is not None and self._placed(number, entry.components[-1], folder)

    def _enter(self, number: int, name: str, folder: int) -> int | None:
        made = self._past.folders.get(number)
        if made is None and not self._merging:
            return None
        try:
            fd = os.open(name if made is None else made.name, _FOLDER, dir_fd=folder)
        except OSError:
            self._past.folders.pop(number, None)
            return None
        if made is None or _is_made(fd, made):
            return fd
        os.close(fd)
        del self._past.folders[number]
        return None

    def _placed(self, number: int, name: str, folder: int) -> bool:
        if (facts := self._past.placed(number)) is None:
            return False
        for candidate in candidates(name, directory=False):
            status = look(folder, candidate)
            if status is None:
                return False
            if (
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
            ) == facts and status.st_dev == self._device:
                self._found(number, folder, candidate)
                return True
        return False


def _is_made(fd: int, made: tuple[str, int | None]) -> bool:
    """Whether an open folder is the one that was made, or could be the one that was about to be:
    ours, private, empty."""
    status = os.fstat(fd)
    if made[1] is not None:
        return status.st_ino == made[1]
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return mine and stat.S_IMODE(status.st_mode) & 0o777 == 0o700 and not os.listdir(fd)
