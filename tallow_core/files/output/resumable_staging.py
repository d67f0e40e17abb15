"""The staging area of a transfer that can be resumed: the journal and the partial files outlive the
process.

The folder lies in the output folder, 0700, under an unpredictable name that is recorded in this
user's state directory only. It is removed when the transfer is complete, or failed in a way that
leaves nothing to go on with.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from tallow_core.files.output.journal import (
    JOURNAL_NAME,
    Journal,
    JournalState,
    JournalSubject,
    PartialFile,
    is_in_use,
)
from tallow_core.files.output.output_survey import Found, OutputSurvey, verified_segments
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.staging import (
    CreatedFolder,
    Leftovers,
    StagedFile,
    StagingArea,
    make_staging,
    remove_same,
)
from tallow_core.private_files import (
    FOLDER,
    FOLDER_NAMED,
    PRIVATE_FILE,
    READ,
    READ_WRITE,
    is_own,
    is_own_file,
)
from tallow_core.protocol.transfer.manifest_entry import (
    FILES,
    Entry,
)
from tallow_core.protocol.transfer.resumption import (
    MAX_PARTIAL_FILES,
)
from tallow_core.spi.hash import Hash


class ResumableStaging(StagingArea):
    """An open staging folder `name` in `root` with its journal.

    `close` keeps the folder. A run ends with `suspend` or `remove`.
    """

    def __init__(
        self, root: int, name: str, fd: int, journal: Journal, state: JournalState
    ) -> None:
        super().__init__()
        self.name = name
        self.journal = journal
        self._fd = fd
        self._state = state
        self._root = os.dup(root)

    @classmethod
    def make(cls, root: int, key: bytes, subject: JournalSubject) -> ResumableStaging:
        """Make the folder and its journal; raises an `OSError`."""
        name, fd = make_staging(root)
        return cls(root, name, fd, Journal.create(fd, key, subject), JournalState(0))

    @classmethod
    def reopen(
        cls, root: int, name: str, inode: int, key: bytes, subject: JournalSubject, entries: int
    ) -> ResumableStaging | None:
        """Open the folder that an earlier run left. Returns None if the folder is not the same one,
        or if another process uses it.

        A folder of this user whose journal is about something else is removed: its record is
        replaced now, so no run would find it again.
        """
        try:
            fd = os.open(name, FOLDER, dir_fd=root)
        except OSError:
            return None
        same = _is_same(fd, inode)
        found = Journal.reopen(fd, key, subject, entries) if same else None
        if found is None:
            if same and not is_in_use(fd):
                _remove(root, name, fd)
            os.close(fd)
            return None
        return cls(root, name, fd, *found)

    @property
    def fd(self) -> int:
        """The folder's descriptor."""
        return self._fd

    @property
    def inode(self) -> int:
        """The folder's inode number."""
        return os.fstat(self._fd).st_ino

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the journal has an entry that a later run can use."""
        return not self.journal.empty

    # -- what is recorded ------------------------------------------------------------------------

    def open_file(self, number: int) -> StagedFile:
        """Open a new file, or the verified part of the file that an earlier run left. Raises
        `OSError`, also if that part was replaced."""
        if number not in self.leftovers.segments:
            return self.create()
        partial = self._state.partial[number]
        fd = self._open_partial(partial)
        if fd is None:
            raise OSError(errno.ESTALE, "the part that was here was replaced")
        size = min(self.leftovers.size(number), os.fstat(fd).st_size)
        os.ftruncate(fd, size)
        return StagedFile(fd, partial.name, size, recorded=True)

    def created_folder(self, number: int) -> CreatedFolder | None:
        """The folder that an earlier run made for this entry, or None."""
        return self._state.folders.get(number)

    def folder_intended(self, number: int, name: str) -> None:
        """Record in the journal that a folder is about to be made."""
        self.journal.folder_intended(number, name)

    def folder_created(self, number: int, name: str, inode: int) -> None:
        """Record in the journal that a folder was made."""
        self.journal.folder_created(number, name, inode)

    def segment_written(self, number: int, file: StagedFile, index: int, digest: bytes) -> None:
        """Record the hash of a segment in the journal. Before the first segment of a file, record
        the file."""
        if not file.recorded:
            self.journal.file_begun(number, os.fstat(file.fd).st_ino, file.name)
            file.recorded = True
        self.journal.segment(number, index, digest)

    def about_to_place(self, entries: Iterable[tuple[int, os.stat_result]]) -> None:
        """Record in the journal, all at once, the entries that are about to get their names."""
        self.journal.placed(entries)

    # -- what an earlier run left ----------------------------------------------------------------

    def survey(
        self,
        entries: Iterable[Entry],
        overwrite: Overwrite,
        driver: type[Hash],
        segment_size: int,
        found: Found = lambda *_: None,
    ) -> None:
        """Set `leftovers` to the entries that are still as the journal says. Partial files are read
        once; every other entry costs one look.

        `found` is called with number, folder and name of each complete entry, folders aside.
        """
        left = self.leftovers = Leftovers(digest_size=driver.digest_size, segment_size=segment_size)
        self._sweep()
        view = OutputSurvey(self._root, self._state, overwrite, found)
        for number, entry in enumerate(entries):
            complete = view.is_complete(number, entry)
            left.complete.append(complete)
            left.complete_files.append(complete and entry.kind in FILES)
            partial = self._state.partial.get(number)
            if partial is not None and (complete or not self._reread(entry, partial, driver)):
                del self._state.partial[number]
            elif partial is not None:
                left.segments[number] = bytes(partial.segments)
        view.leave(0)

    def _reread(self, entry: Entry, partial: PartialFile, driver: type[Hash]) -> bool:
        """Whether at least one segment of the partial file verifies. The segments that do not are
        dropped from `partial`."""
        if entry.kind not in FILES or entry.size is None:
            return False
        if len(self.leftovers.segments) == MAX_PARTIAL_FILES:
            return False
        if (fd := self._open_partial(partial)) is None:
            return False
        left = self.leftovers
        try:
            count = verified_segments(fd, entry, partial.segments, driver, left.segment_size)
        finally:
            os.close(fd)
        del partial.segments[count * left.digest_size :]
        return bool(count)

    def _open_partial(self, partial: PartialFile) -> int | None:
        """Open a partial file to read and write. Returns None if it is not the same regular file of
        this user any more."""
        fd = -1
        try:
            fd = self._open_same(partial, READ)
            os.fchmod(fd, PRIVATE_FILE)  # it may have had its own mode already
            return self._open_same(partial, READ_WRITE)
        except OSError:
            return None
        finally:
            if fd >= 0:
                os.close(fd)

    def _open_same(self, partial: PartialFile, flags: int) -> int:
        fd = os.open(partial.name, flags, dir_fd=self._fd)
        status = os.fstat(fd)
        if is_own_file(status) and status.st_ino == partial.inode:
            return fd
        os.close(fd)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _sweep(self) -> None:
        """Remove every file in the folder except the journal and the partial files."""
        used = {JOURNAL_NAME, *(partial.name for partial in self._state.partial.values())}
        for name in os.listdir(self._fd):
            if name not in used:
                self.unlink(name)

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Keep everything. A later run, or `remove`, may still need it."""

    def suspend(self) -> None:
        """Close the folder, and leave it for a later run. Idempotent."""
        self.journal.close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            os.close(self._root)

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self._fd >= 0:
            _remove(self._root, self.name, self._fd)
        self.suspend()


def remove_leftover(output: str, name: str, inode: int) -> None:
    """Remove the staging folder `name` of the folder `output`, if it is still the one that was
    left."""
    with suppress(OSError):
        root = os.open(output, FOLDER_NAMED)
        try:
            fd = os.open(name, FOLDER, dir_fd=root)
            try:
                if _is_same(fd, inode):
                    _remove(root, name, fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)


def _is_same(fd: int, inode: int) -> bool:
    """Whether an open folder is this user's and has this inode."""
    status = os.fstat(fd)
    return status.st_ino == inode and is_own(status)


def _remove(root: int, name: str, fd: int) -> None:
    """Remove the staging folder `name`, open as `fd`, with its files. What cannot be removed
    stays."""
    with suppress(OSError):
        for entry in os.listdir(fd):
            with suppress(OSError):
                os.unlink(entry, dir_fd=fd)
    remove_same(root, name, fd)
