"""Reading `HOST:PORT/PATH?KEY=VALUE#sha256=PIN`, for transports whose endpoints have ports."""

from __future__ import annotations

import ipaddress
import re

from tallow_core.errors import UsageError
from tallow_core.text import printable
from tallow_core.types import Endpoint

_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_PIN = re.compile(r"sha256=([0-9A-Fa-f]{64})")
_REST = re.compile(r"[!$&'()*+,;=:@/%\w.~-]*(?:\?[!$&'()*+,;=:@/?%\w.~-]*)?", re.ASCII)
"""A path and a query (RFC 3986 sections 3.3 and 3.4)."""


def parse_authority(
    scheme: str,
    text: str,
    *,
    pins: bool,
    paths: bool = False,
    default_port: int | None = None,
) -> Endpoint:
    """Read `HOST:PORT` or `[V6]:PORT`; the port may be left out where there is a `default_port`.

    With `paths` a path and a query may follow, percent-encoded, and with `pins` a
    `#sha256=PIN`. Anything else is a `UsageError`.
    """
    before, mark, fragment = text.partition("#")
    cut = min((at for at in (before.find("/"), before.find("?")) if at >= 0), default=len(before))
    authority, rest = (before[:cut], before[cut:]) if paths else (before, "")
    found = _AUTHORITY.fullmatch(authority)
    if found is None or (found["port"] is None and default_port is None):
        raise _unreadable(scheme, text, "write HOST:PORT or [IPV6]:PORT")
    port = int(found["port"]) if found["port"] is not None else default_port
    assert port is not None  # found or defaulted
    if port > 65535:
        raise _unreadable(scheme, text, "the port is a number from 0 to 65535")
    host = _checked_host(scheme, text, found["v6"], found["name"])
    pin = _pin(scheme, text, fragment, pins) if mark else None
    path, parameters = _rest(scheme, text, rest)
    return Endpoint(scheme, host, port, pin, path, parameters)


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


def _rest(scheme: str, text: str, rest: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    if not rest:
        return "", ()
    from urllib.parse import parse_qsl, unquote

    if _REST.fullmatch(rest) is None:
        raise _unreadable(scheme, text, "other characters of a path are written as %XX")
    path, _, query = rest.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        return unquote(path, errors="strict"), tuple(pairs)
    except ValueError:
        raise _unreadable(scheme, text, "parameters are written as ?KEY=VALUE&KEY=VALUE") from None


def _pin(scheme: str, text: str, fragment: str, pins: bool) -> str:
    if not pins:
        raise _unreadable(
            scheme, text, f"{scheme} has no certificate to pin; leave out what follows '#'"
        )
    if (found := _PIN.fullmatch(fragment)) is None:
        raise _unreadable(
            scheme, text, "a pin is '#sha256=' and 64 hex digits; copy the whole address"
        )
    return found[1].lower()


def _unreadable(scheme: str, text: str, advice: str) -> UsageError:
    return UsageError(f"'{printable(text)}' is no address for {scheme}: {advice}")
