"""Compares the output with a journal: a walk along the entries of the offer, with partial files
hashed again. No link is followed, and nothing is changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from tallow_core.files.output.journal import JournalState
from tallow_core.files.output.placement import Overwrite, candidates, look
from tallow_core.files.output.staging import CreatedFolder
from tallow_core.private_files import FOLDER, PRIVATE_FOLDER, is_own
from tallow_core.protocol.transfer.file_hash import (
    FileHash,
)
from tallow_core.protocol.transfer.manifest_entry import (
    Entry,
    EntryKind,
)
from tallow_core.secrets import equal
from tallow_core.spi.hash import Hash

_BLOCK_BYTES = 1 << 20

Found = Callable[[int, int, str], None]
"""Takes the number, folder (descriptor) and name of an entry."""


class OutputSurvey:
    """One walk below the folder `root`; call `is_complete` for every entry in order, then
    `leave(0)`. Folders that are not as they were are removed from `state`."""

    def __init__(self, root: int, state: JournalState, overwrite: Overwrite, found: Found) -> None:
        self._state = state
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

    def is_complete(self, number: int, entry: Entry) -> bool:
        """Whether an entry is in the output as it was left; False for a folder, which is entered,
        or forgotten."""
        self.leave(len(entry.components))
        folder = self._open[-1] if len(self._open) == len(entry.components) else None
        if entry.kind == EntryKind.DIRECTORY:
            self._open.append(
                None if folder is None else self._enter(number, entry.components[-1], folder)
            )
            return False
        return folder is not None and self._is_placed(number, entry.components[-1], folder)

    def _enter(self, number: int, name: str, folder: int) -> int | None:
        created = self._state.folders.get(number)
        if created is None and not self._merging:
            return None
        try:
            fd = os.open(name if created is None else created.name, FOLDER, dir_fd=folder)
        except OSError:
            self._state.folders.pop(number, None)
            return None
        if created is None or _is_created(fd, created):
            return fd
        os.close(fd)
        del self._state.folders[number]
        return None

    def _is_placed(self, number: int, name: str, folder: int) -> bool:
        if (facts := self._state.placed(number)) is None:
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


def _is_created(fd: int, created: CreatedFolder) -> bool:
    """Whether an open folder is the one that was made, or can be the one that was about to be: this
    user's, private, empty."""
    status = os.fstat(fd)
    if created.inode is not None:
        return status.st_ino == created.inode
    private = stat.S_IMODE(status.st_mode) & 0o777 == PRIVATE_FOLDER
    return is_own(status) and private and not os.listdir(fd)


def verified_segments(
    fd: int, entry: Entry, hashes: bytes | bytearray, driver: type[Hash], segment_size: int
) -> int:
    """The number of segments at the start of a partial file whose hash agrees with the journal."""
    size, good = driver.digest_size, 0
    most = min(len(hashes) // size, (entry.size or 0) // segment_size)
    while good < most:
        digest = _segment_hash(
            fd,
            good * segment_size,
            FileHash(driver, segment_size),
            sparse=entry.kind == EntryKind.SPARSE,
        )
        if digest is None or not equal(digest, bytes(hashes[good * size : (good + 1) * size])):
            break
        good += 1
    return good


def _segment_hash(fd: int, at: int, running: FileHash, *, sparse: bool) -> bytes | None:
    while (closed := running.closed()) is None:
        data = os.pread(fd, min(running.room, _BLOCK_BYTES), at + running.size)
        if data:
            running.update(data)
        elif sparse:  # a hole at the end was never written
            running.zeros(running.room)
        else:
            return None
    return closed[1]
