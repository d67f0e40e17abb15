"""Opening what a walk found, during the walk and again later, without being led astray.

A link named on the command line is followed, because the user named it. Inside a tree no link is,
unless the user asked for it: folders and files are opened one component at a time, relative to the
folder above, with O_NOFOLLOW. A link that is followed must still lead to the same file or folder
later.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from tallow_core.files.os_faults import explain
from tallow_core.files.source.opened_source import OpenedFile
from tallow_core.files.source.source_entry import Inode, SourceEntry, changed_error, inode_of
from tallow_core.files.source.top_level import TopLevel
from tallow_core.private_files import FOLDER_NAMED, NO_FOLLOW, READ_NAMED

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class TreeReader:
    """Opens files and folders by the paths they are sent under. Holds the folders on the way to the
    file before open, so it is fast in the order of the walk."""

    def __init__(self, tops: Mapping[str, TopLevel]) -> None:
        self._tops = tops
        self._names: dict[tuple[str, ...], str] = {}
        self._followed: dict[tuple[str, ...], Inode] = {}
        self._held: list[tuple[str, int]] = []
        self._held_path: tuple[str, ...] = ()

    # -- what the walk finds out, which is out of the ordinary -----------------------------------

    def forget(self) -> None:
        """Forget what an earlier walk found out."""
        self._names, self._followed = {}, {}

    def renamed(self, components: tuple[str, ...], disk: str) -> None:
        """The entry has another name on the disk than it is sent under."""
        self._names[components] = disk

    def follow(self, components: tuple[str, ...], inode: Inode) -> None:
        """Take note that the entry is a link and that its target is sent."""
        self._followed[components] = inode

    def is_followed(self, components: tuple[str, ...]) -> bool:
        """Whether the entry is a link whose target is sent."""
        return components in self._followed

    # -- opening ---------------------------------------------------------------------------------

    def open(self, source: SourceEntry) -> OpenedFile:
        """Open a file that the walk found; raises `FileSystemError`, a `ChangedError` if it is gone
        or lies behind a link now. Whether it is as it was is for its `check`."""
        try:
            return OpenedFile(self._open(source.components), source)
        except OSError as error:
            path = "/".join(source.components)
            raise (
                changed_error(path) if error.errno in _GONE else explain(error, "read", path)
            ) from error

    def open_child(self, components: tuple[str, ...], name: str, parent: int) -> int:
        """Open the file `name` (as on the disk) in the folder `parent`; raises an `OSError`."""
        flags = READ_NAMED if self.is_followed(components) else READ_NAMED | NO_FOLLOW
        return os.open(name, flags, dir_fd=parent)

    def open_folder(self, components: tuple[str, ...], name: str, parent: int) -> int:
        """Open the folder `name` in the folder `parent`; raises an `OSError` or `ChangedError`."""
        inode = self._followed.get(components)
        flags = FOLDER_NAMED if inode is not None else FOLDER_NAMED | NO_FOLLOW
        return _same(os.open(name, flags, dir_fd=parent), inode, "/".join(components))

    def open_top(self, name: str) -> int:
        """Open a top-level folder; raises an `OSError` or `ChangedError`."""
        top = self._tops[name]
        return _same(os.open(top.path, FOLDER_NAMED), top.inode, top.path)

    def close(self) -> None:
        """Close the folders that are held. Idempotent."""
        self._release(0)

    def _open(self, components: tuple[str, ...]) -> int:
        if len(components) == 1:
            return os.open(self._tops[components[0]].path, READ_NAMED)
        folder = self._reach(components[:-1])
        return self.open_child(components, self._on_disk(components), folder)

    def _reach(self, folders: tuple[str, ...]) -> int:
        """The descriptor of a folder; only what is not held from the file before is opened."""
        if folders == self._held_path:
            return self._held[-1][1]
        same = 0
        while same < min(len(folders), len(self._held)) and self._held[same][0] == folders[same]:
            same += 1
        self._release(same)
        for depth in range(same, len(folders)):
            path = folders[: depth + 1]
            fd = (
                self.open_folder(path, self._on_disk(path), self._held[-1][1])
                if self._held
                else self.open_top(path[0])
            )
            self._held.append((path[-1], fd))
        self._held_path = folders
        return self._held[-1][1]

    def _on_disk(self, components: tuple[str, ...]) -> str:
        return self._names.get(components, components[-1]) if self._names else components[-1]

    def _release(self, keep: int) -> None:
        self._held_path = ()
        while len(self._held) > keep:
            os.close(self._held.pop()[1])


def _same(fd: int, inode: Inode | None, path: str) -> int:
    """The descriptor, if it has this inode (None: any); else it is closed."""
    if inode is not None and inode_of(os.fstat(fd)) != inode:
        os.close(fd)
        raise changed_error(path)
    return fd
