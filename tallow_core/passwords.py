"""Secrets that protect what is stored: Argon2id (RFC 9106) by `cryptography`, and the strings in
which its parameters are kept.

256 MiB, 3 iterations and 4 lanes unless `[passwords] memory_mib` says otherwise. The parameters lie
with what they protect, as a PHC string (`$argon2id$v=19$m=262144,t=3,p=4`), and are raised when it
is unlocked the next time. Nothing is lowered silently.
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
MOST_MEMORY_KIB = 4 << 20
MOST_ITERATIONS = 16
MOST_LANES = 16
"""What a stored string may ask for at most: whoever can write one must not be able to stop the
machine."""

_PARAMETERS = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,9})", re.ASCII
)
_SALT = range(8, 65)
_HASH = range(16, 65)
_SPARE_KIB = 16 << 10
"""What else a derivation takes: stacks of threads, the library."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an Argon2id derivation costs: memory in KiB, iterations, lanes. Out of bounds is a
    `CryptoError`."""

    memory_kib: int = 256 << 10
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        memory = (
            8 * self.lanes <= self.memory_kib <= MOST_MEMORY_KIB
        )  # the least by RFC 9106 section 3.1
        if not (
            memory and 1 <= self.iterations <= MOST_ITERATIONS and 1 <= self.lanes <= MOST_LANES
        ):
            raise CryptoError(
                f"Argon2id with {self.memory_kib} KiB, {self.iterations} iterations and"
                f" {self.lanes} lanes is not within what is allowed"
                f" (at most {MOST_MEMORY_KIB} KiB, {MOST_ITERATIONS} and {MOST_LANES}); what asks"
                " for it is damaged or forged."
            )

    def encode(self) -> str:
        """The beginning of a PHC string."""
        return f"$argon2id$v=19$m={self.memory_kib},t={self.iterations},p={self.lanes}"

    @classmethod
    def decode(cls, text: str) -> Parameters:
        """Read what `encode` gave. Anything else is a `CryptoError`."""
        found = _PARAMETERS.fullmatch(text)
        if found is None:
            raise CryptoError(
                "These are no parameters of Argon2id; what they belong to is damaged, restore it"
                " from a backup."
            )
        return cls(*map(int, found.groups()))

    def needs_raise(self, wanted: Parameters) -> bool:
        """Whether what was stored with these is to be stored anew, with `raised`, now that the
        password is at hand."""
        return self.raised(wanted) != self

    def raised(self, wanted: Parameters) -> Parameters:
        """The greater of both in memory and iterations. Lanes divide the work and make nothing
        stronger: they change with the rest."""
        if wanted.memory_kib <= self.memory_kib and wanted.iterations <= self.iterations:
            return self
        return Parameters(
            max(self.memory_kib, wanted.memory_kib),
            max(self.iterations, wanted.iterations),
            wanted.lanes,
        )


def configured(memory_mib: int) -> Parameters:
    """The parameters for what is stored from now on, with so much memory in MiB."""
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
    """Derive `length` (4 or more) bytes; `salt` has 8 bytes or more, made by `system_rng` and
    stored.

    Takes about a second and 256 MiB with the default parameters. Raises `ConfigError` if this
    machine has not as much left.
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
        )  # any buffer, whatever the types of the library say
    except MemoryError as error:
        raise _too_small(parameters.memory_kib, None) from error
    except UnsupportedAlgorithm as error:
        raise ConfigError(
            "the installed `cryptography` was built without Argon2id: install its wheel from the"
            " package index, which has it"
        ) from error
    return out


def hash_password(password: ReadBuffer, parameters: Parameters) -> str:
    """A PHC string to store in place of the password."""
    salt = system_rng(SALT_SIZE)
    return _Stored(parameters, salt, derive(password, parameters, salt, HASH_SIZE)).encode()


def verify_password(stored: str, password: ReadBuffer) -> Parameters:
    """Compare in constant time; the answer is what the string was made with, so that the caller can
    raise it.

    Another password is an `AuthenticationError`; a string that is damaged, or asks for more than it
    may, a `CryptoError` before any work.
    """
    kept = _Stored.decode(stored)
    found = derive(password, kept.parameters, kept.salt, len(kept.digest))
    try:
        if not equal(found, kept.digest):
            raise AuthenticationError("The password is wrong; try again.")
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
        # Equal texts only: base64 has several spellings of some bytes.
        if (
            len(stored.salt) not in _SALT
            or len(stored.digest) not in _HASH
            or stored.encode() != text
        ):
            raise CryptoError(
                "The stored password is damaged; restore it from a backup, or set the password"
                " again."
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
