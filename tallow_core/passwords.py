"""Keys and hashes from passwords for stored data: Argon2id (RFC 9106) by `cryptography`, and the
PHC strings that hold its parameters.

The parameters are 256 MiB, 3 iterations and 4 lanes, unless `[passwords] memory_mib` sets another
memory. They are stored with the data that they protect, as `$argon2id$v=19$m=262144,t=3,p=4`, and
raised when it is unlocked the next time. They are never lowered.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass, field
from typing import cast

from tallow_core.available_memory import available_memory
from tallow_core.errors import AuthenticationError, ConfigError, CryptoError
from tallow_core.secrets import equal, system_rng, wipe
from tallow_core.types import ReadBuffer

SALT_SIZE = 16
HASH_SIZE = 32
MAX_MEMORY_KIB = 4 << 20
MAX_ITERATIONS = 16
MAX_LANES = 16
"""Maxima for parameters in a stored string, because a forged string must not exhaust the
machine."""

_PARAMETERS = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,9})", re.ASCII
)
_SALT = range(8, 65)
_HASH = range(16, 65)
_SPARE_KIB = 16 << 10
"""Memory of a derivation beside its own: stacks of threads, the library."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The cost of an Argon2id derivation: memory in KiB, iterations, lanes. Raises `CryptoError`
    for values out of bounds."""

    memory_kib: int = 256 << 10
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        # RFC 9106 section 3.1 has the minimum.
        memory = 8 * self.lanes <= self.memory_kib <= MAX_MEMORY_KIB
        if not (memory and 1 <= self.iterations <= MAX_ITERATIONS and 1 <= self.lanes <= MAX_LANES):
            raise CryptoError(
                f"Argon2id with {self.memory_kib} KiB, {self.iterations} iterations and"
                f" {self.lanes} lanes is not within what is allowed"
                f" (at most {MAX_MEMORY_KIB} KiB, {MAX_ITERATIONS} and {MAX_LANES}); what asks"
                " for it is damaged or forged"
            )

    def encode(self) -> str:
        """The beginning of a PHC string."""
        return f"$argon2id$v=19$m={self.memory_kib},t={self.iterations},p={self.lanes}"

    @classmethod
    def decode(cls, text: str) -> Parameters:
        """Read a string of `encode`. Raises `CryptoError` for anything else."""
        found = _PARAMETERS.fullmatch(text)
        if found is None:
            raise CryptoError(
                "these are no parameters of Argon2id; what they belong to is damaged, restore it"
                " from a backup"
            )
        return cls(*map(int, found.groups()))

    def needs_raise(self, wanted: Parameters) -> bool:
        """Whether data stored with these parameters should be stored again with
        `raised(wanted)`."""
        return self.raised(wanted) != self

    def raised(self, wanted: Parameters) -> Parameters:
        """The greater of both in memory and in iterations. Lanes divide the work and do not add
        strength, so they are taken from `wanted`."""
        if wanted.memory_kib <= self.memory_kib and wanted.iterations <= self.iterations:
            return self
        return Parameters(
            max(self.memory_kib, wanted.memory_kib),
            max(self.iterations, wanted.iterations),
            wanted.lanes,
        )


def configured(memory_mib: int) -> Parameters:
    """The parameters for new data, with memory in MiB."""
    return Parameters(memory_kib=memory_mib << 10)


def derive(
    password: ReadBuffer,
    parameters: Parameters,
    salt: ReadBuffer,
    length: int,
    *,
    secret: bytes = b"",
    associated: bytes = b"",
) -> bytearray:
    """Derive `length` (4 or more) bytes. `salt` has 8 bytes or more, from `system_rng`, and is
    stored.

    Takes about a second and 256 MiB with the default parameters. Raises `ConfigError` if this
    machine has less memory left.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    _require_memory(parameters.memory_kib)
    out = bytearray(length)
    try:
        Argon2id(
            salt=bytes(salt),
            length=length,
            iterations=parameters.iterations,
            lanes=parameters.lanes,
            memory_cost=parameters.memory_kib,
            ad=associated or None,
            secret=secret or None,
        ).derive_into(
            cast("bytes", password), out
        )  # any buffer; the types of the library are too narrow
    except MemoryError as error:
        raise _too_small(parameters.memory_kib, None) from error
    except UnsupportedAlgorithm as error:
        raise ConfigError(
            "the installed `cryptography` was built without Argon2id: install its wheel from the"
            " package index, which has it"
        ) from error
    return out


def hash_password(password: ReadBuffer, parameters: Parameters) -> str:
    """A PHC string to store in place of the password. Raises `ConfigError` as `derive` does."""
    salt = system_rng(SALT_SIZE)
    return _Stored(parameters, salt, derive(password, parameters, salt, HASH_SIZE)).encode()


def verify_password(stored: str, password: ReadBuffer) -> Parameters:
    """Compare in constant time. Returns the parameters of the string, so that the caller can raise
    them.

    Raises `AuthenticationError` for another password, and `CryptoError`, before any work, for a
    string that is damaged or exceeds the maxima.
    """
    kept = _Stored.decode(stored)
    found = derive(password, kept.parameters, kept.salt, len(kept.digest))
    try:
        if not equal(found, kept.digest):
            raise AuthenticationError("the password is wrong; try again")
    finally:
        wipe(found)
    return kept.parameters


@dataclass(frozen=True, slots=True)
class _Stored:
    parameters: Parameters
    salt: bytes
    digest: ReadBuffer = field(repr=False)

    def encode(self) -> str:
        return f"{self.parameters.encode()}${_base64(self.salt)}${_base64(self.digest)}"

    @classmethod
    def decode(cls, text: str) -> _Stored:
        head, _, digest = text.rpartition("$")
        head, _, salt = head.rpartition("$")
        stored = cls(Parameters.decode(head), _from_base64(salt), _from_base64(digest))
        # Only one spelling is accepted; base64 has several for some bytes.
        if (
            len(stored.salt) not in _SALT
            or len(stored.digest) not in _HASH
            or stored.encode() != text
        ):
            raise CryptoError(
                "the stored password is damaged; restore it from a backup, or set the password"
                " again"
            )
        return stored


def _base64(data: ReadBuffer) -> str:
    return b2a_base64(data, newline=False).decode("ascii").rstrip("=")


def _from_base64(text: str) -> bytes:
    try:
        return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (Base64Error, ValueError):
        return b""


def _require_memory(memory_kib: int) -> None:
    left = available_memory()
    if left is not None and left < (memory_kib + _SPARE_KIB) << 10:
        raise _too_small(memory_kib, left)


def _too_small(memory_kib: int, left: int | None) -> ConfigError:
    found = "fewer" if left is None else f"{left >> 20} MiB"
    return ConfigError(
        f"Argon2id needs {-(-memory_kib // 1024)} MiB of memory for this password and {found} are"
        " left: close other programs, or lower"
        " `[passwords] memory_mib` in the config file, which counts for what is stored from then on"
    )
