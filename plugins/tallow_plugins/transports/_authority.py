"""Reading `HOST:PORT`, as both transports write it."""

from __future__ import annotations

import ipaddress
import re

from tallow_core.errors import UsageError
from tallow_core.text import printable
from tallow_core.types import Endpoint

_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+)):(?P<port>[0-9]{1,5})"
)
_PIN = re.compile(r"sha256=([0-9A-Fa-f]{64})")


def parse_authority(scheme: str, text: str, *, pins: bool) -> Endpoint:
    """Read `HOST:PORT` or `[V6]:PORT`, with an optional `#sha256=PIN` where `pins`; anything else
    is a `UsageError`."""
    authority, mark, fragment = text.partition("#")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _unreadable(scheme, text, "write HOST:PORT or [IPV6]:PORT")
    if (port := int(found["port"])) > 65535:
        raise _unreadable(scheme, text, "the port is a number from 0 to 65535")
    host = _checked_host(scheme, text, found["v6"], found["name"])
    return Endpoint(scheme, host, port, _pin(scheme, text, fragment, pins) if mark else None)


def _checked_host(scheme: str, text: str, v6: str | None, name: str | None) -> str:
    try:
        if v6 is not None:
            ipaddress.IPv6Address(v6)
            return v6
        assert name is not None  # the pattern has one or the other
        if not _is_ipv4(name):
            name.encode("idna")
    except ValueError:  # UnicodeError, of the IDNA codec, is one too
        raise _unreadable(
            scheme, text, "the host is a name, an IPv4 address, or an IPv6 address in brackets"
        ) from None
    return name


def _is_ipv4(name: str) -> bool:
    """For these the IDNA codec, which is large, is not loaded."""
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _pin(scheme: str, text: str, fragment: str, pins: bool) -> str:
    if not pins:
        raise _unreadable(
            scheme,
            text,
            f"{scheme} has no certificate to pin; leave out what follows '#', or use tls",
        )
    if (found := _PIN.fullmatch(fragment)) is None:
        raise _unreadable(
            scheme, text, "a pin is '#sha256=' and 64 hex digits; copy the whole address"
        )
    return found[1].lower()


def _unreadable(scheme: str, text: str, advice: str) -> UsageError:
    return UsageError(f"'{printable(text)}' is no address for {scheme}: {advice}.")
