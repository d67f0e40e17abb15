"""What the user decided: frozen, typed, and every value knows where it came from.

A flag beats the environment, which beats the config file, which beats the default. The file is
TOML; its tables and keys are the sections and fields below, as in `[policy] kems =
["x25519-ml-kem-1024", "auto"]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args, get_origin, get_type_hints

from tallow_core.config.profiles import ProfileName
from tallow_core.directories import Directories, user_directories
from tallow_core.errors import ConfigError, UsageError
from tallow_core.registry.kinds import COMMAND, KINDS, SUITE_KINDS, kind_named
from tallow_core.text import nearest, printable

Names: TypeAlias = tuple[str, ...]

_AUTO: Names = ("auto",)


class PluginSettings(NamedTuple):
    """`[plugins]`: `allow` names distributions beside tallow's own, `block` drivers of any
    distribution as `kind:name`.

    TALLOW_BLOCK_PLUGINS adds to `block`; it takes nothing away.
    """

    allow: Names = ()
    block: Names = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies: to paths of this `transport`, through a `relay` or not; None is any."""

    transport: str | None = None
    relay: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A `[[policy.rule]]`: on the paths that `when` describes it narrows what `[policy]` admits.
    What it does not name narrows nothing."""

    when: Condition = Condition()
    require: Names = ()
    deny: Names = ()
    kems: Names = _AUTO
    ciphers: Names = _AUTO
    hashes: Names = _AUTO
    authenticators: Names = _AUTO
    compressors: Names = _AUTO


class PolicySettings(NamedTuple):
    """`[policy]`: `require` lists labels that the session must carry, `deny` drivers as
    `kind:name`; the others list drivers, best first.

    `auto` stands for all drivers that a list does not name. `profile` names a bundle of further
    demands (`tallow_core.config.profiles`); of the rules in `rule` the first that matches a path
    narrows what stands above.
    """

    profile: ProfileName = "default"
    require: Names = ("post-quantum",)
    kems: Names = _AUTO
    ciphers: Names = _AUTO
    signatures: Names = _AUTO
    hashes: Names = _AUTO
    authenticators: Names = _AUTO
    compressors: Names = _AUTO
    transports: Names = _AUTO
    discoveries: Names = _AUTO
    deny: Names = ()
    rule: tuple[Rule, ...] = ()


class RelaySettings(NamedTuple):
    """`[relay]`: the relays to use, as `tls://HOST:PORT#sha256=PIN`, whether to use any, and
    whether nothing else: `only` gives no address of this machine away and looks for no direct
    path."""

    urls: Names = ()
    enabled: bool = True
    only: bool = False


class RelayServerSettings(NamedTuple):
    """`[relay_server]`: how many rooms, connections and waiting guests of one room a relay of ours
    holds at most, and how many connections of one address (an IPv4 address, or the /64 of an IPv6
    one)."""

    rooms: int = 10_000
    connections: int = 16_384
    connections_per_address: int = 1024
    guests_per_room: int = 8


class SendSettings(NamedTuple):
    """`[send]`: words of a code, addresses to listen at, seconds to wait for a peer, seconds for
    which a code lives, bytes a second."""

    words: int = 3
    listen: Names = ()
    wait: float = 86400.0
    lifetime: float = 86400.0
    throttle: int = 0


class ReceiveSettings(NamedTuple):
    """`[receive]`: the folder, what to do with names that exist, seconds to wait, bytes taken at
    most where no size is stated, bytes a second. A `throttle` of 0 is no limit."""

    output: str = "."
    overwrite: Literal["ask", "never", "rename", "always"] = "ask"
    wait: float = 15.0
    unknown_size: int = 1 << 40
    throttle: int = 0


class SessionSettings(NamedTuple):
    """`[session]`: after how many bytes or seconds, whichever is first, both ends agree on fresh
    keys; for how many seconds a lost connection is dialled again (0: not at all); by how many
    connections the data travels at once (0: by the length of the path)."""

    rekey_bytes: int = 256 << 30
    rekey_seconds: float = 3600.0
    reconnect: float = 600.0
    lanes: int = 0


class PasswordSettings(NamedTuple):
    """`[passwords]`: MiB of memory with which a password that protects something stored is
    stretched (`tallow_core.passwords`)."""

    memory_mib: int = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `file` is the config file that was read, None if there was none."""

    plugins: PluginSettings = PluginSettings()
    policy: PolicySettings = PolicySettings()
    relay: RelaySettings = RelaySettings()
    relay_server: RelayServerSettings = RelayServerSettings()
    send: SendSettings = SendSettings()
    receive: ReceiveSettings = ReceiveSettings()
    session: SessionSettings = SessionSettings()
    passwords: PasswordSettings = PasswordSettings()
    directories: Directories = field(default_factory=user_directories)
    chosen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Kind -> the one driver that a flag (`--cipher NAME`) chose for this run, among what policy
    admits."""
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    def origin(self, name: str) -> str:
        """Where the value of `section.key` came from: `flag`, `environment TALLOW_...`, the path of
        the file, or `default`."""
        return self.origins.get(name, "default")

    @property
    def file_to_write(self) -> Path:
        """The config file that a message should tell the user to change."""
        return self.file or _default_file(self.directories)


_SECTIONS: Mapping[str, type[Any]] = {
    "plugins": PluginSettings,
    "policy": PolicySettings,
    "relay": RelaySettings,
    "relay_server": RelayServerSettings,
    "send": SendSettings,
    "receive": ReceiveSettings,
    "session": SessionSettings,
    "passwords": PasswordSettings,
}

_YEAR = 366 * 86400
LEAST_REKEY_BYTES, LEAST_REKEY_SECONDS = 1 << 20, 1
"""Fresh keys more often than after so much are not to be had, here or by asking."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "relay_server.rooms": (1, 10_000_000),
    "relay_server.connections": (1, 1_000_000),
    "relay_server.connections_per_address": (1, 1_000_000),
    "relay_server.guests_per_room": (1, 64),
    "send.words": (3, 16),
    "send.wait": (0.001, _YEAR),
    "send.lifetime": (1, _YEAR),
    "send.throttle": (0, 1 << 50),
    "receive.wait": (0.001, _YEAR),
    "receive.unknown_size": (1, (1 << 63) - 1),
    "receive.throttle": (0, 1 << 50),
    "session.rekey_bytes": (LEAST_REKEY_BYTES, 1 << 50),
    "session.rekey_seconds": (LEAST_REKEY_SECONDS, _YEAR),
    "session.reconnect": (0, 86_400),
    "session.lanes": (0, 16),
    "passwords.memory_mib": (8, 4096),
}
"""Smallest and largest value of every number, both allowed."""

BLOCK_VARIABLE = "TALLOW_BLOCK_PLUGINS"
"""Drivers that may not be loaded, as `kind:name`, beside those that the config file blocks."""
_CHOOSE = "choose."
_DRIVER = r"([a-z]+):[a-z0-9][a-z0-9-]{0,31}"
_DISTRIBUTION = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"


def load_settings(
    config: str | None, flags: Mapping[str, object], environ: Mapping[str, str]
) -> Settings:
    """Read the settings.

    `config` is what `--config` named. `flags` maps dotted names (`policy.require`) to values of the
    field's type (for a tuple also one string or a list), and `choose.KIND` to the name of a driver;
    None stands for a flag that was not given. Raises `ConfigError` for the file and the
    environment, `UsageError` for a flag.
    """
    directories = user_directories(environ)
    file = _config_file(config, environ, directories)
    values = _read(file) if file else {}
    origins = dict.fromkeys(values, printable(str(file)))
    chosen = {
        name.removeprefix(_CHOOSE): str(value)
        for name, value in flags.items()
        if name.startswith(_CHOOSE) and value is not None
    }
    others = {name: value for name, value in flags.items() if not name.startswith(_CHOOSE)}
    for name, value in (*_from_environment(environ), *_from_flags(others)):
        if name == "policy.profile" and values.get(name, value[0]) not in ("default", value[0]):
            raise ConfigError(
                f'{printable(str(file))} sets `[policy] profile = "{values[name]}"`, which a flag'
                " cannot change: leave out --profile"
            )
        values[name], origins[name] = value
    if blocked := _blocked_by_environment(environ):
        in_file, origin = (
            cast("Names", values.get("plugins.block", ())),
            f"environment {BLOCK_VARIABLE}",
        )
        values["plugins.block"] = (*in_file, *blocked)
        origins["plugins.block"] = f"{origins['plugins.block']} and {origin}" if in_file else origin
    sections = {name: _section(name, section, values) for name, section in _SECTIONS.items()}
    kept = MappingProxyType(origins)
    return Settings(
        **sections,
        directories=directories,
        chosen=MappingProxyType(chosen),
        file=file,
        origins=kept,
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


def _default_file(directories: Directories) -> Path:
    return directories.config / "config.toml"


def _config_file(
    config: str | None, environ: Mapping[str, str], directories: Directories
) -> Path | None:
    named = config if config is not None else environ.get("TALLOW_CONFIG") or None
    if named is not None:
        return Path(named)
    default = _default_file(directories)
    return default if default.exists() else None


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, tuple[object, str]]]:
    if urls := _words(environ, "TALLOW_RELAY"):
        yield "relay.urls", (urls, "environment TALLOW_RELAY")


def _blocked_by_environment(environ: Mapping[str, str]) -> Names:
    blocked = _words(environ, BLOCK_VARIABLE)
    if fault := _fault("plugins.block", blocked):
        raise ConfigError(f"the environment variable {BLOCK_VARIABLE} {fault}")
    return blocked


def _words(environ: Mapping[str, str], variable: str) -> Names:
    """What a variable lists, separated by spaces or commas."""
    return tuple(word for word in re.split(r"[\s,]+", environ.get(variable, "")) if word)


def _from_flags(flags: Mapping[str, object]) -> Iterable[tuple[str, tuple[object, str]]]:
    for name, given in flags.items():
        if given is None:
            continue
        hint = _hints(name.partition(".")[0])[name]
        value = (
            ((given,) if isinstance(given, str) else tuple(given))
            if hint == Names and isinstance(given, Iterable)
            else given
        )
        if fault := _fault(name, value):
            raise UsageError(f"--{name.rpartition('.')[2].replace('_', '-')} {fault}")
        yield name, (value, "flag")


def _hints(section: str) -> dict[str, Any]:
    """Dotted name -> type, for the fields of `section`."""
    hints = get_type_hints(_SECTIONS[section])
    return {f"{section}.{name}": hints[name] for name in _SECTIONS[section]._fields}


def _read(file: Path) -> dict[str, object]:
    """The settings in `file`, by dotted name, of the right types and in range."""
    return settings_in(read_file(file), printable(str(file)))


def read_file(file: Path) -> bytes:
    """The content of a config file; raises `ConfigError`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the config file {printable(str(file))} cannot be read: {error.strerror}"
        ) from error


def settings_in(content: bytes, where: str) -> dict[str, object]:
    """The settings that `content` states, by dotted name, of the right types and in range; a
    `ConfigError` names the file as `where`."""
    import tomllib

    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the config file {where} is no TOML: {printable(str(error))}") from error
    return {
        name: value
        for section, table in document.items()
        for name, value in _read_table(where, section, table)
    }


def _read_table(where: str, section: str, table: object) -> Iterable[tuple[str, object]]:
    if section not in _SECTIONS:
        raise ConfigError(
            f"{where}: there is no section [{printable(section)}]{nearest(section, _SECTIONS)}"
        )
    if not isinstance(table, dict):
        raise ConfigError(
            f"{where}: {section} is a section: write [{section}] and its settings below"
        )
    hints = _hints(section)
    for key, value in table.items():
        name = f"{section}.{key}"
        if name not in hints:
            known = [known.partition(".")[2] for known in hints]
            raise ConfigError(
                f"{where}: there is no setting {printable(key)} in [{section}]{nearest(key, known)}"
            )
        yield name, _converted(where, name, value, hints[name])


def _converted(where: str, name: str, value: object, hint: Any) -> object:
    import msgspec

    section, _, key = name.partition(".")
    try:
        converted: object = msgspec.convert(value, hint)
        if name == "policy.rule":
            _refuse_unknown(where, value)
    except msgspec.ValidationError as error:
        known = get_args(hint) if get_origin(hint) is Literal else ()
        near = f"{nearest(str(value), known)}; there are {', '.join(known)}" if known else ""
        raise ConfigError(f"{where}: [{section}] {key}: {printable(str(error))}{near}") from error
    if fault := _fault(name, converted):
        raise ConfigError(f"{where}: [{section}] {key} {fault}")
    return converted


def _refuse_unknown(where: str, rules: Any) -> None:
    """A mistyped key of a rule would otherwise narrow nothing."""
    for number, rule in enumerate(rules, 1):
        for table, kind, path in ((rule, Rule, ""), (rule.get("when", {}), Condition, " when")):
            known = [item.name for item in fields(kind)]
            for key in table:
                if key not in known:
                    text = (
                        f"there is no setting {printable(key)} in [[policy.rule]]{path}, rule"
                        f" {number}"
                    )
                    raise ConfigError(f"{where}: {text}{nearest(key, known)}")


def _fault(name: str, value: object) -> str:
    """Say what is wrong with a value of the right type; "" if nothing is."""
    if name in _RANGES and isinstance(value, int | float):
        low, high = _RANGES[name]
        return "" if low <= value <= high else f"must be between {low} and {high}, not {value}"
    if name == "plugins.allow" and isinstance(value, tuple):
        wrong = [item for item in value if not re.fullmatch(_DISTRIBUTION, item)]
        return f"lists {printable(wrong[0])!r}, which is no name of a distribution" if wrong else ""
    if name == "plugins.block":
        return _not_a_driver(value)
    if name == "policy.deny":
        return _not_a_driver(value) or _not_of(
            value,
            {kind.name for kind in KINDS if kind is not COMMAND},
            "use `[plugins] block` for it",
        )
    if name == "policy.rule" and isinstance(value, tuple):
        suite = {kind.name for kind in SUITE_KINDS}
        told = "a rule narrows what two peers agree on; deny it in `[policy] deny`"
        faults = (
            (number, _not_a_driver(rule.deny) or _not_of(rule.deny, suite, told))
            for number, rule in enumerate(value, 1)
        )
        return next((f"number {number}: deny {fault}" for number, fault in faults if fault), "")
    return ""


def _not_a_driver(value: object) -> str:
    wrong = (
        [item for item in value if not _names_a_driver(item)] if isinstance(value, tuple) else []
    )
    return f"lists {printable(wrong[0])!r}, which is not of the form kind:name" if wrong else ""


def _not_of(value: object, kinds: Iterable[str], told: str) -> str:
    """Say that a driver is named whose kind is none of `kinds`; "" if there is none."""
    wrong = (
        [item for item in value if item.partition(":")[0] not in kinds]
        if isinstance(value, tuple)
        else []
    )
    return f"lists {printable(wrong[0])!r}: {told}" if wrong else ""


def _names_a_driver(item: str) -> bool:
    found = re.fullmatch(_DRIVER, item)
    return found is not None and kind_named(found[1]) is not None
