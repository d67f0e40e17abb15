"""One file, and the folder it goes into, on their way to the output."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.placement import place, set_facts
from tallow_core.files.spool import Spool
from tallow_core.types import ReadBuffer

if TYPE_CHECKING:
    from tallow_core.files.output.output_tree import Landing

NEW_FILE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class Folder:
    """An open folder of the output. `path` is relative to the output and ends with `/`, or is
    empty; `users` counts whom it is open for: the stack, and each file on its way into it."""

    __slots__ = ("fd", "links", "mode", "mtime_ns", "path", "users")

    def __init__(self, fd: int, path: str, mode: int | None, mtime_ns: int) -> None:
        self.fd = fd
        self.path = path
        self.mode = mode
        self.mtime_ns = mtime_ns
        self.users = 1
        self.links: Spool | None = None
        """Symbolic links to be made when the folder is left."""

    def release(self) -> None:
        """Leave the folder; the last one to leave sets its facts and closes it."""
        self.users -= 1
        if self.users:
            return
        try:
            if self.mode is not None:
                set_facts(self.fd, self.mode, self.mtime_ns)
        except OSError as error:
            raise explain(error, "finish", self.path) from error
        finally:
            os.close(self.fd)


class Writer:
    """One file on its way. It is under its name only after `commit`. `place`: where that is, None
    if it is kept for its links only."""

    __slots__ = (
        "_begun",
        "_end",
        "_facts",
        "_fd",
        "_keep",
        "_landing",
        "_number",
        "_path",
        "_place",
        "_temporary",
    )

    def __init__(
        self,
        landing: Landing,
        path: str,
        place: tuple[Folder, str] | None,
        facts: tuple[int, int],
        keep: int | None,
        number: int = 0,
    ) -> None:
        self._landing = landing
        self._path = path
        self._place = place
        self._facts = facts
        self._keep = keep
        self._number = number
        self._begun = self._goes_on()
        if not self._begun:
            self._end = 0
            self._temporary = landing.temporary()
            self._fd = os.open(self._temporary, NEW_FILE, 0o600, dir_fd=landing.staging())
        if place is not None:
            place[0].users += 1

    def _goes_on(self) -> bool:
        """Whether the file goes on from what an earlier run left of it."""
        keeping = self._landing.keeping
        if keeping is None or (segments := keeping.begun.get(self._number)) is None:
            return False
        partial = keeping.past.partial[self._number]
        fd = keeping.open_partial(partial)
        if fd is None:
            raise OSError(errno.ESTALE, "the part that was here was replaced")
        self._fd, self._temporary = fd, partial.name
        self._end = keeping.written(segments)
        os.ftruncate(fd, min(self._end, os.fstat(fd).st_size))
        self._end = min(self._end, os.fstat(fd).st_size)
        return True

    def segment(self, index: int, digest: bytes) -> None:
        """A whole segment was written, and has this hash: an interrupted transfer need not send it
        again."""
        keeping = self._landing.keeping
        if keeping is None:
            return
        if not self._begun:
            keeping.journal.begun(self._number, os.fstat(self._fd).st_ino, self._temporary)
            self._begun = True
        keeping.journal.segment(self._number, index, digest)

    def suspend(self) -> None:
        """Leave the unfinished file for a later run if any of it was verified; else as
        `discard`."""
        if not self._begun:
            self.discard()
            return
        with suppress(OSError):
            self._close()
        self._finish()

    def write(self, offset: int, data: ReadBuffer) -> None:
        """Write all of `data` at `offset`, in bytes from the start of the file."""
        try:
            write_all(self._fd, data, offset)
            self._end = max(self._end, offset + len(data))
        except OSError as error:
            raise explain(error, "write", self._path) from error

    def commit(self, size: int = 0) -> str:
        """Put the file under its name and return the path it got, relative to the output (raw: make
        it printable to show it).

        It has at least `size` bytes then: a hole at its end is not written. On a failure the file
        is discarded.
        """
        try:
            if size > self._end:
                os.ftruncate(self._fd, size)
            set_facts(self._fd, *self._facts)
            if self._landing.keeping is not None:
                self._landing.keeping.journal.placed((self._number, os.fstat(self._fd)))
            # before the rename: some network file systems report a full disk only here
            self._close()
            landed = self._land()
        except OSError as error:
            self.discard()
            raise explain(error, "write", self._path) from error
        except FileSystemError:
            self.discard()
            raise
        self._finish()
        return landed

    def discard(self) -> None:
        """Remove the unfinished file. Does nothing after `commit` or a second time."""
        if self not in self._landing.live:
            return
        with suppress(OSError):
            self._close()
        self._unlink()
        self._finish()

    def _land(self) -> str:
        landing = self._landing
        if self._keep is not None:
            landing.stash.keep(self._keep, self._temporary)
        if self._place is None:
            self._unlink()
            return ""
        folder, name = self._place
        return folder.path + place(
            landing.overwrite, landing.staging(), self._temporary, folder.fd, name
        )

    def _unlink(self) -> None:
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._landing.staging())

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _finish(self) -> None:
        self._landing.live.discard(self)
        if self._place is not None:
            self._place[0].release()


def write_all(fd: int, data: ReadBuffer, offset: int) -> None:
    """Write all of `data` at `offset`; raises an `OSError`."""
    written = os.pwrite(fd, data, offset)
    rest = memoryview(data)
    while written < len(rest):
        rest, offset = rest[written:], offset + written
        written = os.pwrite(fd, rest, offset)
