"""The options that commands share, as groups of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tallow_core.cli.args.marks import Mark
from tallow_core.cli.args.rates import parse_rate
from tallow_core.config.profiles import ProfileName
from tallow_core.errors import UsageError


@dataclass(repr=False)
class CommonOptions:
    """Options of every command."""

    config: str | None = None
    "Read this config file (else $TALLOW_CONFIG, else config.toml in the config directory)."
    json: bool = False
    "Print events as JSON, one object a line."
    quiet: bool = False
    "Print results and errors only."
    set: tuple[str, ...] = ()
    "Set an option of a driver for this run, as in transport:ws.path=/x; may be repeated."
    verbose: Annotated[int, Mark(("--verbose", "-v"), counted=True)] = 0
    "Print more details; -vv and -vvv print still more."


@dataclass(repr=False)
class PeerOptions:
    """Options of send and receive."""

    relay: tuple[str, ...] = ()
    "The URL of a relay, as `tallow relay serve` prints it; may be repeated ($TALLOW_RELAY)."
    no_relay: bool = False
    "Use no relay, also if the config file names one."
    relay_only: bool = False
    "Use the relay alone: give no address of this machine away, and look for no direct path."
    proxy: str | None = None
    "Connect by this proxy, and look for no direct path beside it."
    throttle: str | None = None
    "Move so many bytes a second at most, as in 500k, 2.5MB or 1G."
    lanes: int | None = None
    """Send by so many connections at once, 1 to 16 (0: one, or several where the way is long);
    the greater of both sides counts."""
    wait: float | None = None
    "Seconds to wait for the other side (receive: 15; send: a day)."
    profile: ProfileName | None = None
    """What policy asks for: default, nist, fast or paranoid; a flag never asks for less than the
    config file."""
    cipher: str | None = None
    "Use this cipher only."
    kem: str | None = None
    "Use this key encapsulation mechanism only."
    hash: str | None = None
    "Use this hash only."
    compressor: str | None = None
    "Use this compressor only; none sends everything as it is."
    transport: str | None = None
    "Use this transport only."

    def flags(self, waiting: str) -> dict[str, object]:
        """The settings that these options set; `waiting` is the section whose `wait` and `throttle`
        are meant."""
        if self.relay and self.no_relay:
            raise UsageError("--relay and --no-relay exclude each other; leave one out")
        return {
            "relay.urls": self.relay or None,
            "relay.enabled": False if self.no_relay else None,
            "relay.only": self.relay_only or None,
            "network.proxy": self.proxy,
            f"{waiting}.wait": self.wait,
            f"{waiting}.throttle": parse_rate(self.throttle),
            "session.lanes": self.lanes,
            "policy.profile": self.profile,
            "choose.cipher": self.cipher,
            "choose.kem": self.kem,
            "choose.hash": self.hash,
            "choose.compressor": self.compressor,
            "choose.transport": self.transport,
        }
