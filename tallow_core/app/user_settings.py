"""The user's settings, and the directories that belong to Tallow."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tallow_core.config.layers import load_settings
from tallow_core.config.schema import OptionName, Settings
from tallow_core.private_files import ensure_private


def user_settings(
    config: str | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    option: OptionName = str,
) -> Settings:
    """The user's settings, as `tallow` reads them (`tallow_core.config.layers.load_settings`).

    `environ` is the process's unless given. `option` says how messages name the flag of a dotted
    name. Raises `ConfigError` for the file and the environment, `UsageError` for a flag.
    """
    surroundings = os.environ if environ is None else environ
    return load_settings(config, flags or {}, surroundings, option)


def make_directories(settings: Settings) -> None:
    """Make the directories that belong to Tallow; raises `ConfigError`."""
    directories = settings.directories
    # A config directory that exists may be a link to where the user keeps such files.
    if not directories.config.exists():
        ensure_private(directories.config)
    ensure_private(directories.state)
    ensure_private(directories.data)
