"""Settings of drivers: `[plugin."transport:ws"]` in the config file, the environment variable
TALLOW_PLUGIN_TRANSPORT_WS_PATH, and the flag `--set transport:ws.path=/x`.

They are kept as they are written until the driver is loaded: its `options` class has their names
and types. A flag beats the environment, which beats the file, which beats the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from tallow_core.errors import ConfigError, TallowError, UsageError
from tallow_core.plugin_settings import Secret
from tallow_core.private_files import is_open_to_others
from tallow_core.registry.kinds import KINDS, kind_named
from tallow_core.text import nearest, printable

SECTION = "plugin"
PREFIX = "TALLOW_PLUGIN_"
_FLAG = re.compile(r"([a-z]+:[a-z0-9][a-z0-9-]{0,31})\.([A-Za-z_]\w*)=(.*)", re.DOTALL)
_FILE = "_file"
"""`KEY_file` names a file that holds the secret `KEY`."""
MAX_SECRET_BYTES = 64 << 10
_EMPTY: Mapping[str, Any] = MappingProxyType({})


class ShownOption(NamedTuple):
    """One setting of a driver, as it may be shown: of a secret, whether it is set."""

    name: str
    value: object
    origin: str


class _Given(NamedTuple):
    """A value as the user gave it. `place` begins a sentence about it; `text` says that it is to be
    converted from text; `fails` is the error for a wrong one."""

    value: object
    origin: str
    place: str
    text: bool
    fails: type[TallowError]


class PluginOptions(NamedTuple):
    """What the user set for drivers, by `kind:name`. `where` is the config file's name, `path` the
    file, `flag` the name of the flag that gave `flags`."""

    tables: Mapping[str, Mapping[str, object]] = _EMPTY
    flags: Mapping[str, Mapping[str, str]] = _EMPTY
    environment: Mapping[str, str] = _EMPTY
    where: str = ""
    path: Path | None = None
    flag: str = "plugin.set"

    def named(self) -> dict[str, str]:
        """`kind:name` of every driver that the file or a flag names -> where."""
        return {**dict.fromkeys(self.tables, self.where), **dict.fromkeys(self.flags, self.flag)}

    def variables(self, driver: str) -> dict[str, str]:
        """Key -> variable, for the environment variables of one driver."""
        start = variable(driver, "")
        return {
            name[len(start) :].lower(): name for name in self.environment if name.startswith(start)
        }

    def of(self, kind: str, driver: type[Any]) -> Any:
        """The options of a driver class, None if it has none. Raises `ConfigError` or, for a flag,
        `UsageError`."""
        values, _ = self._read(f"{kind}:{driver.name}", driver.options)
        if driver.options is None:
            return None
        try:
            return driver.options(**values)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"the settings of {kind}:{driver.name} are refused:"
                f" {printable(' '.join(str(error).split()))}"
            ) from error

    def shown(self, kind: str, driver: type[Any]) -> list[ShownOption]:
        """All settings of a driver class, with their origins."""
        options = self.of(kind, driver)
        _, origins = self._read(f"{kind}:{driver.name}", driver.options)
        return [
            ShownOption(
                name,
                _state(getattr(options, name)) if _is_secret(hint) else getattr(options, name),
                origins.get(name, "default"),
            )
            for name, hint in _hints(driver.options).items()
        ]

    def _read(
        self, driver: str, options: type[Any] | None
    ) -> tuple[dict[str, object], dict[str, str]]:
        hints = _hints(options)
        values: dict[str, object] = {}
        origins: dict[str, str] = {}
        for key, given in self._given(driver, hints):
            values[key] = _converted(given, hints[key])
            origins[key] = given.origin
        return values, origins

    def _given(self, driver: str, hints: Mapping[str, Any]) -> Iterator[tuple[str, _Given]]:
        """Every value that is set, the weakest first."""
        section = f'[{SECTION}."{driver}"]'
        for key, value in self.tables.get(driver, {}).items():
            place = f"{self.where}: {section} {printable(key)}"
            given = _Given(value, self.where, place, text=False, fails=ConfigError)
            yield self._checked(key, given, hints, f"{self.where}: there is no {{}} in {section}")
        for key, name in self.variables(driver).items():
            place = f"the environment variable {name}"
            given = _Given(self.environment[name], f"environment {name}", place, True, ConfigError)
            yield self._checked(key, given, hints, f"{place} is of no setting")
        for key, text in self.flags.get(driver, {}).items():
            if key in hints and _is_secret(hints[key]):
                raise UsageError(_refusal(driver, key))
            place = f"{self.flag} {driver}.{key}"
            given = _Given(text, "flag", place, text=True, fails=UsageError)
            yield self._checked(key, given, hints, f"{self.flag}: {driver} has no setting {{}}")

    def _checked(
        self, key: str, given: _Given, hints: Mapping[str, Any], problem: str
    ) -> tuple[str, _Given]:
        """The value of a setting that the driver has, or the secret in the file that `KEY_file`
        names; `problem` says that there is no such setting."""
        secret = key.removesuffix(_FILE)
        if key in hints:
            if _is_secret(hints[key]) and not given.text:
                self._check_private(given)
            return key, given
        if key == secret or secret not in hints or not _is_secret(hints[secret]):
            near = nearest(key, hints) if hints else ": it has no settings"
            raise given.fails(f"{problem.format(printable(key))}{near}")
        folder = self.path.parent if self.path is not None and not given.text else Path()
        file = folder / os.path.expanduser(str(given.value))
        return secret, given._replace(value=_secret_in(file, given), text=True)

    def _check_private(self, given: _Given) -> None:
        """A secret in a config file that others can read is no secret."""
        if self.path is not None and is_open_to_others(os.stat(self.path)):
            raise given.fails(
                f"{given.place} is secret, and other users can read the file: run"
                f" `chmod 600 {self.where}`"
            )


def variable(driver: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{driver}_{key}".replace(":", "_").replace("-", "_").upper()


def tables_in(where: str, table: object) -> dict[str, Mapping[str, object]]:
    """The tables below `[plugin]`, by `kind:name`; raises `ConfigError`."""
    if not isinstance(table, dict):
        raise ConfigError(f'{where}: write the settings of a driver below [{SECTION}."KIND:NAME"]')
    for driver, settings in table.items():
        _check_driver(driver, f"{where}: [{SECTION}.{{}}]", ConfigError)
        if not isinstance(settings, dict):
            raise ConfigError(
                f'{where}: write [{SECTION}."{printable(driver)}"] and its settings below'
            )
    return table


def flags_in(texts: Iterable[str], flag: str) -> dict[str, dict[str, str]]:
    """`KIND:NAME.KEY=VALUE`, as `flag` takes it; raises `UsageError`."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        match = _FLAG.fullmatch(text)
        if match is None:
            shown = printable(text.partition("=")[0])
            raise UsageError(f"{flag} {shown} is not of the form KIND:NAME.KEY=VALUE")
        _check_driver(match[1], f"{flag} {{}}", UsageError)
        found.setdefault(match[1], {})[match[2]] = match[3]
    return found


def _check_driver(driver: str, place: str, fails: type[TallowError]) -> None:
    kind, colon, name = driver.partition(":")
    where = place.format(f'"{printable(driver)}"')
    if not colon or not name:
        raise fails(f"{where} names no driver: write KIND:NAME").then("list the drivers")
    if kind_named(kind) is None:
        near = nearest(kind, [each.name for each in KINDS])
        raise fails(f"{where}: there is no kind {printable(kind)} of driver{near}")


def _hints(options: type[Any] | None) -> dict[str, Any]:
    return {} if options is None else get_type_hints(options, include_extras=True)


def _is_secret(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(
        isinstance(each, Secret) for each in get_args(hint)
    )


def _state(value: object) -> str:
    return "set" if value else "not set"


def _refusal(driver: str, key: str) -> str:
    return (
        f"{driver}.{key} is secret, and other users can see the command line: set the environment"
        f' variable {variable(driver, key)}, or write `{key}_file = "FILE"` below'
        f' [{SECTION}."{driver}"] in the config file'
    )


def _secret_in(file: Path, given: _Given) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_SECRET_BYTES + 1)
            open_to_others = is_open_to_others(os.fstat(stream.fileno()))
        text = content.decode("utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise given.fails(
            f"{given.place}: {printable(str(file))} cannot be read: {reason}"
        ) from error
    if open_to_others:
        shown = printable(str(file))
        raise given.fails(f"{given.place}: other users can read {shown}: run `chmod 600 {shown}`")
    if len(content) > MAX_SECRET_BYTES:
        raise given.fails(f"{given.place}: the file is longer than {MAX_SECRET_BYTES} bytes")
    return text


def _converted(given: _Given, hint: Any) -> object:
    import msgspec

    value = given.value
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if given.text and get_origin(plain) is dict:
        raise given.fails(f"{given.place} is a table, which only the config file can hold")
    if given.text and get_origin(plain) in (tuple, list, frozenset, set):
        value = [word for word in re.split(r"[\s,]+", str(value)) if word]
    try:
        return msgspec.convert(value, hint, strict=not given.text)
    except msgspec.ValidationError as error:
        # The value itself stays out: it may be a secret.
        raise given.fails(f"{given.place}: {printable(str(error))}") from error
