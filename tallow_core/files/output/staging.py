"""The staging area: a private folder (0700) inside the output folder, so on the same file system,
in which every file, link and copy lies under a temporary name until it is complete.

There are two makes. `EphemeralStaging` is removed with its contents at the end. `ResumableStaging`
(resumable_staging.py) has a journal and can outlive the process, so that a later run goes on.
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tallow_core.files.output.placement import look
from tallow_core.private_files import FOLDER, PRIVATE_FILE, PRIVATE_FOLDER, WRITE_NEW
from tallow_core.protocol.transfer.path_names import STAGING_PREFIX


@dataclass(slots=True)
class StagedFile:
    """An open file in the staging area. `size` is the number of its bytes that an earlier run
    verified. `recorded` says that a later run can resume it."""

    fd: int
    name: str
    size: int = 0
    recorded: bool = False


class CreatedFolder(NamedTuple):
    """A folder of the output that was made under this name; `inode` None: it was about to be."""

    name: str
    inode: int | None


@dataclass(slots=True)
class Leftovers:
    """The parts of a transfer that an earlier run left and that are still valid, by entry
    numbers."""

    complete: bytearray = field(default_factory=bytearray)
    """1 for each entry, folders aside, that is complete."""
    complete_files: bytearray = field(default_factory=bytearray)
    """The same for files alone."""
    segments: dict[int, bytes] = field(default_factory=dict)
    """The hashes of the whole segments of partial files."""
    digest_size: int = 1
    segment_size: int = 0

    def is_complete(self, number: int) -> bool:
        """Whether an entry is complete. Folders never are."""
        return bool(self.complete) and bool(self.complete[number])

    def size(self, number: int) -> int:
        """The number of verified bytes of a partial file."""
        return len(self.segments.get(number, b"")) // self.digest_size * self.segment_size

    def sizes(self) -> Mapping[int, int]:
        """`size` of all partial files."""
        return {number: self.size(number) for number in self.segments}


class StagingArea(ABC):
    """The place where one transfer into a folder keeps incomplete files and records its state.

    `number` is always an entry's number in the offer. Failures to write are `OSError`s; failures of
    the journal are `FileSystemError`s. No link is followed: names are relative to `fd`.
    """

    def __init__(self) -> None:
        self._prefix, self._count = secrets.token_hex(12), 0
        self.leftovers = Leftovers()

    @property
    @abstractmethod
    def fd(self) -> int:
        """The descriptor of the folder, which may be made now."""

    def temporary_name(self) -> str:
        """A new name in it: 32 hex digits."""
        self._count += 1
        return f"{self._prefix}{self._count:08x}"

    def create(self, mode: int = PRIVATE_FILE) -> StagedFile:
        """Make an empty file."""
        name = self.temporary_name()
        return StagedFile(os.open(name, WRITE_NEW, mode, dir_fd=self.fd), name)

    def unlink(self, name: str) -> None:
        """Remove a file or link, if it is still there."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.fd)

    def status(self, name: str) -> os.stat_result:
        """The status of a file or link itself."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    @abstractmethod
    def open_file(self, number: int) -> StagedFile:
        """Open the file of an entry for writing: a new one, or the verified part that an earlier
        run left."""

    @abstractmethod
    def created_folder(self, number: int) -> CreatedFolder | None:
        """The folder that an earlier run made for an entry."""

    @abstractmethod
    def folder_intended(self, number: int, name: str) -> None:
        """Record that the folder of an entry is about to be made under this name."""

    @abstractmethod
    def folder_created(self, number: int, name: str, inode: int) -> None:
        """Record that the folder of an entry was made."""

    @abstractmethod
    def segment_written(self, number: int, file: StagedFile, index: int, digest: bytes) -> None:
        """Record the hash of the next segment of a file. The segment was written."""

    @abstractmethod
    def about_to_place(self, entries: Iterable[tuple[int, os.stat_result]]) -> None:
        """Record that these entries are about to get their names. Their content is complete and
        verified."""

    @abstractmethod
    def close(self) -> None:
        """End the writing. Idempotent."""


class EphemeralStaging(StagingArea):
    """A staging area that records nothing. Its folder in `root` is made when it is first needed,
    and removed by `close`."""

    def __init__(self, root: int) -> None:
        super().__init__()
        self._root = root
        self._name, self._fd = "", -1

    @property
    def fd(self) -> int:
        """The folder's descriptor."""
        if self._fd < 0:
            self._name, self._fd = make_staging(self._root)
        return self._fd

    def open_file(self, number: int) -> StagedFile:
        """Make a new file."""
        return self.create()

    def created_folder(self, number: int) -> None:
        """There was no earlier run."""

    def folder_intended(self, number: int, name: str) -> None:
        """Record nothing."""

    def folder_created(self, number: int, name: str, inode: int) -> None:
        """Record nothing."""

    def segment_written(self, number: int, file: StagedFile, index: int, digest: bytes) -> None:
        """Record nothing."""

    def about_to_place(self, entries: Iterable[tuple[int, os.stat_result]]) -> None:
        """Record nothing."""

    def close(self) -> None:
        """Remove the folder."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                remove_same(self._root, self._name, fd)
            finally:
                os.close(fd)


def make_staging(root: int) -> tuple[str, int]:
    """Make a staging folder in `root` under an unpredictable name; returns name and descriptor."""
    name = STAGING_PREFIX + secrets.token_hex(8)
    os.mkdir(name, PRIVATE_FOLDER, dir_fd=root)
    try:
        return name, os.open(name, FOLDER, dir_fd=root)
    except OSError:
        os.rmdir(name, dir_fd=root)
        raise


def remove_same(root: int, name: str, fd: int) -> None:
    """Remove the empty folder `name` of `root`, if it is the one that is open as `fd`. What cannot
    be removed stays."""
    mine, found = os.fstat(fd), look(root, name)
    if found is not None and os.path.samestat(found, mine):
        with suppress(OSError):
            os.rmdir(name, dir_fd=root)
