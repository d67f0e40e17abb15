"""Putting the layers together: a flag beats the environment, which beats the config file, which
beats the default."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from tallow_core.config.plugin_options import PREFIX, SECTION, PluginOptions, flags_in
from tallow_core.config.ranges import fault
from tallow_core.config.schema import SECTIONS, Names, OptionName, Settings, default_file
from tallow_core.config.toml_file import hints_of, read_file, settings_in
from tallow_core.directories import Directories, user_directories
from tallow_core.errors import ConfigError, UsageError
from tallow_core.registry.permissions import BLOCK_VARIABLE
from tallow_core.text import printable

_CHOOSE = "choose."
SET = "plugin.set"
"""What `--set` gave: texts of the form `KIND:NAME.KEY=VALUE`."""


def load_settings(
    config: str | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    option: OptionName = str,
) -> Settings:
    """Read the settings.

    `config` is what `--config` named. `flags` maps dotted names (`policy.require`) to values of the
    field's type (for a tuple also one string or a list), `choose.KIND` to the name of a driver, and
    `plugin.set` to settings of drivers; None stands for a flag that was not given.
    `option` says how a program calls the flag of a dotted name. Raises `ConfigError` for the file
    and the environment, `UsageError` for a flag.
    """
    directories = user_directories(environ)
    file = _config_file(config, environ, directories)
    values = settings_in(read_file(file), printable(str(file))) if file else {}
    origins = dict.fromkeys(values, printable(str(file)))
    driver_options = PluginOptions(
        cast("Any", values.pop(SECTION, {})),
        flags_in(cast("Any", flags.get(SET) or ()), option(SET)),
        {name: text for name, text in environ.items() if name.startswith(PREFIX)},
        printable(str(file)),
        file,
        option(SET),
    )
    chosen = {
        name.removeprefix(_CHOOSE): str(value)
        for name, value in flags.items()
        if name.startswith(_CHOOSE) and value is not None
    }
    others = {
        name: value for name, value in flags.items() if not name.startswith(_CHOOSE) and name != SET
    }
    for name, value in (*_from_environment(environ), *_from_flags(others, option)):
        if name == "policy.profile" and values.get(name, value[0]) not in ("default", value[0]):
            raise ConfigError(
                f'{printable(str(file))} sets `[policy] profile = "{values[name]}"`, which a flag'
                " cannot change"
            ).then("leave out the profile")
        values[name], origins[name] = value
    if blocked := _blocked_by_environment(environ):
        in_file, origin = (
            cast("Names", values.get("plugins.block", ())),
            f"environment {BLOCK_VARIABLE}",
        )
        values["plugins.block"] = (*in_file, *blocked)
        origins["plugins.block"] = f"{origins['plugins.block']} and {origin}" if in_file else origin
    sections = {name: _section(name, section, values) for name, section in SECTIONS.items()}
    kept = MappingProxyType(origins)
    return Settings(
        **sections,
        directories=directories,
        chosen=MappingProxyType(chosen),
        driver_options=driver_options,
        file=file,
        origins=kept,
        option=option,
    )


def _section(name: str, section: type[Any], values: Mapping[str, object]) -> Any:
    prefix = f"{name}."
    return section(
        **{
            key.removeprefix(prefix): value
            for key, value in values.items()
            if key.startswith(prefix)
        }
    )


def _config_file(
    config: str | None, environ: Mapping[str, str], directories: Directories
) -> Path | None:
    named = config if config is not None else environ.get("TALLOW_CONFIG") or None
    if named is not None:
        return Path(named)
    default = default_file(directories)
    return default if default.exists() else None


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, tuple[object, str]]]:
    if urls := _words(environ, "TALLOW_RELAY"):
        yield "relay.urls", (urls, "environment TALLOW_RELAY")


def _blocked_by_environment(environ: Mapping[str, str]) -> Names:
    blocked = _words(environ, BLOCK_VARIABLE)
    if wrong := fault("plugins.block", blocked):
        raise ConfigError(f"the environment variable {BLOCK_VARIABLE} {wrong}")
    return blocked


def _words(environ: Mapping[str, str], variable: str) -> Names:
    """What a variable lists, separated by spaces or commas."""
    return tuple(word for word in re.split(r"[\s,]+", environ.get(variable, "")) if word)


def _from_flags(
    flags: Mapping[str, object], option: OptionName
) -> Iterable[tuple[str, tuple[object, str]]]:
    for name, given in flags.items():
        if given is None:
            continue
        hint = hints_of(name.partition(".")[0])[name]
        value = (
            ((given,) if isinstance(given, str) else tuple(given))
            if hint == Names and isinstance(given, Iterable)
            else given
        )
        if wrong := fault(name, value):
            raise UsageError(f"{option(name)} {wrong}")
        yield name, (value, "flag")
