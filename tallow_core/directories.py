"""Where this user's files lie (XDG base directory specification, or what the platform has)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Directories(NamedTuple):
    """The directories are not made here: a writer calls `private_files.ensure_private` first."""

    config: Path
    state: Path
    data: Path
    runtime: Path


def user_directories(environ: Mapping[str, str] | None = None) -> Directories:
    """The directories of the platform, `XDG_*` respected; `runtime` follows `environ` (default: the
    process's)."""
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("tallow", appauthor=False)
    runtime = _runtime_directory(os.environ if environ is None else environ)
    return Directories(dirs.user_config_path, dirs.user_state_path, dirs.user_data_path, runtime)


def _runtime_directory(environ: Mapping[str, str]) -> Path:
    session = environ.get("XDG_RUNTIME_DIR", "")
    # The specification says to ignore a relative path; it would also depend on the working
    # directory.
    if os.path.isabs(session):
        return Path(session, "tallow")
    from tempfile import gettempdir

    return Path(gettempdir(), f"tallow-{os.getuid()}" if hasattr(os, "getuid") else "tallow")
