"""Where received files land: nothing a sender does reaches outside the output folder, or through a link inside it.

Every name is checked again (`TreeOrder`), every folder is opened relative to the one above with O_NOFOLLOW and its descriptor is held
while files go into it. A file is written under a random name in one staging folder (0700, inside the output folder, so on the same
file system) and moved to its name only when it is complete. Directory modes and times are set last, deepest first, through the
descriptors. What is removed afterwards is only what was made here.

If something else is in the way of a folder when folders are merged (NEVER, ALWAYS), be it a file or a link, the transfer ends with a
`FileSystemError` that names it: leaving out a whole subtree in silence would be worse.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from types import TracebackType

from tallow_core.dataplane.faults import explain
from tallow_core.dataplane.rename import rename_new
from tallow_core.dataplane.sources import Skipped
from tallow_core.errors import ConfigError, FileSystemError, LocalProtocolError
from tallow_core.protocol.names import MAX_COMPONENT, STAGING_PREFIX, TreeOrder
from tallow_core.text import printable
from tallow_core.types import ReadBuffer

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_TEMPORARY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)
_NO_SUCH_FACT = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_TIMES = 2**63
_NUMBERS = 9999


class Overwrite(Enum):
    """What to do when a name is taken: take the next free one (`a (1).txt`), leave the file out, or replace it.

    With NEVER and ALWAYS a folder that is there already is merged into, and keeps its mode and time.
    """

    RENAME = "rename"
    NEVER = "never"
    ALWAYS = "always"


class _Folder:
    """An open folder of the output. `path` is relative to the output and ends with `/`, or is empty; `users` counts whom it is open
    for: the stack, and each file on its way into it."""

    __slots__ = ("fd", "mode", "mtime_ns", "path", "users")

    def __init__(self, fd: int, path: str, mode: int | None, mtime_ns: int) -> None:
        self.fd = fd
        self.path = path
        self.mode = mode
        self.mtime_ns = mtime_ns
        self.users = 1

    def release(self) -> None:
        """Leave the folder; the last one to leave sets its facts and closes it."""
        self.users -= 1
        if self.users:
            return
        try:
            if self.mode is not None:
                _set_facts(self.fd, self.mode, self.mtime_ns)
        except OSError as error:
            raise explain(error, "finish", self.path) from error
        finally:
            os.close(self.fd)


class Writer:
    """One file on its way. It is under its name only after `commit`."""

    __slots__ = ("_facts", "_fd", "_folder", "_landing", "_name", "_temporary")

    def __init__(self, landing: Landing, folder: _Folder, name: str, facts: tuple[int, int]) -> None:
        self._landing = landing
        self._folder = folder
        self._name = name
        self._facts = facts
        self._temporary = secrets.token_hex(16)
        self._fd = os.open(self._temporary, _TEMPORARY, 0o600, dir_fd=landing.staging())
        folder.users += 1

    def write(self, offset: int, data: ReadBuffer) -> None:
        """Write all of `data` at `offset`, in bytes from the start of the file."""
        try:
            written = os.pwrite(self._fd, data, offset)
            rest = memoryview(data)
            while written < len(rest):
                rest, offset = rest[written:], offset + written
                written = os.pwrite(self._fd, rest, offset)
        except OSError as error:
            raise explain(error, "write", self._folder.path + self._name) from error

    def commit(self) -> str:
        """Put the file under its name and return the path it got, relative to the output (raw: make it printable to show it).

        On a failure the file is discarded.
        """
        try:
            _set_facts(self._fd, *self._facts)
            self._close()  # before the rename: some network file systems report a full disk only here
            landed = self._place()
        except OSError as error:
            self.discard()
            raise explain(error, "write", self._folder.path + self._name) from error
        except FileSystemError:
            self.discard()
            raise
        self._finish()
        return self._folder.path + landed

    def discard(self) -> None:
        """Remove the unfinished file. Does nothing after `commit` or a second time."""
        if self not in self._landing.live:
            return
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._landing.staging())
        self._finish()

    def _place(self) -> str:
        staging, target = self._landing.staging(), self._folder.fd
        overwrite = self._landing.overwrite
        if overwrite is Overwrite.ALWAYS:
            os.replace(self._temporary, self._name, src_dir_fd=staging, dst_dir_fd=target)
            return self._name
        for name in _candidates(self._name, directory=False):
            try:
                rename_new(staging, self._temporary, target, name)
            except FileExistsError:
                if overwrite is Overwrite.NEVER:
                    raise
            else:
                return name
        raise _crowded(self._name)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _finish(self) -> None:
        self._landing.live.discard(self)
        self._folder.release()


class Landing:
    """The output folder of one transfer. Entries come in the canonical order of `TreeOrder`; anything else is a
    `RemoteProtocolError`. Files may be committed in any order. Not for several threads at once.

    Output that is missing is made, its parents too; a link given as output is followed, because the user named it. What is not
    possible on this file system is a `FileSystemError`.
    """

    def __init__(self, output: str, overwrite: Overwrite) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError("Receiving into files needs a system that opens them relative to a folder (Linux, macOS, BSD): use --stdout.")
        self.overwrite = overwrite
        self.skipped: list[Skipped] = []
        self.live: set[Writer] = set()
        self._order = TreeOrder()
        self._umask = _umask()
        self._staging: tuple[str, int] | None = None
        self._stack = [_Folder(_open_output(output), "", None, 0)]

    def __enter__(self) -> Landing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def enter(self, components: Sequence[str], mode: int, mtime_ns: int) -> None:
        """Make a folder, 0700 at first, or go into the one that is there. Its mode and time are set when the next entry leaves it."""
        parent, name = self._reach(components, is_directory=True)
        path = parent.path + name
        try:
            landed, new = self._make(parent.fd, name)
            fd = os.open(landed, _FOLDER | _NOFOLLOW, dir_fd=parent.fd)
        except OSError as error:
            raise explain(error, "make the folder", path) from error
        self._stack.append(_Folder(fd, f"{parent.path}{landed}/", self._permitted(mode) if new else None, mtime_ns))

    def begin(self, components: Sequence[str], mode: int, mtime_ns: int) -> Writer | None:
        """Start a file, 0600 under a random name for now; None if it is left out, because of NEVER and a name that is taken."""
        folder, name = self._reach(components, is_directory=False)
        path = folder.path + name
        if self.overwrite is not Overwrite.RENAME and (there := _look(folder.fd, name)) is not None:
            if self.overwrite is Overwrite.NEVER:
                self.skipped.append(Skipped(path, "exists"))
                return None
            if stat.S_ISDIR(there.st_mode):
                raise explain(IsADirectoryError(errno.EISDIR, ""), "write", path)
        try:
            writer = Writer(self, folder, name, (self._permitted(mode), mtime_ns))
        except OSError as error:
            raise explain(error, "write", path) from error
        self.live.add(writer)
        return writer

    def staging(self) -> int:
        """Return the descriptor of the staging folder, which is made when it is first needed (else an `OSError`)."""
        if self._staging is None:
            name, root = STAGING_PREFIX + secrets.token_hex(8), self._stack[0].fd
            os.mkdir(name, 0o700, dir_fd=root)
            try:
                self._staging = name, os.open(name, _FOLDER | _NOFOLLOW, dir_fd=root)
            except OSError:
                os.rmdir(name, dir_fd=root)
                raise
        return self._staging[1]

    def close(self) -> None:
        """Discard what was not committed, set the facts of the folders that are still open, and remove the staging folder.

        All of it is tried, whatever fails. Idempotent.
        """
        with ExitStack() as last_to_first:
            for folder in self._stack[:1]:
                last_to_first.callback(folder.release)
                last_to_first.callback(self._remove_staging, folder.fd)
            for folder in self._stack[1:]:
                last_to_first.callback(folder.release)
            for writer in self.live:
                last_to_first.callback(writer.discard)
            self._stack = []

    def abort(self) -> None:
        """As `close`, for when something has failed already: what fails here is not reported."""
        with suppress(FileSystemError):
            self.close()

    def _permitted(self, mode: int) -> int:
        return mode & 0o777 & ~self._umask

    def _reach(self, components: Sequence[str], *, is_directory: bool) -> tuple[_Folder, str]:
        """Check the entry, leave the folders that it does not lie in, and return the one that it does, and its name."""
        self._order.place(components, is_directory)
        while len(self._stack) > len(components):
            self._stack.pop().release()
        if len(self._stack) < len(components):
            raise LocalProtocolError("Landing: closed, or going on below a folder that could not be made.")
        return self._stack[-1], components[-1]

    def _make(self, parent: int, name: str) -> tuple[str, bool]:
        """Make a folder and return the name it got, and whether it is new."""
        for candidate in _candidates(name, directory=True):
            try:
                os.mkdir(candidate, 0o700, dir_fd=parent)
            except FileExistsError:
                if self.overwrite is not Overwrite.RENAME:
                    return candidate, False
            else:
                return candidate, True
        raise _crowded(name)

    def _remove_staging(self, root: int) -> None:
        if self._staging is None:
            return
        (name, fd), self._staging = self._staging, None
        mine, there = os.fstat(fd), _look(root, name)
        os.close(fd)
        if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            with suppress(OSError):
                os.rmdir(name, dir_fd=root)


def _open_output(output: str) -> int:
    try:
        os.makedirs(output, exist_ok=True)
        return os.open(output, _FOLDER)
    except FileExistsError as error:
        raise explain(NotADirectoryError(errno.ENOTDIR, ""), "receive into", output) from error
    except OSError as error:
        raise explain(error, "receive into", output) from error


def _umask() -> int:
    """Read the umask, which can only be read by setting it: for an instant to a strict one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_facts(fd: int, mode: int, mtime_ns: int) -> None:
    """Set mode and time, where the file system has them: the contents matter more."""
    time = max(-_TIMES, min(mtime_ns, _TIMES - 1))
    try:
        os.fchmod(fd, mode)
        os.utime(fd, ns=(time, time))
    except OSError as error:
        if error.errno not in _NO_SUCH_FACT:
            raise


def _look(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _candidates(name: str, *, directory: bool) -> Iterator[str]:
    """Yield `name`, then it with (1), (2), ... before the extension of a file, short enough for a file system."""
    yield name
    stem, suffix = (name, "") if directory else os.path.splitext(name)
    if len(suffix) > 32:
        stem, suffix = name, ""
    for number in range(1, _NUMBERS + 1):
        end = f" ({number}){suffix}"
        yield stem.encode()[: MAX_COMPONENT - len(end.encode())].decode(errors="ignore") + end


def _crowded(name: str) -> FileSystemError:
    return FileSystemError(f"{printable(name)!r} is there {_NUMBERS} times already: choose another folder.")
