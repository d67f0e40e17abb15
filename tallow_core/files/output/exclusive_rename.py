"""Moving a file to a name that must be free.

`rename(2)` replaces what has the name. Linux has `renameat2` with RENAME_NOREPLACE, macOS
`renameatx_np` with RENAME_EXCL; where neither exists, or the file system does not know the flag, a
hard link (which never replaces) and an unlink do the same in two steps.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache

_Native = Callable[[int, bytes, int, bytes, int], int]

_SYMBOL, _FLAG = ("renameatx_np", 4) if sys.platform == "darwin" else ("renameat2", 1)
_CODEC, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_UNKNOWN_FLAG = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@cache
def _native() -> _Native | None:
    import ctypes  # slow to import, and needed for renaming only

    function = (
        getattr(ctypes.CDLL(None, use_errno=True), _SYMBOL, None) if os.name == "posix" else None
    )
    if function is not None:
        function.argtypes = (
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        )
        function.restype = ctypes.c_int
    return function


def rename_new(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Move `source` in the folder `source_fd` to `target` in `target_fd`, atomically; neither name
    is followed if it is a link.

    A `target` that exists, be it a dangling link, is a `FileExistsError`; every other failure is an
    `OSError` too.
    """
    native = _native()
    if native is None:
        _link(source_fd, source, target_fd, target)
        return
    if (
        native(
            source_fd,
            source.encode(_CODEC, _ERRORS),
            target_fd,
            target.encode(_CODEC, _ERRORS),
            _FLAG,
        )
        == 0
    ):
        return
    import ctypes

    number = ctypes.get_errno()
    if number in _UNKNOWN_FLAG:
        _link(source_fd, source, target_fd, target)
        return
    raise OSError(number, os.strerror(number), target)


def _link(source_fd: int, source: str, target_fd: int, target: str) -> None:
    os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    os.unlink(source, dir_fd=source_fd)
