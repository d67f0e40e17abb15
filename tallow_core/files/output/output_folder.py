"""An open folder of the output, and the symbolic links that wait until it is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from tallow_core.files.os_faults import explain
from tallow_core.files.output.placement import set_facts
from tallow_core.files.spool import Spool

_LINK = Struct(">qIH")


class PendingLink(NamedTuple):
    """A symbolic link that is made when its folder is left; `number` is its entry's in the
    offer."""

    name: str
    target: str
    mtime_ns: int
    number: int


class OutputFolder:
    """`path` is relative to the output and ends with `/`, or is empty. `mode` is set at the end;
    None: the folder existed before and keeps its mode and time.

    `users` counts what needs the descriptor: the stack of the tree, and each file on its way here.
    """

    __slots__ = ("_links", "fd", "mode", "mtime_ns", "path", "users")

    def __init__(self, fd: int, path: str, mode: int | None, mtime_ns: int) -> None:
        self.fd = fd
        self.path = path
        self.mode = mode
        self.mtime_ns = mtime_ns
        self.users = 1
        self._links: Spool | None = None

    def add_link(self, link: PendingLink) -> None:
        """Keep a link until `take_links`."""
        if self._links is None:
            self._links = Spool()
        name = link.name.encode()
        head = _LINK.pack(link.mtime_ns, link.number, len(name))
        self._links.append(head + name + link.target.encode())

    def take_links(self) -> Iterator[PendingLink]:
        """The links, which are forgotten."""
        links, self._links = self._links, None
        if links is None:
            return
        with links:
            for item in links:
                mtime_ns, number, length = _LINK.unpack_from(item)
                end = _LINK.size + length
                yield PendingLink(
                    item[_LINK.size : end].decode(), item[end:].decode(), mtime_ns, number
                )

    def drop_links(self) -> None:
        """Forget the links."""
        if self._links is not None:
            self._links.close()
            self._links = None

    def release(self) -> None:
        """Give up one use. The last one sets mode and time, and closes the descriptor; raises
        `FileSystemError`."""
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


class Place(NamedTuple):
    """A name in an open folder of the output."""

    folder: OutputFolder
    name: str

    @property
    def path(self) -> str:
        """Relative to the output (raw: make it printable to show it)."""
        return self.folder.path + self.name
