"""Where received files land: nothing a sender does reaches outside the output folder, or through a
link inside it.

Every name is checked again (`TreeOrder`), every folder is opened relative to the one above with
O_NOFOLLOW and its descriptor is held while files go into it. A file is written under a random name
in one staging folder (0700, inside the output folder, so on the same file system) and moved to its
name only when it is complete. The symbolic links of a folder are made when all else in it has been,
in the staging folder too. Directory modes and times are set last, deepest first, through the
descriptors. What is removed afterwards is only what was made here.

If something else is in the way of a folder when folders are merged (NEVER, ALWAYS), be it a file or
a link, the transfer ends with a `FileSystemError` that names it: leaving out a whole subtree in
silence would be worse.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from struct import Struct
from types import TracebackType

from tallow_core.errors import ConfigError, FileSystemError, LocalProtocolError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.file_writer import Folder, Writer
from tallow_core.files.output.hard_links import Stash
from tallow_core.files.output.placement import Overwrite, look, make_folder, place, set_link_time
from tallow_core.files.output.small_files import Batch
from tallow_core.files.output.staging import Keeping
from tallow_core.files.skipped import Reason, Skipped
from tallow_core.files.spool import Spool
from tallow_core.protocol.transfer.content_reader import FileWhole
from tallow_core.protocol.transfer.path_names import STAGING_PREFIX, TreeOrder, check_target

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_LINK = Struct(">qIH")


class Landing:
    """The output folder of one transfer. Entries come in the canonical order of `TreeOrder`;
    anything else is a `RemoteProtocolError`. Files may be committed in any order. Not for several
    threads at once.

    Output that is missing is made, its parents too; a link given as output is followed, because the
    user named it. What is not possible on this file system is a `FileSystemError`.
    """

    def __init__(self, output: str, overwrite: Overwrite) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(
                "Receiving into files needs a system that opens them relative to a folder (Linux,"
                " macOS, BSD): use --stdout."
            )
        self.overwrite = overwrite
        self.skipped: list[Skipped] = []
        self.live: set[Writer] = set()
        self.links = 0
        """Symbolic and hard links that were made."""
        self.stash = Stash(self.staging)
        self.keeping: Keeping | None = None
        """Where the transfer can be resumed: its staging folder and journal, which outlive this
        object. Set before the first entry."""
        self._batch = Batch(self)
        self._prefix, self._temporaries = secrets.token_hex(12), 0
        self._order = TreeOrder()
        self._umask = _umask()
        self._staging: tuple[str, int] | None = None
        self._root = Folder(_open_output(output), "", None, 0)
        self._stack = [self._root]

    @property
    def root(self) -> int:
        """The descriptor of the output folder."""
        return self._root.fd

    def __enter__(self) -> Landing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def enter(
        self, components: Sequence[str], mode: int, mtime_ns: int, *, number: int = 0
    ) -> None:
        """Make a folder, 0700 at first, or go into the one that is there. Its mode and time are set
        when the next entry leaves it.

        `number`, here and below, is the entry's in the offer, by which the journal knows it.
        """
        parent, name = self._reach(components, is_directory=True)
        path = parent.path + name
        try:
            landed, fd, new = self._folder(parent.fd, name, number)
        except OSError as error:
            raise explain(error, "make the folder", path) from error
        self._stack.append(
            Folder(fd, f"{parent.path}{landed}/", self._permitted(mode) if new else None, mtime_ns)
        )

    def _folder(self, parent: int, name: str, number: int) -> tuple[str, int, bool]:
        """The name, descriptor and whether it is new of a folder that is made, or was by an earlier
        run."""
        keeping = self.keeping
        if keeping is not None and (made := keeping.past.folders.get(number)) is not None:
            fd = os.open(made.name, _FOLDER | _NOFOLLOW, dir_fd=parent)
            if made.inode not in (None, os.fstat(fd).st_ino):
                os.close(fd)
                raise OSError(errno.ESTALE, "it was replaced meanwhile")
            os.fchmod(fd, 0o700)
            landed, new = made.name, True
        elif keeping is None:
            landed, new = make_folder(self.overwrite, parent, name)
            fd = os.open(landed, _FOLDER | _NOFOLLOW, dir_fd=parent)
        else:
            journal = keeping.journal
            landed, new = make_folder(
                self.overwrite, parent, name, lambda candidate: journal.intend(number, candidate)
            )
            fd = os.open(landed, _FOLDER | _NOFOLLOW, dir_fd=parent)
        if keeping is not None and new:
            keeping.journal.made(number, landed, os.fstat(fd).st_ino)
        return landed, fd, new

    def begin(
        self,
        components: Sequence[str],
        mode: int,
        mtime_ns: int,
        *,
        number: int = 0,
        keep: int | None = None,
        named: bool = True,
    ) -> Writer | None:
        """Start a file, 0600 under a random name for now; None if it is left out, because of NEVER
        and a name that is taken.

        `keep`: its number, if hard links to it are to come. A file that is not `named` has its
        content taken for their sake alone.
        """
        path, where = self._where(components, named=named)
        if where is None and keep is None:
            return None
        try:
            writer = Writer(self, path, where, (self._permitted(mode), mtime_ns), keep, number)
        except OSError as error:
            raise explain(error, "write", path) from error
        self.live.add(writer)
        return writer

    def put(self, file: FileWhole, *, keep: bool = False, named: bool = True) -> bool:
        """Take a small file that came whole, as `begin` and all that follows. It gets its name
        together with others: whether that has just happened, so that `settle` has something to
        tell."""
        entry = file.entry
        path, where = self._where(entry.components, named=named)
        return (where is not None or keep) and self._batch.write(
            file, path, where, self._permitted(entry.mode), keep=keep
        )

    def settle(self) -> list[tuple[FileWhole, str]]:
        """Give their names to all files that `put` took, and return those that got one since the
        last call, with the paths that they got (raw: make them printable to show them)."""
        self._batch.name()
        return self._batch.take()

    def _where(
        self, components: Sequence[str], *, named: bool
    ) -> tuple[str, tuple[Folder, str] | None]:
        """What a file is called in errors, and where it goes; None if it is left out, or not wanted
        under this name."""
        if not named:
            return "/".join(components), None
        where = self._reach(components, is_directory=False)
        path = where[0].path + where[1]
        return path, None if self._is_taken(*where) else where

    def temporary(self) -> str:
        """A new name in the staging folder: 32 hex digits."""
        self._temporaries += 1
        return f"{self._prefix}{self._temporaries:08x}"

    def hard_link(self, components: Sequence[str], first: int, *, number: int = 0) -> None:
        """Make a further name for the file that was kept under the number `first`; it is left out
        if there is none."""
        folder, name = self._reach(components, is_directory=False)
        if self._is_taken(folder, name):
            return
        try:
            temporary = self.stash.give(first)
            if temporary is None:
                self._skip(folder.path + name, "unreadable")
            else:
                self._place_link(folder, name, temporary, number)
        except OSError as error:
            raise explain(error, "link", folder.path + name) from error

    def symlink(
        self, components: Sequence[str], target: str, mtime_ns: int, *, number: int = 0
    ) -> None:
        """Make a symbolic link when the folder that it lies in is left: until then nothing could
        lead through it."""
        if reason := check_target(components, target):
            raise LocalProtocolError(f"Landing: a link that {reason}.")
        folder, name = self._reach(components, is_directory=False)
        if folder.links is None:
            folder.links = Spool()
        encoded = name.encode()
        folder.links.append(_LINK.pack(mtime_ns, number, len(encoded)) + encoded + target.encode())

    def staging(self) -> int:
        """Return the descriptor of the staging folder, which is made when it is first needed (else
        an `OSError`)."""
        if self.keeping is not None:
            return self.keeping.fd
        if self._staging is None:
            name, root = STAGING_PREFIX + secrets.token_hex(8), self._root.fd
            os.mkdir(name, 0o700, dir_fd=root)
            try:
                self._staging = name, os.open(name, _FOLDER | _NOFOLLOW, dir_fd=root)
            except OSError:
                os.rmdir(name, dir_fd=root)
                raise
        return self._staging[1]

    def close(self) -> None:
        """Discard what was not committed, make the links and set the facts of the folders that are
        still open, remove the staging folder.

        All of it is tried, whatever fails. Idempotent.
        """
        self._close(self._make_links)

    def abort(self) -> None:
        """As `close`, for when something has failed already: what fails here is not reported, and
        no more links are made."""
        with suppress(FileSystemError):
            self._close(_drop_links)

    def _close(self, finish: Callable[[Folder], None]) -> None:
        with ExitStack() as last_to_first:
            if self._stack:
                last_to_first.callback(self._root.release)
                last_to_first.callback(self._remove_staging, self._root.fd)
                last_to_first.callback(self.stash.clear)
            for folder in self._stack[1:]:
                last_to_first.callback(folder.release)
                last_to_first.callback(finish, folder)
            for writer in self.live:
                last_to_first.callback(writer.discard if self.keeping is None else writer.suspend)
            last_to_first.callback(self._batch.name)
            self._stack = []

    def _permitted(self, mode: int) -> int:
        return mode & 0o777 & ~self._umask

    def _reach(self, components: Sequence[str], *, is_directory: bool) -> tuple[Folder, str]:
        """Check the entry, leave the folders that it does not lie in, and return the one that it
        does, and its name."""
        self._order.place(components, is_directory)
        depth = len(components)
        while len(self._stack) > depth:
            folder = self._stack.pop()
            try:
                self._make_links(folder)
            finally:
                folder.release()
        if len(self._stack) < depth:
            raise LocalProtocolError(
                "Landing: closed, or going on below a folder that could not be made."
            )
        return self._stack[-1], components[-1]

    def _is_taken(self, folder: Folder, name: str) -> bool:
        """Whether an entry is left out, which is noted, because its name is taken; what can never
        be replaced is a `FileSystemError`."""
        if self.overwrite is Overwrite.RENAME or (there := look(folder.fd, name)) is None:
            return False
        if self.overwrite is Overwrite.NEVER:
            self._skip(folder.path + name, "exists")
            return True
        if stat.S_ISDIR(there.st_mode):
            raise explain(IsADirectoryError(errno.EISDIR, ""), "write", folder.path + name)
        return False

    def _skip(self, path: str, reason: Reason) -> None:
        self.skipped.append(Skipped(path, reason))

    def _place_link(self, folder: Folder, name: str, temporary: str, number: int) -> None:
        staging = self.staging()
        try:
            if self.keeping is not None:
                self.keeping.journal.placed(
                    (number, os.stat(temporary, dir_fd=staging, follow_symlinks=False))
                )
            place(self.overwrite, staging, temporary, folder.fd, name)
            self.links += 1
        except FileExistsError:
            if self.overwrite is not Overwrite.NEVER:
                raise
            self._skip(folder.path + name, "exists")
        finally:
            with suppress(
                OSError
            ):  # it is gone, unless it was not placed, or replaced another name of the same file
                os.unlink(temporary, dir_fd=staging)

    def _make_links(self, folder: Folder) -> None:
        links, folder.links = folder.links, None
        if links is None:
            return
        with links:
            for item in links:
                mtime_ns, number, length = _LINK.unpack_from(item)
                name, target = (
                    item[_LINK.size : _LINK.size + length].decode(),
                    item[_LINK.size + length :].decode(),
                )
                try:
                    self._make_link(folder, name, target, mtime_ns, number)
                except OSError as error:
                    raise explain(error, "make the link", folder.path + name) from error

    def _make_link(
        self, folder: Folder, name: str, target: str, mtime_ns: int, number: int
    ) -> None:
        temporary, staging = self.temporary(), self.staging()
        try:
            os.symlink(target, temporary, dir_fd=staging)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._skip(folder.path + name, "link")
            return
        set_link_time(temporary, staging, mtime_ns)
        self._place_link(folder, name, temporary, number)

    def _remove_staging(self, root: int) -> None:
        if self._staging is None:
            return
        (name, fd), self._staging = self._staging, None
        mine, there = os.fstat(fd), look(root, name)
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


def _drop_links(folder: Folder) -> None:
    if folder.links is not None:
        folder.links.close()
        folder.links = None
