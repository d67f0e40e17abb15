"""Giving what is complete its name: what is done where the name is taken, and modes and times."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum

from tallow_core.errors import FileSystemError
from tallow_core.files.output.exclusive_rename import rename_new
from tallow_core.protocol.transfer.path_names import MAX_COMPONENT_BYTES
from tallow_core.text import printable

_NOT_SUPPORTED = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_END_NS = 2**63
_MAX_NUMBER = 9999


class Overwrite(Enum):
    """The rule for a name that is taken: take the next free one (`a (1).txt`), leave the entry out,
    or replace it. With NEVER and ALWAYS a folder that exists already is merged into, and keeps its
    mode and time."""

    RENAME = "rename"
    NEVER = "never"
    ALWAYS = "always"


def place(overwrite: Overwrite, staging: int, temporary: str, folder: int, name: str) -> str:
    """Move the complete file or link `temporary` of the folder `staging` to `name` in `folder`, and
    return the name it got. Nothing is followed.

    Raises an `OSError`, with NEVER a `FileExistsError` where the name is taken, or a
    `FileSystemError` where no name is left.
    """
    if overwrite is Overwrite.ALWAYS:
        os.replace(temporary, name, src_dir_fd=staging, dst_dir_fd=folder)
        return name
    for candidate in candidates(name, directory=False):
        try:
            rename_new(staging, temporary, folder, candidate)
        except FileExistsError:
            if overwrite is Overwrite.NEVER:
                raise
        else:
            return candidate
    raise _no_name_left(name)


def make_folder(
    overwrite: Overwrite, parent: int, name: str, intended: Callable[[str], None] = lambda _: None
) -> tuple[str, bool]:
    """Make a folder, 0700 for now, and return the name it got, and whether it is new: with NEVER
    and ALWAYS it may have existed.

    `intended` is called with each name that seems free, before it is tried.
    """
    for candidate in candidates(name, directory=True):
        if look(parent, candidate) is None:
            intended(candidate)
        try:
            os.mkdir(candidate, 0o700, dir_fd=parent)
        except FileExistsError:
            if overwrite is not Overwrite.RENAME:
                return candidate, False
        else:
            return candidate, True
    raise _no_name_left(name)


def set_facts(fd: int, mode: int, mtime_ns: int) -> None:
    """Set mode and time of an open file or folder, where the file system has them: the content
    matters more."""
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    set_time(fd, mtime_ns)


def set_time(fd: int, mtime_ns: int) -> None:
    """Set the time alone."""
    time = _in_range(mtime_ns)
    try:
        os.utime(fd, ns=(time, time))
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def set_link_time(name: str, folder: int, mtime_ns: int) -> None:
    """Set the time of a symbolic link itself, where the system can."""
    if os.utime in os.supports_follow_symlinks and os.utime in os.supports_dir_fd:
        with suppress(OSError):
            os.utime(name, ns=(_in_range(mtime_ns),) * 2, dir_fd=folder, follow_symlinks=False)


def look(folder: int, name: str) -> os.stat_result | None:
    """The status of `name`, a link not followed; None if it does not exist or cannot be seen."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def candidates(name: str, *, directory: bool) -> Iterator[str]:
    """Yield `name`, then it with (1), (2), ... before the extension of a file, short enough for a
    file system."""
    yield name
    stem, suffix = (name, "") if directory else os.path.splitext(name)
    if len(suffix) > 32:
        stem, suffix = name, ""
    for number in range(1, _MAX_NUMBER + 1):
        end = f" ({number}){suffix}"
        yield stem.encode()[: MAX_COMPONENT_BYTES - len(end.encode())].decode(errors="ignore") + end


def _no_name_left(name: str) -> FileSystemError:
    """The error for a name of which all numbered variants are taken."""
    return FileSystemError(
        f"{printable(name)!r} is there {_MAX_NUMBER} times already: choose another folder"
    )


def _in_range(mtime_ns: int) -> int:
    return mtime_ns if -_END_NS <= mtime_ns < _END_NS else max(-_END_NS, min(mtime_ns, _END_NS - 1))
