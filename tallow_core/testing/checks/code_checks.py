"""What every password-authenticated key exchange must do: see `tallow_core.spi.authenticator`.

This module has the checks for codes; those for logins are in `login_checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from tallow_core.errors import AuthenticationError, CryptoError
from tallow_core.spi.authenticator import Authenticator, CodeAuthenticator, LoginAuthenticator
from tallow_core.testing.checks import login_checks as login
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, within_bounds
from tallow_core.testing.expect import ConformanceError, refuses, require
from tallow_core.testing.vectors import published
from tallow_core.types import Role

PASSWORD = b"stamp-daybreak-kindred"
SESSION = bytes(range(64))
CHANNEL = b"\0\0\0\x08tallow/1\0\0\0\x044821"


def sizes_are_sensible(driver: type[CodeAuthenticator]) -> None:
    """A share has the stated size, 1 to 1,024 bytes."""
    within_bounds(CodeAuthenticator, driver)
    for role in Role:
        share = _begin(driver, role).share
        require(len(share) == driver.share_size, f"a share has {len(share)} bytes")


def the_right_password_agrees(driver: type[CodeAuthenticator]) -> None:
    """Both ends get the same key of at least 32 bytes, and can wipe it; the password may be any
    buffer."""
    for wrap in (bytes, bytearray, memoryview):
        guest, host = (
            driver(Role.GUEST, wrap(PASSWORD), SESSION, CHANNEL),
            _begin(driver, Role.HOST),
        )
        key = guest.finish(wrap(host.share))
        require(key == host.finish(wrap(guest.share)), "the two ends do not agree")
        require(len(key) >= 32, f"a key has {len(key)} bytes")
        require(isinstance(key, bytearray), "a key is not a bytearray, so it cannot be wiped")


def everything_is_bound(driver: type[CodeAuthenticator]) -> None:
    """Another password, session id, channel or role on one end gives another key, without an error
    that would show why."""
    others: dict[str, CodeAuthenticator] = {
        "password": driver(Role.GUEST, PASSWORD + b"s", SESSION, CHANNEL),
        "empty password": driver(Role.GUEST, b"", SESSION, CHANNEL),
        "session id": driver(Role.GUEST, PASSWORD, SESSION[::-1], CHANNEL),
        "channel": driver(Role.GUEST, PASSWORD, SESSION, CHANNEL + b"0"),
        "boundary of session id and channel": driver(
            Role.GUEST, PASSWORD, SESSION + CHANNEL[:1], CHANNEL[1:]
        ),
        "role": driver(Role.HOST, PASSWORD, SESSION, CHANNEL),
    }
    for what, other in others.items():
        host = _begin(driver, Role.HOST)
        require(
            host.finish(other.share) != other.finish(host.share),
            f"another {what} gives the same key",
        )


def shares_do_not_repeat(driver: type[CodeAuthenticator]) -> None:
    """Every run has fresh randomness, and its key depends on both ends'."""
    guests = [_begin(driver, Role.GUEST) for _ in range(2)]
    hosts = [_begin(driver, Role.HOST) for _ in range(2)]
    require(len({run.share for run in guests + hosts}) == 4, "two runs have the same share")
    keys = [bytes(guest.finish(host.share)) for guest, host in zip(guests, hosts, strict=True)]
    require(keys[0] != keys[1], "two runs have the same key")


def equal_shares_are_refused(driver: type[CodeAuthenticator]) -> None:
    """Our own share sent back is an `AuthenticationError`."""
    for role in Role:
        run = _begin(driver, role)
        refuses(AuthenticationError, partial(run.finish, run.share), "its own share")


def wrong_lengths_are_refused(driver: type[CodeAuthenticator]) -> None:
    """A share that is empty, a byte short, a byte long or twice as long is an
    `AuthenticationError`."""
    share = _begin(driver, Role.HOST).share
    for bad in (b"", share[:-1], share[1:], share + b"\0", share + share):
        refuses(
            AuthenticationError,
            partial(_begin(driver, Role.GUEST).finish, bad),
            f"a share of {len(bad)} bytes",
        )


def low_order_shares_are_refused(driver: type[CodeAuthenticator]) -> None:
    """The shares that the standard refuses, where the kit knows them, are an
    `AuthenticationError` in both roles."""
    for share in published("authenticator", driver.name).get("refused_shares", ()):
        for role in Role:
            refuses(
                AuthenticationError,
                partial(_begin(driver, role).finish, bytes.fromhex(share)),
                f"the share {share}",
            )


def a_run_is_used_once(driver: type[CodeAuthenticator]) -> None:
    """`finish` a second time is a `CryptoError`, after success and after failure."""
    host = _begin(driver, Role.HOST)
    after_success, after_failure = _begin(driver, Role.GUEST), _begin(driver, Role.GUEST)
    after_success.finish(host.share)
    refuses(AuthenticationError, partial(after_failure.finish, b""), "an empty share")
    for run in (after_success, after_failure):
        refuses(CryptoError, partial(run.finish, host.share), "a second share in one run")


def _begin(driver: type[CodeAuthenticator], role: Role) -> CodeAuthenticator:
    return driver(role, PASSWORD, SESSION, CHANNEL)


Check: TypeAlias = Callable[[type[CodeAuthenticator]], None]

CODE_CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    sizes_are_sensible,
    the_right_password_agrees,
    everything_is_bound,
    shares_do_not_repeat,
    equal_shares_are_refused,
    wrong_lengths_are_refused,
    low_order_shares_are_refused,
    a_run_is_used_once,
)

CHECKS: tuple[Callable[[Any], None], ...] = tuple(dict.fromkeys((*CODE_CHECKS, *login.CHECKS)))
"""The checks of both situations; `checks_for` selects those of a driver."""


def checks_for(driver: type) -> tuple[Callable[[Any], None], ...]:
    """The checks of the contract that `driver` implements."""
    if issubclass(driver, CodeAuthenticator):
        return CODE_CHECKS
    if issubclass(driver, LoginAuthenticator):
        return login.CHECKS
    raise ConformanceError(
        f"{driver.__name__} derives from {Authenticator.__name__} alone, neither for codes nor for"
        " logins"
    )
