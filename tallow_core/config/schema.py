"""The sections of the settings: frozen, typed, and every value knows where it came from.

A section of the config file is a NamedTuple here and a row of `SECTIONS`; its keys are the fields.
Numbers and names are checked by `tallow_core.config.ranges`, the file is read by `toml_file`, and
`layers` puts flags, environment, file and defaults together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from tallow_core.config.plugin_options import PluginOptions
from tallow_core.config.profiles import ProfileName
from tallow_core.directories import Directories, user_directories
from tallow_core.registry.permissions import Permissions

Names: TypeAlias = tuple[str, ...]

_AUTO: Names = ("auto",)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies: to paths of this `transport`, through a `relay` or not; None is any."""

    transport: str | None = None
    relay: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A `[[policy.rule]]`: on the paths that `when` describes it narrows what `[policy]` admits.
    What it does not name narrows nothing.

    `via` is the proxy that these paths go by, None for that of `[network]`; with `via_required`
    nothing of such a session goes beside it, so that no direct path is looked for. Then discovery
    and nat drivers, which know no paths, do not go beyond this machine either.
    """

    when: Condition = Condition()
    require: Names = ()
    deny: Names = ()
    kems: Names = _AUTO
    ciphers: Names = _AUTO
    hashes: Names = _AUTO
    authenticators: Names = _AUTO
    compressors: Names = _AUTO
    via: str | None = None
    via_required: bool = False


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
    proxies: Names = _AUTO
    resolvers: Names = _AUTO
    nats: Names = _AUTO
    deny: Names = ()
    rule: tuple[Rule, ...] = ()


class NetworkSettings(NamedTuple):
    """`[network]`: the proxy for all paths that no rule sends elsewhere, and the resolver of host
    names. Where a name is empty, the best driver that policy allows is used.

    If the named proxy does not carry everything, nothing goes beside it: no direct path is looked
    for, and no discovery beyond this machine is used.
    """

    proxy: str = ""
    resolver: str = ""


class RelaySettings(NamedTuple):
    """`[relay]`: `urls` lists the relays, as `SCHEME://HOST:PORT#sha256=PIN`. They are used only if
    `enabled` is true. If `only` is true, nothing else is used: no address of this machine is given
    away, and no direct path is looked for."""

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
    store: str = "auto"
    """The driver that keeps the rooms; `auto` is the best one installed."""


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


OptionName: TypeAlias = Callable[[str], str]
"""Dotted name of a setting (`relay.only`), or `choose.KIND` or `plugin.set` -> the name of the flag
that sets it. The program that has the flags gives it; without one it is the dotted name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `file` is the config file that was read, None if there was none."""

    plugins: Permissions = Permissions()
    policy: PolicySettings = PolicySettings()
    network: NetworkSettings = NetworkSettings()
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
    driver_options: PluginOptions = PluginOptions()
    """What is set for drivers, in `[plugin."KIND:NAME"]` and elsewhere."""
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)
    option: OptionName = field(default=str, compare=False, repr=False)
    """How messages name the flag of a setting."""

    def origin(self, name: str) -> str:
        """Where the value of `section.key` came from: `flag`, `environment TALLOW_...`, the path of
        the file, or `default`."""
        return self.origins.get(name, "default")

    @property
    def file_to_write(self) -> Path:
        """The config file that a message names as the one to change."""
        return self.file or default_file(self.directories)


SECTIONS: Mapping[str, type[Any]] = {
    "plugins": Permissions,
    "policy": PolicySettings,
    "network": NetworkSettings,
    "relay": RelaySettings,
    "relay_server": RelayServerSettings,
    "send": SendSettings,
    "receive": ReceiveSettings,
    "session": SessionSettings,
    "passwords": PasswordSettings,
}
"""Name in the config file -> its fields, for sections that hold one value a key. A new one is a row
here and a field of `Settings`."""


def default_file(directories: Directories) -> Path:
    """The config file that is read where none is named."""
    return directories.config / "config.toml"
