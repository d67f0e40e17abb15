"""Errors of the operating system about files, in words."""

from __future__ import annotations

import errno

from tallow_core.errors import FileSystemError
from tallow_core.text import printable

_CAUSES = {
    errno.ENOSPC: "the disk is full; make room there, or choose another folder",
    errno.EDQUOT: "your disk quota is used up; make room there, or choose another folder",
    errno.EFBIG: "the file is larger than this file system takes; choose another folder",
    errno.EACCES: "permission is denied; check who may use it, or choose another one",
    errno.EPERM: "the system does not permit it; check who may use it, or choose another one",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose another one",
    errno.ENOENT: "it is not there; check the name",
    errno.EEXIST: "something else of that name is there; move it away, or choose another folder",
    errno.EISDIR: "a folder of that name is there; move it away, or choose another folder",
    errno.ENOTDIR: (
        "something that is no folder is in the way; move it away, or choose another folder"
    ),
    errno.ELOOP: (
        "a symbolic link is in the way, and links are not followed; move it away, or choose"
        " another folder"
    ),
    errno.EXDEV: "it is on another file system than the rest; receive into that folder itself",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}


class ChangedError(FileSystemError):
    """A source is not as it was when it was offered."""


def explain(error: OSError, action: str, path: str) -> FileSystemError:
    """The error for people: `action` is what could not be done ("read", "write"), `path` is raw."""
    cause = (
        _CAUSES.get(error.errno or 0)
        or f"{error.strerror or error}; try again, or choose another folder"
    )
    return FileSystemError(f"cannot {action} {printable(path)!r}: {cause}")
