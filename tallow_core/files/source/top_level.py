"""The paths that the user named to be sent: each becomes a top-level name of the tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from tallow_core.errors import FileSystemError, UsageError
from tallow_core.files.os_faults import explain
from tallow_core.files.source.source_entry import Inode, inode_of
from tallow_core.files.source.wire_names import wire_name
from tallow_core.protocol.transfer.path_names import check_path, fold
from tallow_core.text import printable


class TopLevel(NamedTuple):
    """One path that the user named. A link is followed."""

    path: str
    directory: bool
    inode: Inode


def top_levels(paths: Sequence[str]) -> dict[str, TopLevel]:
    """Look at each path, and return them by the names under which they are sent, in canonical
    order.

    A path that does not exist, or is neither file nor folder, is a `FileSystemError`; two paths
    with one name, the root of the file system, or a name that may not be sent is a `UsageError`.
    """
    found: dict[str, tuple[str, TopLevel]] = {}
    for path in paths:
        top = _look(path)
        name = wire_name(_name(path))
        if reason := check_path((name,)):
            raise UsageError(f"{printable(path)!r} {reason}: rename it, then send it")
        if (other := found.get(fold(name))) is not None:
            raise UsageError(
                f"{printable(other[1].path)!r} and {printable(path)!r} would arrive under one"
                " name: send them one by one"
            )
        found[fold(name)] = (name, top)
    return dict(found[key] for key in sorted(found))


def _name(path: str) -> str:
    name = os.path.basename(path.rstrip(os.sep))
    if name in {"", os.curdir, os.pardir}:
        name = os.path.basename(os.path.realpath(path))
    if not name:
        raise UsageError("the root of the file system cannot be sent: name the folders in it")
    return name


def _look(path: str) -> TopLevel:
    try:
        status = os.stat(path)
    except OSError as error:
        raise explain(error, "send", path) from error
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise FileSystemError(
            f"cannot send {printable(path)!r}: it is neither a file nor a folder; send what it"
            " yields through '-'"
        )
    return TopLevel(path, stat.S_ISDIR(status.st_mode), inode_of(status))
