"""Where received files go: nothing a sender does reaches outside the output folder, or through a
link inside it.

Every name is checked again (`TreeOrder`), every folder is opened relative to the one above with
O_NOFOLLOW and its descriptor is held while files go into it. A file is written under a random name
in one staging folder (0700, inside the output folder, so on the same file system) and moved to its
name only when it is complete. The symbolic links of a folder are made when all else in it has been,
in the staging folder too. Directory modes and times are set last, deepest first, through the
descriptors. What is removed afterwards is only what was made here.

If something else is in the way of a folder when folders are merged (NEVER, ALWAYS), be it a file or
a link, the transfer ends with a `FileSystemError` that names it: leaving out a whole subtree
without an error would be worse.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType

from tallow_core.errors import ConfigError, FileSystemError, LocalProtocolError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.file_writer import FileTarget, FileWriter
from tallow_core.files.output.hard_links import HardLinks
from tallow_core.files.output.link_maker import LinkMaker
from tallow_core.files.output.output_folder import OutputFolder, PendingLink, Place
from tallow_core.files.output.placement import Overwrite, look, make_folder
from tallow_core.files.output.small_files import SmallFiles
from tallow_core.files.output.staging import EphemeralStaging, StagingArea
from tallow_core.files.skipped import Reason, Skipped
from tallow_core.private_files import FOLDER, FOLDER_NAMED, PRIVATE_FOLDER
from tallow_core.protocol.transfer.content_reader import (
    FileWhole,
)
from tallow_core.protocol.transfer.path_names import TreeOrder, check_target


class OutputTree:
    """The output folder of one transfer. Entries come in the canonical order of `TreeOrder`;
    anything else is a `RemoteProtocolError`. Files may be committed in any order. Not for several
    threads at once.

    Output that is missing is made, its parents too; a link given as output is followed, because the
    user named it. What is not possible on this file system is a `FileSystemError`.
    """

    def __init__(self, output: str, overwrite: Overwrite) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(
                "receiving into files needs a system that opens them relative to a folder (Linux,"
                " macOS, BSD)"
            ).then("use standard output")
        self.overwrite = overwrite
        self.skipped: list[Skipped] = []
        self._order = TreeOrder()
        self._umask = _umask()
        self._unfinished: set[FileWriter] = set()
        self._root = OutputFolder(_open_output(output), "", None, 0)
        self._stack = [self._root]
        self.stage_in(EphemeralStaging(self._root.fd))

    def stage_in(self, staging: StagingArea) -> None:
        """Use this staging area, not one that is removed at the end; to be called before the first
        entry."""
        self.staging = staging
        self.hard_links = HardLinks(staging)
        self._links = LinkMaker(staging, self.overwrite, self.skipped)
        self._small_files = SmallFiles(staging, self.hard_links, self.overwrite)

    @property
    def root(self) -> int:
        """The descriptor of the output folder."""
        return self._root.fd

    @property
    def links(self) -> int:
        """Symbolic and hard links that were made."""
        return self._links.links

    def __enter__(self) -> OutputTree:
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
        """Make a folder, 0700 at first, or enter the one that exists. Its mode and time are set
        when the next entry leaves it.

        `number`, here and below, is the entry's in the offer, by which the staging area knows it.
        """
        parent, name = self._reach(components, is_directory=True)
        try:
            used, fd, new = self._folder(parent.fd, name, number)
        except OSError as error:
            raise explain(error, "make the folder", parent.path + name) from error
        self._stack.append(
            OutputFolder(
                fd, f"{parent.path}{used}/", self._permitted(mode) if new else None, mtime_ns
            )
        )

    def _folder(self, parent: int, name: str, number: int) -> tuple[str, int, bool]:
        """The name and descriptor of a folder, and whether this transfer made it, be it in an
        earlier run."""
        staging = self.staging
        created = staging.created_folder(number)
        if created is not None:
            fd, used, new = os.open(created.name, FOLDER, dir_fd=parent), created.name, True
        else:
            used, new = make_folder(
                self.overwrite, parent, name, lambda each: staging.folder_intended(number, each)
            )
            fd = os.open(used, FOLDER, dir_fd=parent)
        try:
            inode = os.fstat(fd).st_ino
            if created is not None:
                if created.inode not in (None, inode):
                    raise OSError(errno.ESTALE, "it was replaced meanwhile")
                os.fchmod(fd, PRIVATE_FOLDER)
            if new:
                staging.folder_created(number, used, inode)
        except BaseException:
            os.close(fd)
            raise
        return used, fd, new

    def begin(
        self,
        components: Sequence[str],
        mode: int,
        mtime_ns: int,
        *,
        number: int = 0,
        keep: bool = False,
        named: bool = True,
    ) -> FileWriter | None:
        """Start a file, 0600 under a random name for now; None if it is left out, because of NEVER
        and a name that is taken.

        `keep`: hard links to it are to come. The content of a file that is not `named` is taken for
        their sake alone.
        """
        path, place = self._place(components, named=named)
        if place is None and not keep:
            return None
        target = FileTarget(number, path, place, self._permitted(mode), mtime_ns, keep)
        try:
            writer = FileWriter(
                self.staging, self.hard_links, self.overwrite, target, self._unfinished.discard
            )
        except OSError as error:
            raise explain(error, "write", path) from error
        self._unfinished.add(writer)
        return writer

    def put(self, file: FileWhole, *, keep: bool = False, named: bool = True) -> bool:
        """Take a small file that came whole: `begin`, `write` and `commit` in one. It gets its name
        together with others; returns whether that has just happened, so that `settle` has something
        to return."""
        entry = file.entry
        path, place = self._place(entry.components, named=named)
        return (place is not None or keep) and self._small_files.write(
            file, path, place, self._permitted(entry.mode), keep=keep
        )

    def settle(self) -> list[tuple[FileWhole, str]]:
        """Give their names to all files that `put` took, and return those that got one since the
        last call, with the paths that they got (raw: make them printable to show them)."""
        self._small_files.name_all()
        return self._small_files.take_named()

    def hard_link(self, components: Sequence[str], first: int, *, number: int = 0) -> None:
        """Make a further name for the file that was kept under the number `first`; it is left out
        if there is none."""
        place = Place(*self._reach(components, is_directory=False))
        if self._is_taken(place):
            return
        try:
            temporary = self.hard_links.link(first)
            if temporary is None:
                self._skip(place.path, "unreadable")
            else:
                self._links.place(place, temporary, number)
        except OSError as error:
            raise explain(error, "link", place.path) from error

    def symlink(
        self, components: Sequence[str], target: str, mtime_ns: int, *, number: int = 0
    ) -> None:
        """Make a symbolic link when the folder that it lies in is left: until then nothing can lead
        through it."""
        if reason := check_target(components, target):
            raise LocalProtocolError(f"cannot make a link that {reason}")
        folder, name = self._reach(components, is_directory=False)
        folder.add_link(PendingLink(name, target, mtime_ns, number))

    def close(self) -> None:
        """Discard what was not committed, make the links and set the facts of the folders that are
        still open, close the staging area.

        All of it is tried, also after a failure. Idempotent.
        """
        self._close(self._links.make_pending)

    def abort(self) -> None:
        """Close after a failure. Further failures are not reported, and no more links are made."""
        with suppress(FileSystemError):
            self._close(OutputFolder.drop_links)

    def _close(self, finish: Callable[[OutputFolder], None]) -> None:
        with ExitStack() as last_to_first:
            if self._stack:
                last_to_first.callback(self._root.release)
                last_to_first.callback(self.staging.close)
                last_to_first.callback(self.hard_links.clear)
            for folder in self._stack[1:]:
                last_to_first.callback(folder.release)
                last_to_first.callback(finish, folder)
            for writer in self._unfinished:
                last_to_first.callback(writer.suspend)
            last_to_first.callback(self._small_files.name_all)
            self._stack = []

    def _permitted(self, mode: int) -> int:
        return mode & 0o777 & ~self._umask

    def _place(self, components: Sequence[str], *, named: bool) -> tuple[str, Place | None]:
        """The name of a file in errors, and its target. The target is None if the file is left out,
        or not wanted under this name."""
        if not named:
            return "/".join(components), None
        place = Place(*self._reach(components, is_directory=False))
        return place.path, None if self._is_taken(place) else place

    def _reach(self, components: Sequence[str], *, is_directory: bool) -> tuple[OutputFolder, str]:
        """Check the entry, leave the folders that it does not lie in, and return the one that it
        does, and its name."""
        self._order.place(components, is_directory)
        depth = len(components)
        while len(self._stack) > depth:
            folder = self._stack.pop()
            try:
                self._links.make_pending(folder)
            finally:
                folder.release()
        if len(self._stack) < depth:
            raise LocalProtocolError(
                "the output is closed, or the entry lies below a folder that could not be made"
            )
        return self._stack[-1], components[-1]

    def _is_taken(self, place: Place) -> bool:
        """Whether an entry is left out, which is noted, because its name is taken; what can never
        be replaced is a `FileSystemError`."""
        if self.overwrite is Overwrite.RENAME:
            return False
        if (found := look(place.folder.fd, place.name)) is None:
            return False
        if self.overwrite is Overwrite.NEVER:
            self._skip(place.path, "exists")
            return True
        if stat.S_ISDIR(found.st_mode):
            raise explain(IsADirectoryError(errno.EISDIR, ""), "write", place.path)
        return False

    def _skip(self, path: str, reason: Reason) -> None:
        self.skipped.append(Skipped(path, reason))


def _open_output(output: str) -> int:
    try:
        os.makedirs(output, exist_ok=True)
        return os.open(output, FOLDER_NAMED)
    except FileExistsError as error:
        raise explain(NotADirectoryError(errno.ENOTDIR, ""), "receive into", output) from error
    except OSError as error:
        raise explain(error, "receive into", output) from error


def _umask() -> int:
    """Read the umask, which can only be read by setting it: for an instant to a strict one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
