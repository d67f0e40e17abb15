"""Files and directories for this user only: flags to open them with, who owns them, atomic
replacement.

What another user of the machine could have put there is never followed, waited for or believed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tallow_core.errors import ConfigError
from tallow_core.text import printable

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""A symbolic link is an error (ELOOP), not a way to another file."""
READ = os.O_RDONLY | NO_FOLLOW | _NONBLOCK | _CLOEXEC
"""Read what is there; a FIFO does not block."""
READ_WRITE = os.O_RDWR | NO_FOLLOW | _NONBLOCK | _CLOEXEC
WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | _CLOEXEC
"""Make a file, and fail if anything has that name."""
READ_WRITE_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | _CLOEXEC
READ_NAMED = os.O_RDONLY | _NONBLOCK | _CLOEXEC
"""Read a file that the user named: a link is followed."""
FOLDER_NAMED = os.O_RDONLY | _DIRECTORY | _CLOEXEC
"""A folder that the user named: a link is followed."""
FOLDER = FOLDER_NAMED | NO_FOLLOW

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes."""
_BUFFER = 1 << 18


def is_own(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user; true where the system has no users."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def is_own_file(status: os.stat_result) -> bool:
    """Whether an open file is regular, this user's, and has no other name."""
    return stat.S_ISREG(status.st_mode) and is_own(status) and status.st_nlink == 1


def is_open_to_others(status: os.stat_result) -> bool:
    """Whether group or others have any permission; false where the system has no such modes."""
    return os.name == "posix" and bool(status.st_mode & 0o077)


def ensure_private(path: Path, *, strict: bool = False) -> Path:
    """Make the directory `path` and its missing parents, mode 0700, and return it.

    One that exists must be a real directory (no link to one) and this user's; with `strict` it must
    also have no group or other permission: for places that other users of the machine could have
    prepared. Anything else is a `ConfigError`.
    """
    try:
        _make(path)
        status = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"the directory {printable(str(path))} cannot be made: {error.strerror}"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(
            f"{printable(str(path))} is no directory of its own (a file or a link): move it away"
            " and try again"
        )
    if not is_own(status):
        raise ConfigError(
            f"the directory {printable(str(path))} belongs to another user: remove it or choose"
            " another place"
        )
    if strict and is_open_to_others(status):
        raise ConfigError(
            f"the directory {printable(str(path))} is open to other users: make it private with"
            " chmod 700"
        )
    return path


def _make(path: Path) -> None:
    # Not makedirs: it gives the mode to the last directory only.
    if not os.path.lexists(path.parent):
        _make(path.parent)
    try:
        path.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        return


def replace_file(
    path: Path, parts: Iterable[bytes], *, mode: int = PRIVATE_FILE, sync: bool = True
) -> None:
    """Write `parts` to a file beside `path` and rename it to `path`: a reader sees the old file or
    the whole new one.

    `sync`: the data is on the disk before the rename, so that this holds after a power failure too.
    Raises `OSError`, or what `parts` raises, and leaves the old file and nothing else.
    """
    import secrets  # `--help` writes nothing

    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, WRITE_NEW, PRIVATE_FILE)
    try:
        with open(descriptor, "wb", buffering=_BUFFER) as file:
            for part in parts:
                file.write(part)
            file.flush()
            if mode != PRIVATE_FILE:
                os.chmod(temporary, mode)
            if sync:
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
